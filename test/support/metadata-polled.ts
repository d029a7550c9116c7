import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import type { NewClient } from '../../src/client/client.ts';
import { allKeys, type JwsAlg, jwsAlgs, signWith } from './metadata-jws.ts';
import type { Proof } from './metadata-proofs.ts';
import { type World, working } from './metadata-world.ts';
import { openPingReceiver } from './ping-receiver.ts';
import { browserFrom, cibaGrant, deviceGrant, enterCode } from './polled.ts';
import { now } from './proofs.ts';
import type { Credentials } from './protocol.ts';
import { enterPassword } from './relying-party.ts';
import { type Fields } from './wire.ts';
import { until } from './process.ts';

/** What the metadata claims of devices (RFC 8628) and of people who are asked elsewhere (CIBA). */

const deviceClient = (world: World) => world.client({ type: 'device', redirectUris: [] });

/** The codes of a device that asks at the endpoint. */
const codesOf = (world: World, endpoint: unknown, client: Credentials) =>
  world.post(endpoint, client, { scope: 'openid' });

const cibaClient = (world: World, more: Partial<NewClient> = {}) =>
  world.client({ redirectUris: [], grantTypes: [cibaGrant], ...more });

const askPerson = (world: World, client: Credentials, email: string, more: Fields = {}) =>
  world.post(`${world.issuer}/ciba`, client, { scope: 'openid', login_hint: email, ...more });

/** Asks a person, who opens the mail's link and allows it; gives the id of the request. */
async function allowed(world: World, client: Credentials, more: Fields = {}): Promise<string> {
  const account = await world.server.createAccount();
  const { status, json } = await askPerson(world, client, account.email, more);
  expect({ status, json }).toMatchObject({ status: 200 });
  const [mail] = await world.server.mails(account.email);
  const link = mail?.links.find((one) => one.includes('/asked/')) as string;
  const browser = browserFrom();
  const page = await enterPassword(browser, await browser.get(link), account);
  await browser.submit(page, {}, 'allow');
  return String(json.auth_req_id);
}

export const polledGrants = {
  [deviceGrant]: {
    works: async (world: World) => {
      const client = await deviceClient(world);
      const { json } = await codesOf(world, `${world.issuer}/device_authorization`, client);
      const browser = browserFrom();
      const account = await world.server.createAccount();
      const page = await enterCode(browser, world.server, String(json.user_code), account);
      await browser.submit(page, {}, 'allow');
      const fields = { grant_type: deviceGrant, device_code: String(json.device_code) };
      return (await world.post(`${world.issuer}/token`, client, fields)).json;
    },
    without: { type: 'machine' } as Partial<NewClient>,
  },
  [cibaGrant]: {
    works: async (world: World) => {
      const client = await cibaClient(world);
      const fields = { grant_type: cibaGrant, auth_req_id: await allowed(world, client) };
      return (await world.post(`${world.issuer}/token`, client, fields)).json;
    },
    without: { type: 'machine' } as Partial<NewClient>,
  },
};

/** Whether the client, of the delivery mode, learns of the answer by it. */
async function isDelivered(world: World, mode: string): Promise<boolean> {
  if (mode === 'poll') {
    const { json } = await askPerson(world, await cibaClient(world), 'ann@example.com');
    expect(json.interval).toEqual(expect.any(Number));
    return true;
  }
  const receiver = await openPingReceiver();
  try {
    const said = { cibaDelivery: mode, cibaNotificationEndpoint: receiver.uri };
    const client = await cibaClient(world, said as Partial<NewClient>).catch(() => undefined);
    if (client === undefined) return false;
    const token = randomUUID();
    const id = await allowed(world, client, { client_notification_token: token });
    await until(async () => receiver.received.length > 0);
    expect(receiver.received).toMatchObject([{ body: { auth_req_id: id } }]);
    return true;
  } finally {
    await receiver.close();
  }
}

async function isSignedRequestTaken(world: World, alg: JwsAlg): Promise<boolean> {
  const client = await cibaClient(world, { jwks: allKeys(world) });
  const claims = {
    iss: client.clientId,
    aud: world.issuer,
    scope: 'openid',
    login_hint: 'ann@example.com',
    jti: randomUUID(),
    nbf: now(),
    iat: now(),
    exp: now() + 60,
  };
  const request = await signWith(world, alg, claims);
  const { status, json } = await world.post(`${world.issuer}/ciba`, client, { request });
  if (status === 200) return true;
  expect(json.error).toMatch(/^invalid_request(_object)?$/);
  return false;
}

export const polledProofs: Record<string, Proof> = {
  device_authorization_endpoint: {
    listed: async (world, value) => {
      const { status, json } = await codesOf(world, value, await deviceClient(world));
      expect({ status, json }).toMatchObject({
        status: 200,
        json: { verification_uri: `${world.issuer}/device`, device_code: expect.any(String) },
      });
    },
  },
  backchannel_authentication_endpoint: {
    listed: async (world, value) => {
      const fields = { scope: 'openid', login_hint: 'ann@example.com' };
      const { status, json } = await world.post(value, await cibaClient(world), fields);
      expect({ status, json }).toMatchObject({
        status: 200,
        json: { auth_req_id: expect.any(String) },
      });
    },
  },
  backchannel_token_delivery_modes_supported: {
    listed: async (world, value) => {
      const found = await working(['poll', 'ping', 'push'], (mode) => isDelivered(world, mode));
      expect((value as string[]).toSorted()).toEqual(found);
    },
  },
  backchannel_user_code_parameter_supported: {
    // A client that could have one is registered by nobody, so that the parameter is not looked at.
    listed: async (world, value) => {
      expect(value).toBe(false);
      const fields = { user_code: 'wrong' };
      expect(
        (await askPerson(world, await cibaClient(world), 'ann@example.com', fields)).status,
      ).toBe(200);
    },
  },
  backchannel_authentication_request_signing_alg_values_supported: {
    listed: async (world, value) => {
      const found = await working(jwsAlgs, (alg) => isSignedRequestTaken(world, alg));
      expect((value as string[]).toSorted()).toEqual(found);
    },
  },
};
