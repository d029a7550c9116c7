import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NewClient } from '../../src/client/client.ts';
import { sql } from 'kysely';
import { apiIdentifier, openWorld, type World } from '../support/metadata-world.ts';
import { redirectUri } from '../support/protocol.ts';
import {
  type Answer,
  cookiesOf,
  countRows,
  type Fields,
  form,
  query,
  send,
} from '../support/wire.ts';

/**
 * SECURITY 6: every parameter twice, in the query and in the body, at every endpoint that the metadata names: one that is new
 * there fails here until it is said what is asked of it.
 */

let world: World;
let metadata: Record<string, unknown>;

beforeAll(async () => {
  world = await openWorld();
  metadata = await world.metadata();
});

afterAll(() => world.close());

/** What an endpoint is asked, by whom. Parameters that may come several times are left out (`resource`: RFC 8707). */
interface Request {
  readonly client: Partial<NewClient>;
  readonly fields: Readonly<Record<string, string>>;
}

const pushed = {
  response_type: 'code',
  redirect_uri: redirectUri,
  scope: 'openid',
  state: 's',
  nonce: 'n',
  prompt: 'login',
  max_age: '100',
  claims: '{"id_token":{"acr":null}}',
  response_mode: 'query',
  acr_values: 'a',
  ui_locales: 'en',
  login_hint: 'a',
  id_token_hint: 'e.e.e',
  display: 'page',
  code_challenge: 'c'.repeat(43),
  code_challenge_method: 'S256',
  request: 'e.e.e',
};

const accessToken = 'urn:ietf:params:oauth:token-type:access_token';

/** What each grant type knows besides `grant_type`. */
const grants: Record<string, Readonly<Record<string, string>>> = {
  authorization_code: { code: 'vs_ac_x', redirect_uri: redirectUri, code_verifier: 'v'.repeat(43) },
  refresh_token: { refresh_token: 'vs_rt_x', scope: 'openid' },
  client_credentials: { scope: 'read' },
  'urn:ietf:params:oauth:grant-type:device_code': { device_code: 'x' },
  'urn:openid:params:grant-type:ciba': { auth_req_id: 'x' },
  'urn:ietf:params:oauth:grant-type:token-exchange': {
    subject_token: 'vs_at_x',
    subject_token_type: accessToken,
    actor_token: 'vs_at_x',
    actor_token_type: accessToken,
    requested_token_type: accessToken,
    scope: 'read',
  },
  'urn:ietf:params:oauth:grant-type:jwt-bearer': { assertion: 'e.e.e', scope: 'read' },
};

const endpoints: Record<string, Request> = {
  introspection_endpoint: { client: {}, fields: { token: 'x', token_type_hint: 'access_token' } },
  revocation_endpoint: { client: {}, fields: { token: 'x', token_type_hint: 'access_token' } },
  pushed_authorization_request_endpoint: { client: {}, fields: pushed },
  device_authorization_endpoint: {
    client: withGrant('urn:ietf:params:oauth:grant-type:device_code'),
    fields: { scope: 'openid', acr_values: 'a', claims: '{}', max_age: '100', nonce: 'n' },
  },
  backchannel_authentication_endpoint: {
    client: withGrant('urn:openid:params:grant-type:ciba'),
    fields: {
      scope: 'openid',
      login_hint: 'ann@example.com',
      login_hint_token: 'x',
      id_token_hint: 'e.e.e',
      binding_message: 'x',
      user_code: 'x',
      requested_expiry: '60',
      acr_values: 'a',
      request: 'e.e.e',
      client_notification_token: 'x'.repeat(43),
    },
  },
};

/** By GET as a browser asks, and tried in other files too. */
const pages: Record<string, Readonly<Record<string, string>>> = {
  authorization_endpoint: pushed,
  end_session_endpoint: {
    id_token_hint: 'e.e.e',
    post_logout_redirect_uri: redirectUri,
    state: 's',
    logout_hint: 'a',
    ui_locales: 'en',
  },
};

/** They take no form: a body of JSON, or a token in a header. */
const others = new Set(['registration_endpoint', 'revocations_endpoint', 'userinfo_endpoint']);

function withGrant(type: string): Partial<NewClient> {
  const ofPeople = ['authorization_code', 'refresh_token'];
  if (ofPeople.includes(type)) return {};
  return {
    type: 'machine',
    grantTypes: [...new Set(['client_credentials', type])],
  } as Partial<NewClient>;
}

const twice = (value: string): [string, string][] => [
  [value, value],
  [value, 'x'],
  ['x', value],
  ['', value],
];

async function leavingNothing<T>(work: () => Promise<T>): Promise<T> {
  const before = await countRows(world.database.db);
  const result = await work();
  expect(await countRows(world.database.db)).toEqual(before);
  return result;
}

function expectRefused(name: string, { status, json, text }: Answer): void {
  expect({ name, status, error: json.error }).toEqual({
    name,
    status: 400,
    error: 'invalid_request',
  });
  expect(text).toMatch(/twice|more than once|repeated|duplicate|multiple/);
}

/** Each parameter of it twice, its client's own authentication too. */
async function expectEachOnce(endpoint: string, { client: input, fields }: Request) {
  const client = await world.client(input);
  const all: Record<string, string> = {
    ...fields,
    client_id: client.clientId,
    client_secret: String(client.clientSecret),
  };
  await leavingNothing(async () => {
    for (const [name, value] of Object.entries(all)) {
      for (const values of twice(value)) {
        const body: Fields = { ...all, [name]: values };
        expectRefused(name, await world.post(metadata[endpoint], undefined, body));
      }
    }
    const basic = { ...fields, client_assertion: ['e.e.e', 'e.e.e'] };
    expect((await world.post(metadata[endpoint], client, basic)).status).toBe(400);
  });
}

const expectAbsent = (endpoint: string) => expect(metadata).not.toHaveProperty(endpoint);

test('SECURITY 6: it is known what each endpoint of the metadata is asked', () => {
  const named = Object.keys(metadata).filter((name) => name.endsWith('_endpoint'));
  const known = new Set([
    ...Object.keys(endpoints),
    ...Object.keys(pages),
    ...others,
    'token_endpoint',
  ]);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
  expect((metadata.grant_types_supported as string[]).filter((type) => !(type in grants))).toEqual(
    [],
  );
});

describe('SECURITY 6: each parameter twice', () => {
  test.each(Object.keys(endpoints))('at the %s', async (endpoint) => {
    if (metadata[endpoint] === undefined) return expectAbsent(endpoint);
    return expectEachOnce(endpoint, endpoints[endpoint] as Request);
  });

  test.each(Object.keys(grants))('at the token endpoint: %s', async (type) => {
    const isThere = (metadata.grant_types_supported as string[]).includes(type);
    if (!isThere) return expect(isThere).toBe(false);
    const fields = { grant_type: type, ...grants[type] };
    return expectEachOnce('token_endpoint', { client: withGrant(type), fields });
  });

  test.each(Object.keys(pages))('at the %s', async (endpoint) => {
    const client = await world.client({ postLogoutRedirectUris: [redirectUri] });
    const all: Record<string, string> = { ...pages[endpoint], client_id: client.clientId };
    delete all.request;
    const { pathname } = new URL(String(metadata[endpoint]));
    const headers = { accept: 'text/html', ...cookiesOf(world.browser) };
    await leavingNothing(async () => {
      for (const [name, value] of Object.entries(all)) {
        for (const values of twice(value)) {
          const path = `${pathname}?${query({ ...all, [name]: values })}`;
          const { status, location } = await send(world.issuer, path, { headers });
          if (location === undefined) expect({ name, status }).toEqual({ name, status: 400 });
          else expect(location).toContain('error=invalid_request');
          if (['client_id', 'redirect_uri', 'post_logout_redirect_uri'].includes(name))
            expect({ name, location }).toEqual({ name, location: undefined });
        }
      }
    });
  });
});

describe('SECURITY 6: in the query and in the body', () => {
  const hostile = {
    redirect_uri: 'https://evil.example/',
    client_id: 'c_evil',
    scope: 'openid evil',
    token: 'evil',
    code: 'evil',
    resource: 'https://evil.example',
    request_uri: 'https://evil.example/',
  };

  test('what is pushed counts, and the query of the push does not', async () => {
    const endpoint = metadata.pushed_authorization_request_endpoint;
    const client = await world.client();
    const { login_hint: _, id_token_hint: __, request: ___, ...honest } = pushed;
    const { status, json } = await world.post(`${String(endpoint)}?${query(hostile)}`, client, {
      ...honest,
      client_id: client.clientId,
      prompt: 'consent',
    });
    expect(status).toBe(201);
    const asked = await send(
      world.issuer,
      `/authorize?${query({ client_id: client.clientId, request_uri: String(json.request_uri), redirect_uri: 'https://evil.example/' })}`,
      { headers: { accept: 'text/html', ...cookiesOf(world.browser) } },
    );
    // What stands beside a pushed request is not of it (RFC 9126, section 4).
    expect(asked.location ?? '').not.toContain('evil.example');
    const rows = JSON.stringify(
      await world.database.db.kysely.selectFrom('interactions').select('payload').execute(),
    );
    expect(rows).not.toContain('evil');
  });

  // Without any parameter a device asks for what goes without saying.
  const asked = Object.keys(endpoints).filter((name) => !name.startsWith('device_'));
  test.each([...asked, 'token_endpoint'])(
    'at the %s a query stands for nothing',
    async (endpoint) => {
      if (metadata[endpoint] === undefined) return expectAbsent(endpoint);
      const fields =
        endpoint === 'token_endpoint'
          ? { grant_type: 'client_credentials', resource: apiIdentifier, scope: 'read' }
          : (endpoints[endpoint] as Request).fields;
      const client = await world.client(
        endpoint === 'token_endpoint'
          ? { type: 'machine' }
          : (endpoints[endpoint] as Request).client,
      );
      await leavingNothing(async () => {
        const answer = await world.post(
          `${String(metadata[endpoint])}?${query(fields)}`,
          client,
          {},
        );
        expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
      });
    },
  );

  test('at the device_authorization_endpoint the query is not heard', async () => {
    const endpoint = metadata.device_authorization_endpoint;
    if (endpoint === undefined) return expectAbsent('device_authorization_endpoint');
    const { client: input } = endpoints.device_authorization_endpoint as Request;
    const client = await world.client(input);
    const said = query({ ...hostile, nonce: 'of-the-query', scope: 'openid of-the-query' });
    expect(
      (await world.post(`${endpoint as string}?${said}`, client, { scope: 'openid' })).status,
    ).toBe(200);
    const { rows } = await sql<{
      row: string;
    }>`select to_jsonb(p)::text as row from polled_requests p`.execute(world.database.db.kysely);
    expect(rows).toHaveLength(1);
    expect(rows[0]?.row).not.toMatch(/of-the-query|evil/);
  });

  test('a token in the query opens nothing, and a client is not what the query says', async () => {
    const { access_token: token } = await world.tokens(await world.client());
    const { pathname } = new URL(String(metadata.userinfo_endpoint));
    for (const method of ['GET', 'POST'])
      expect(
        (await send(world.issuer, `${pathname}?access_token=${String(token)}`, { method })).json
          .sub,
      ).toBeUndefined();
    const machine = await world.client({ type: 'machine' });
    const answer = await send(
      world.issuer,
      `/token?${query({ client_id: machine.clientId, client_secret: String(machine.clientSecret) })}`,
      {
        method: 'POST',
        body: form({
          grant_type: 'client_credentials',
          resource: apiIdentifier,
          scope: 'read',
          jti: randomUUID(),
        }),
      },
    );
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });
});
