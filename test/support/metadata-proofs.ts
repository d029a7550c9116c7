import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import {
  type CryptoKey,
  compactDecrypt,
  createLocalJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  importJWK,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose';
import { sql } from 'kysely';
import { ClientService } from '../../src/client/client.service.ts';
import { JWT_BEARER, type NewClient, TOKEN_EXCHANGE } from '../../src/client/client.ts';
import { newIssuerSchema, newSubjectSchema } from '../../src/issuer/issuer.ts';
import { TrustedIssuers } from '../../src/issuer/issuer.service.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { startDocumentHost } from './document-host.ts';
import { plainApp, register } from './self-registering.ts';
import { allow, exchangeForm, exchangeGrant } from './exchange.ts';
import { openLogoutReceiver } from './logout-receiver.ts';
import {
  allKeys,
  assertionWith,
  jwsAlgs,
  proofWith,
  signWith,
  thumbprint,
} from './metadata-jws.ts';
import { polledGrants, polledProofs } from './metadata-polled.ts';
import {
  apiIdentifier,
  otherApi,
  certificateHeaders,
  standardClaims,
  unknownCode,
  type World,
  working,
} from './metadata-world.ts';
import { now } from './proofs.ts';
import { type Credentials, redirectUri } from './protocol.ts';
import { basic, cookiesOf, type Fields, form, send } from './wire.ts';
import { until } from './process.ts';

/** What each member of the metadata claims, derived from how the server behaves (COMPATIBILITY 4). */

export interface Proof {
  /** The member is there: each thing that it lists is so, and nothing besides. */
  readonly listed: (world: World, value: unknown) => Promise<void>;
  /** It is not there, or `false`: the thing is refused. Without a proof of that, the member always has to be there. */
  readonly absent?: (world: World) => Promise<void>;
}

const listOf = (value: unknown): string[] => {
  expect(value).toEqual(expect.arrayContaining([expect.any(String)]));
  return value as string[];
};

/** The list is what works of it and of what there is besides. */
function exactly(
  candidates: readonly string[],
  works: (world: World, candidate: string) => Promise<boolean>,
): Proof['listed'] {
  return async (world, value) => {
    const claimed = listOf(value);
    const found = await working([...claimed, ...candidates], (one) => works(world, one));
    expect(claimed.toSorted()).toEqual(found);
  };
}

/** Whether a client may be registered so; it is not, where the registration is refused. */
async function registers(
  world: World,
  input: Record<string, unknown>,
): Promise<Credentials | undefined> {
  try {
    return await world.client(input as Partial<NewClient>);
  } catch {
    return undefined;
  }
}

const machineRequest = { grant_type: 'client_credentials', resource: apiIdentifier, scope: 'read' };

async function readKeys({ issuer }: World): Promise<ReturnType<typeof createLocalJWKSet>> {
  return createLocalJWKSet((await (await fetch(`${issuer}/jwks`)).json()) as JSONWebKeySet);
}

async function idTokenOf(world: World, client: Credentials, extra: Fields = {}) {
  const { id_token: token } = await world.tokens(client, extra);
  const { payload, protectedHeader } = await jwtVerify(String(token), await readKeys(world), {
    issuer: world.issuer,
    audience: client.clientId,
  });
  return { claims: payload, header: protectedHeader };
}

// Endpoints

const endpoints: Record<string, Proof> = {
  issuer: {
    listed: async (world, value) => {
      expect(value).toBe(world.server.issuer);
      const client = await world.client();
      expect((await idTokenOf(world, client)).claims.iss).toBe(value);
      expect((await world.ask(client)).told.iss).toBe(value);
    },
  },
  authorization_endpoint: {
    listed: async (world, value) => {
      expect(value).toBe(`${world.issuer}/authorize`);
      expect((await world.ask(await world.client())).told.code).toMatch(/^vs_ac_/);
    },
  },
  token_endpoint: {
    listed: async (world, value) => {
      const { status, json } = await world.post(
        value,
        await world.client({ type: 'machine' }),
        machineRequest,
      );
      expect({ status, type: json.token_type }).toEqual({ status: 200, type: 'Bearer' });
    },
  },
  userinfo_endpoint: {
    listed: async (world, value) => {
      const { access_token: token } = await world.tokens(await world.client());
      const headers = { authorization: `Bearer ${String(token)}` };
      for (const method of ['GET', 'POST']) {
        const response = await fetch(String(value), { method, headers });
        expect(response.headers.get('content-type')).toMatch(/^application\/json/);
        expect(await response.json()).toMatchObject({ sub: world.accountId });
      }
    },
  },
  introspection_endpoint: {
    listed: async (world, value) => {
      const client = await world.client({ type: 'machine' });
      const { json } = await world.post(`${world.issuer}/token`, client, machineRequest);
      const token = String(json.access_token);
      expect((await world.post(value, world.api, { token })).json).toMatchObject({ active: true });
    },
  },
  revocation_endpoint: {
    listed: async (world, value) => {
      const client = await world.client({ type: 'machine' });
      const { json } = await world.post(`${world.issuer}/token`, client, machineRequest);
      const token = String(json.access_token);
      expect((await world.post(value, client, { token })).status).toBe(200);
      const told = await world.post(`${world.issuer}/introspect`, world.api, { token });
      expect(told.json).toEqual({ active: false });
    },
  },
  jwks_uri: {
    listed: async (world, value) => {
      expect(value).toBe(`${world.issuer}/jwks`);
      await idTokenOf(world, await world.client());
    },
  },
  end_session_endpoint: {
    listed: async (world, value) => {
      const response = await fetch(String(value), {
        headers: { accept: 'text/html', ...cookiesOf(world.browser) },
      });
      expect(response.status).toBe(200);
      expect(await response.text()).toContain('name="xsrf"');
    },
  },
  revocations_endpoint: {
    listed: async (world, value) => {
      const response = await fetch(String(value));
      const { protectedHeader } = await jwtVerify(await response.text(), await readKeys(world), {
        issuer: world.issuer,
      });
      expect(protectedHeader.typ).toBe('secevent+jwt');
    },
  },
};

// How clients authenticate

const endpointRequests: Record<string, Fields> = {
  token: machineRequest,
  introspection: { token: 'x' },
  revocation: { token: 'x' },
};

/** What a client of the method is registered with. */
const registrations: Record<string, (world: World) => Record<string, unknown>> = {
  client_secret_basic: () => ({}),
  client_secret_post: () => ({ authMethod: 'client_secret_post' }),
  private_key_jwt: (world) => ({ authMethod: 'private_key_jwt', jwks: allKeys(world) }),
  tls_client_auth: () => ({
    authMethod: 'tls_client_auth',
    certificateName: { kind: 'san_dns', name: 'client.example.com' },
  }),
  self_signed_tls_client_auth: ({ certificate: { der, privateKey } }) => {
    const { kty, crv, x, y } = privateKey.export({ format: 'jwk' });
    return {
      authMethod: 'self_signed_tls_client_auth',
      jwks: { keys: [{ kty, crv, x, y, x5c: [der.toString('base64')] }] },
    };
  },
};

interface Presented {
  readonly fields: Fields;
  readonly headers?: Record<string, string>;
}

/** How the client says who it is. */
async function present(world: World, method: string, client: Credentials): Promise<Presented> {
  const { clientId, clientSecret } = client;
  switch (method) {
    case 'client_secret_basic':
      return { fields: {}, headers: basic(client) };
    case 'client_secret_post':
      return { fields: { client_id: clientId, client_secret: clientSecret } };
    case 'client_secret_jwt':
      return { fields: await assertionWith(world, 'HS256', client) };
    case 'private_key_jwt':
      return { fields: await assertionWith(world, 'ES256', client) };
    case 'tls_client_auth':
    case 'self_signed_tls_client_auth':
      return { fields: { client_id: clientId }, headers: certificateHeaders(world) };
    default:
      return { fields: { client_id: clientId } };
  }
}

/** Whether the endpoint takes it. */
async function isTaken(
  world: World,
  endpoint: string,
  presented: Presented,
  request: Fields,
): Promise<boolean> {
  const paths: Record<string, string> = {
    token: '/token',
    introspection: '/introspect',
    revocation: '/revoke',
  };
  const { status, json } = await world.post(
    `${world.issuer}${paths[endpoint]}`,
    undefined,
    { ...request, ...presented.fields },
    presented.headers,
  );
  if (status === 200 || json.error === 'invalid_grant') return true;
  if (json.error !== 'invalid_client')
    throw new Error(`${endpoint}: ${status} ${JSON.stringify(json)}`);
  return false;
}

const otherMethods = [
  ...Object.keys(registrations),
  'client_secret_jwt',
  'attest_jwt_client_auth',
  'none',
];

const methods = (endpoint: string): Proof => ({
  listed: exactly(otherMethods, async (world, method) => {
    if (method === 'none') {
      const client = await world.client({ type: 'spa' });
      if (endpoint === 'introspection') return introspectsItsOwn(world, client);
      const request =
        endpoint === 'token' ? { grant_type: 'refresh_token', refresh_token: 'x' } : { token: 'x' };
      return isTaken(world, endpoint, await present(world, method, client), request);
    }
    const registration = registrations[method]?.(world) ?? {};
    const client = await world.client({ type: 'machine', ...(registration as Partial<NewClient>) });
    return isTaken(
      world,
      endpoint,
      await present(world, method, client),
      endpointRequests[endpoint] ?? {},
    );
  }),
});

/** Who has nothing to authenticate with may ask, and is told of nothing (RFC 7662, section 2.1). */
async function introspectsItsOwn(world: World, client: Credentials): Promise<boolean> {
  const { access_token: token } = await world.tokens(client);
  const { json } = await world.post(`${world.issuer}/introspect`, client, { token: String(token) });
  return json.active === true;
}

const assertionAlgs = (endpoint: string): Proof => ({
  listed: exactly(jwsAlgs, async (world, alg) => {
    const client = await world.client({
      type: 'machine',
      authMethod: 'private_key_jwt',
      jwks: allKeys(world),
    });
    const fields = await assertionWith(world, alg as (typeof jwsAlgs)[number], client);
    return isTaken(world, endpoint, { fields }, endpointRequests[endpoint] ?? {});
  }),
});

const authentication: Record<string, Proof> = Object.fromEntries(
  Object.keys(endpointRequests).flatMap((endpoint) => [
    [`${endpoint}_endpoint_auth_methods_supported`, methods(endpoint)],
    [`${endpoint}_endpoint_auth_signing_alg_values_supported`, assertionAlgs(endpoint)],
  ]),
);

// Grants, and what a client may ask for

/** A request of the grant type by a client that has it, and one that could have it but has not. */
const grants: Record<
  string,
  { works(world: World): Promise<unknown>; without: Partial<NewClient> }
> = {
  authorization_code: {
    works: async (world) => world.tokens(await world.client()),
    without: { type: 'machine' },
  },
  refresh_token: {
    works: async (world) => {
      const client = await world.client();
      const { refresh_token: token } = await world.tokens(client, {
        scope: 'openid offline_access',
      });
      const fields = { grant_type: 'refresh_token', refresh_token: String(token) };
      return (await world.post(`${world.issuer}/token`, client, fields)).json;
    },
    without: { type: 'machine' },
  },
  client_credentials: {
    works: async (world) =>
      (
        await world.post(
          `${world.issuer}/token`,
          await world.client({ type: 'machine' }),
          machineRequest,
        )
      ).json,
    without: { type: 'web' },
  },
};

/** What is given to workloads and services behind others, and not to people. */
const machineGrants: typeof grants = {
  [TOKEN_EXCHANGE]: {
    works: async (world) => {
      const apis = [apiIdentifier, otherApi].map((identifier) => ({
        identifier,
        scopes: ['read'],
      }));
      const service = await world.client({ type: 'machine', apis, ...exchangeGrant });
      const rule = { clientId: service.clientId, source: apiIdentifier, target: otherApi };
      await allow(world.database, { ...rule, scopes: ['read'], impersonation: true });
      const { access_token: token } = await world.tokens(await world.client(), {
        scope: 'openid read',
        resource: apiIdentifier,
      });
      const fields = exchangeForm(String(token), otherApi);
      return (await world.post(`${world.issuer}/token`, service, fields)).json;
    },
    without: { type: 'machine' },
  },
  [JWT_BEARER]: {
    works: async (world) => {
      const client = await world.client({ type: 'machine', grantTypes: [JWT_BEARER] });
      const issuer = `https://${client.clientId}.example.com`.toLowerCase().replaceAll('_', '-');
      await trust(world, issuer, client.clientId);
      const claims = {
        iss: issuer,
        sub: 'workload',
        aud: world.issuer,
        iat: now(),
        exp: now() + 60,
      };
      const request = async () =>
        world.post(`${world.issuer}/token`, client, {
          grant_type: JWT_BEARER,
          assertion: await signWith(world, 'ES256', { ...claims, jti: randomUUID() }),
          resource: apiIdentifier,
          scope: 'read',
        });
      // Every process hears of a new issuer within two seconds.
      await until(async () => (await request()).status === 200);
      return (await request()).json;
    },
    without: { type: 'machine' },
  },
};

/** As `issuer add` and `issuer allow` do it. */
async function trust(world: World, issuer: string, clientId: string): Promise<void> {
  const { db } = world.database;
  const resourceServers = new ResourceServerService(db);
  const issuers = new TrustedIssuers({
    db,
    ownIssuer: world.issuer,
    clients: new ClientService(db, resourceServers),
    resourceServers,
    outboundAllow: new OutboundAllow(),
  });
  const jwks = { keys: [{ ...world.keys['P-256'].publicJwk }] };
  await issuers.add(newIssuerSchema.parse({ issuer, jwks }), 'test');
  const subject = { subject: 'workload', clientId, api: apiIdentifier, scopes: ['read'] };
  await issuers.allow(issuer, newSubjectSchema.parse(subject), 'test');
}

/** What a request of each grant type needs besides, with nothing good in it. */
const dummies: Fields = {
  code: unknownCode(),
  code_verifier: 'v'.repeat(43),
  redirect_uri: redirectUri,
  refresh_token: 'x',
  device_code: 'x',
  auth_req_id: 'x',
  assertion: 'e.e.e',
  subject_token: 'x',
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  username: 'ann@example.com',
  password: 'x',
};

const otherGrantTypes = [
  'password',
  'implicit',
  'urn:ietf:params:oauth:grant-type:device_code',
  'urn:openid:params:grant-type:ciba',
  'urn:ietf:params:oauth:grant-type:token-exchange',
  'urn:ietf:params:oauth:grant-type:jwt-bearer',
  'urn:ietf:params:oauth:grant-type:saml2-bearer',
  'urn:ietf:params:oauth:grant-type:pre-authorized_code',
  'urn:ietf:params:oauth:grant-type:uma-ticket',
  'http://oauth.net/grant_type/device/1.0',
  'evil',
];

async function hasGrantType(world: World, type: string): Promise<boolean> {
  const grant = { ...grants, ...machineGrants, ...polledGrants }[type];
  const client = await world.client(grant?.without ?? {});
  const { status, json } = await world.post(`${world.issuer}/token`, client, {
    ...dummies,
    grant_type: type,
  });
  expect(status).toBe(400);
  if (json.error === 'unsupported_grant_type') return false;
  expect(json.error).toBe('unauthorized_client');
  if (grant === undefined) throw new Error(`nobody has proved ${type}`);
  expect(await grant.works(world)).toMatchObject({ access_token: expect.any(String) });
  return true;
}

const responseTypes = [
  'code',
  'none',
  'token',
  'id_token',
  'id_token token',
  'code id_token',
  'code token',
  'code id_token token',
  'device_code',
  'evil',
];

const responseModes: Record<string, { starts: string | undefined; isJwt: boolean }> = {
  query: { starts: `${redirectUri}?code=`, isJwt: false },
  fragment: { starts: `${redirectUri}#code=`, isJwt: false },
  form_post: { starts: undefined, isJwt: false },
  jwt: { starts: `${redirectUri}?response=`, isJwt: true },
  'query.jwt': { starts: `${redirectUri}?response=`, isJwt: true },
  'fragment.jwt': { starts: `${redirectUri}#response=`, isJwt: true },
  'form_post.jwt': { starts: undefined, isJwt: true },
};

async function hasResponseMode(world: World, mode: string): Promise<boolean> {
  const known = responseModes[mode];
  const client =
    (await registers(world, known?.isJwt ? { responseModes: [mode] } : {})) ??
    (await world.client());
  const { answer, told } = await world.ask(client, { response_mode: mode });
  if (told.error === 'unsupported_response_mode') return false;
  if (known === undefined) throw new Error(`nobody has proved ${mode}`);
  if (known.starts === undefined) expect(answer.text).toContain(`action="${redirectUri}"`);
  else expect(answer.location?.startsWith(known.starts)).toBe(true);
  const claims = known.isJwt ? decodeJwt(String(told.response)) : told;
  expect(claims).toMatchObject({ code: expect.any(String), iss: world.issuer });
  return true;
}

const notIdentity = ['address', 'phone', 'groups', 'roles', 'admin', 'profile.email', 'evil', '*'];

async function hearsOf(world: World): Promise<ReadonlySet<string>> {
  const client = await world.client({ backchannelLogoutUri: 'https://app.example.com/logout' });
  const asked = Object.fromEntries(standardClaims.map((claim) => [claim, null]));
  const { id_token: idToken, access_token: token } = await world.tokens(client, {
    scope: listOf((await world.metadata()).scopes_supported).join(' '),
    claims: JSON.stringify({ id_token: asked, userinfo: asked }),
  });
  const userinfo = await send(
    world.issuer,
    `${new URL(world.issuer).pathname}/userinfo`.replace('//', '/'),
    {
      headers: { authorization: `Bearer ${String(token)}` },
    },
  );
  return new Set([...Object.keys(decodeJwt(String(idToken))), ...Object.keys(userinfo.json)]);
}

const requests: Record<string, Proof> = {
  grant_types_supported: { listed: exactly(otherGrantTypes, hasGrantType) },
  response_types_supported: {
    listed: exactly(responseTypes, async (world, type) => {
      const client = await world.client();
      // Asking for a sign-in and nothing else is for the consoles.
      const own = {
        client_id: 'vouchsafe-account',
        redirect_uri: `${world.issuer}/account/signed-in`,
        code_challenge: undefined,
        code_challenge_method: undefined,
      };
      const { answer, told } = await world.ask(client, {
        response_type: type,
        nonce: 'n',
        ...(type === 'none' ? own : {}),
      });
      if (told.error === 'unsupported_response_type') return false;
      expect(told).toMatchObject({ iss: world.issuer, state: 'the-state' });
      expect(Object.keys(told).sort()).toEqual(
        type === 'none' ? ['iss', 'state'] : ['code', 'iss', 'state'],
      );
      expect(answer.status).toBe(303);
      return true;
    }),
  },
  response_modes_supported: {
    listed: exactly(
      [...Object.keys(responseModes), 'web_message', 'web_message.jwt', 'evil'],
      hasResponseMode,
    ),
  },
  scopes_supported: {
    listed: exactly(notIdentity, async (world, scope) => {
      const tokens = await world.tokens(await world.client(), {
        scope: [...new Set(['openid', scope])].join(' '),
      });
      const isGiven = String(tokens.scope).split(' ').includes(scope);
      if (scope === 'offline_access') expect(tokens.refresh_token).toEqual(expect.any(String));
      return isGiven;
    }),
  },
  claims_supported: {
    listed: async (world, value) => {
      const heard = await hearsOf(world);
      const found = await working([...listOf(value), ...standardClaims], async (claim) =>
        heard.has(claim),
      );
      expect(listOf(value).toSorted()).toEqual(found);
    },
  },
  claim_types_supported: {
    listed: async (world, value) => {
      expect(value).toEqual(['normal']);
      expect([...(await hearsOf(world))].filter((claim) => claim.startsWith('_claim'))).toEqual([]);
    },
  },
  prompt_values_supported: {
    listed: exactly(
      ['none', 'login', 'consent', 'select_account', 'create', 'evil', 'LOGIN'],
      async (world, prompt) => {
        const { answer, told } = await world.ask(await world.client(), { prompt });
        if (told.error !== undefined) {
          expect(told.error).toBe('invalid_request');
          return false;
        }
        if (prompt === 'none') expect(told.code).toMatch(/^vs_ac_/);
        else expect(answer.location).toMatch(/\/interaction\/[\w-]+$/);
        return true;
      },
    ),
  },
  claims_parameter_supported: {
    listed: async (world) => {
      const claims = JSON.stringify({ id_token: { email: null } });
      const client = await world.client();
      expect((await idTokenOf(world, client, { scope: 'openid' })).claims).not.toHaveProperty(
        'email',
      );
      expect((await idTokenOf(world, client, { scope: 'openid', claims })).claims.email).toMatch(
        /@/,
      );
    },
  },
  code_challenge_methods_supported: {
    listed: exactly(['S256', 'plain', 'S512', 'none', 's256'], async (world, method) => {
      const { told } = await world.ask(await world.client(), { code_challenge_method: method });
      if (told.error !== undefined) expect(told.error).toBe('invalid_request');
      return told.code !== undefined;
    }),
  },
  subject_types_supported: {
    listed: exactly(['public', 'pairwise', 'evil'], async (world, subjectType) => {
      const client =
        subjectType === 'public' ? await world.client() : await registers(world, { subjectType });
      if (client === undefined) return false;
      const { sub } = (await idTokenOf(world, client)).claims;
      expect(sub === world.accountId).toBe(subjectType === 'public');
      return true;
    }),
  },
  acr_values_supported: {
    listed: exactly(
      [
        'urn:vouchsafe:acr:0fa',
        'urn:vouchsafe:acr:3fa',
        'phr',
        'phrh',
        '0',
        'urn:mace:incommon:iap:silver',
      ],
      async (world, value) => {
        const claims = JSON.stringify({ id_token: { acr: { essential: true, value } } });
        const client = await world.client();
        if (
          (await world.ask(client, { claims })).told.error === 'unmet_authentication_requirements'
        )
          return false;
        const { sessionUid } = world.browser;
        const set = (acr: string) =>
          sql`update sessions set payload = payload || ${JSON.stringify({ acr })}::jsonb where uid = ${sessionUid}`.execute(
            world.database.db.kysely,
          );
        await set(value);
        expect((await idTokenOf(world, client, { claims })).claims.acr).toBe(value);
        await set('urn:vouchsafe:acr:1fa');
        return true;
      },
    ),
  },
  authorization_response_iss_parameter_supported: {
    listed: async (world, value) => {
      expect(value).toBe(true);
      for (const mode of listOf((await world.metadata()).response_modes_supported)) {
        const client =
          (await registers(world, { responseModes: [mode] })) ?? (await world.client());
        for (const extra of [{}, { scope: '"' }, { prompt: 'none', max_age: '0' }]) {
          const { told } = await world.ask(client, { response_mode: mode, ...extra });
          const claims = mode.includes('jwt') ? decodeJwt(String(told.response)) : told;
          expect({ mode, extra, iss: claims.iss }).toEqual({ mode, extra, iss: world.issuer });
        }
      }
    },
  },
};

// What is signed, and encrypted

const serverAlgs = [...jwsAlgs, 'ES256K', 'ML-DSA-44'];

/** A client that wants it so, and what of the answer is signed with it. */
const signedAnswers = (
  setting: string,
  answer: (world: World, client: Credentials) => Promise<string>,
): Proof => ({
  listed: exactly(serverAlgs, async (world, alg) => {
    const client = await registers(world, { [setting]: alg });
    if (client === undefined) return false;
    const token = await answer(world, client);
    expect(decodeProtectedHeader(token).alg).toBe(alg);
    await jwtVerify(token, await readKeys(world), { issuer: world.issuer });
    return true;
  }),
});

async function introspectedAsJwt(world: World, client: Credentials): Promise<string> {
  const { access_token: token } = await world.tokens(client);
  const { text, headers } = await world.post(
    `${world.issuer}/introspect`,
    client,
    { token: String(token) },
    { accept: 'application/token-introspection+jwt' },
  );
  expect(headers['content-type']).toMatch(/^application\/token-introspection\+jwt/);
  return text;
}

async function decryptionKey({ keys }: World, alg: string): Promise<CryptoKey | Uint8Array> {
  const { privateKey } = alg.startsWith('RSA') ? keys.RSA : keys['P-256'];
  return importJWK(await exportJWK(privateKey), alg);
}

const encryptedIntrospection = async (world: World, alg: string) => {
  const jwks = {
    keys: [world.keys.RSA, world.keys['P-256']].map(({ publicJwk }) => ({ ...publicJwk })),
  };
  const client = await registers(world, { introspectionEncryptionAlg: alg, jwks });
  if (client === undefined) return undefined;
  const jwe = await introspectedAsJwt(world, client);
  const { plaintext, protectedHeader } = await compactDecrypt(jwe, await decryptionKey(world, alg));
  expect(new TextDecoder().decode(plaintext).split('.')).toHaveLength(3);
  return protectedHeader;
};

const cryptography: Record<string, Proof> = {
  id_token_signing_alg_values_supported: signedAnswers('idTokenSigningAlg', async (world, client) =>
    String((await world.tokens(client)).id_token),
  ),
  userinfo_signing_alg_values_supported: signedAnswers(
    'userinfoSigningAlg',
    async (world, client) => {
      const { access_token: token } = await world.tokens(client);
      const response = await fetch(`${world.issuer}/userinfo`, {
        headers: { authorization: `Bearer ${String(token)}` },
      });
      expect([response.status, response.headers.get('content-type')]).toEqual([
        200,
        expect.stringMatching(/^application\/jwt/),
      ]);
      return response.text();
    },
  ),
  introspection_signing_alg_values_supported: signedAnswers(
    'introspectionSigningAlg',
    introspectedAsJwt,
  ),
  introspection_encryption_alg_values_supported: {
    listed: exactly(
      ['RSA-OAEP', 'RSA-OAEP-256', 'RSA1_5', 'ECDH-ES', 'ECDH-ES+A256KW', 'dir', 'A256KW'],
      async (world, alg) => (await encryptedIntrospection(world, alg))?.alg === alg,
    ),
  },
  introspection_encryption_enc_values_supported: {
    listed: async (world, value) => {
      expect([(await encryptedIntrospection(world, 'ECDH-ES'))?.enc]).toEqual(value);
    },
  },
  dpop_signing_alg_values_supported: {
    listed: exactly(jwsAlgs, async (world, alg) => {
      const client = await world.client({ type: 'machine', bound: 'dpop' });
      const dpop = await proofWith(world, alg as (typeof jwsAlgs)[number], `${world.issuer}/token`);
      const { json } = await world.post(`${world.issuer}/token`, client, machineRequest, { dpop });
      if (json.error !== undefined) expect(json.error).toBe('invalid_dpop_proof');
      return json.token_type === 'DPoP';
    }),
  },
  authorization_signing_alg_values_supported: {
    ...signedAnswers('authorizationSigningAlg', async (world, client) => {
      await sql`update clients set metadata = metadata || '{"response_modes":["query.jwt"]}' where id = ${client.clientId}`.execute(
        world.database.db.kysely,
      );
      return String((await world.ask(client, { response_mode: 'query.jwt' })).told.response);
    }),
    absent: async (world) => {
      const { told } = await world.ask(await world.client(), { response_mode: 'query.jwt' });
      expect(told.error).toBe('unsupported_response_mode');
    },
  },
};

// Request objects and pushed requests

async function requestObject(world: World, alg: (typeof jwsAlgs)[number], client: Credentials) {
  const claims = {
    iss: client.clientId,
    aud: world.issuer,
    client_id: client.clientId,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: 'openid',
    state: 'signed',
    code_challenge: 'c'.repeat(43),
    code_challenge_method: 'S256',
    nbf: now(),
    iat: now(),
    exp: now() + 60,
    jti: `${alg} ${client.clientId}`,
  };
  return signWith(world, alg, claims, { typ: 'oauth-authz-req+jwt' });
}

async function isRequestTaken(world: World, alg: (typeof jwsAlgs)[number]): Promise<boolean> {
  const client = await world.client({ jwks: allKeys(world) });
  const request = await requestObject(world, alg, client);
  const { told } = await world.ask(client, { request });
  if (told.error === undefined) {
    expect(told).toMatchObject({ state: 'signed', code: expect.any(String) });
    return true;
  }
  expect(told.error).toBe('invalid_request_object');
  return false;
}

const byValue: Proof = {
  listed: async (world, value) => {
    expect(value).toBe(true);
    expect(await isRequestTaken(world, 'ES256')).toBe(true);
  },
  absent: async (world) => {
    const { told } = await world.ask(await world.client(), { request: 'e.e.e' });
    expect(told.error).toBe('request_not_supported');
  },
};

const plainRequestWorks = async (world: World) => {
  expect((await world.ask(await world.client())).told.code).toMatch(/^vs_ac_/);
};

const elsewhere: Record<string, Proof> = {
  request_parameter_supported: byValue,
  request_uri_parameter_supported: {
    // OpenID Connect's default is true, so that it has to be said.
    listed: async (world, value) => {
      expect(value).toBe(false);
      const { told } = await world.ask(await world.client(), {
        request_uri: 'https://app.example.com/request',
      });
      expect(told.error).toBe('request_uri_not_supported');
    },
  },
  request_object_signing_alg_values_supported: {
    listed: exactly(jwsAlgs, (world, alg) =>
      isRequestTaken(world, alg as (typeof jwsAlgs)[number]),
    ),
    absent: byValue.absent as (world: World) => Promise<void>,
  },
  require_signed_request_object: {
    listed: async (_world, value) => expect(value).toBe(false),
    absent: plainRequestWorks,
  },
  pushed_authorization_request_endpoint: {
    listed: async (world, value) => {
      const client = await world.client();
      const { json, status } = await world.post(value, client, {
        client_id: client.clientId,
        response_type: 'code',
        redirect_uri: redirectUri,
        scope: 'openid',
        state: 'pushed',
        code_challenge: 'c'.repeat(43),
        code_challenge_method: 'S256',
      });
      expect({ status, json }).toMatchObject({
        status: 201,
        json: { expires_in: expect.any(Number) },
      });
      const fields = form({ client_id: client.clientId, request_uri: String(json.request_uri) });
      const answer = await fetch(`${world.issuer}/authorize?${fields.toString()}`, {
        redirect: 'manual',
        headers: cookiesOf(world.browser),
      });
      expect(answer.headers.get('location')).toMatch(
        /^https:\/\/app\.example\.com\/callback\?code=.*state=pushed/,
      );
    },
    absent: async (world) => {
      expect((await world.post(`${world.issuer}/par`, await world.client(), {})).status).toBe(404);
    },
  },
  require_pushed_authorization_requests: {
    listed: async (_world, value) => expect(value).toBe(false),
    absent: plainRequestWorks,
  },
};

// Languages, details, and clients that come by themselves

const otherClients: Record<string, Proof> = {
  ui_locales_supported: {
    listed: exactly(['en', 'de', 'fr', 'ar', 'xx', 'EN'], async (world, tag) => {
      const { answer } = await world.ask(await world.client(), {
        ui_locales: tag,
        prompt: 'login',
      });
      const cookie = answer.cookies.map((line) => line.split(';')[0]).join('; ');
      const page = await send(world.issuer, String(answer.location), {
        // Without what was asked, it is the browser's that counts.
        headers: { accept: 'text/html', cookie, 'accept-language': tag === 'en' ? 'de' : 'en' },
      });
      return page.text.includes(`<html lang="${tag}"`);
    }),
  },
  authorization_details_types_supported: {
    listed: exactly(['account_information', 'openid_credential', 'evil'], async (world, type) => {
      const client = await registers(world, { settings: { authorizationDetailsTypes: [type] } });
      const details = {
        type,
        instructedAmount: { amount: '1.00', currency: 'EUR' },
        creditorName: 'A',
      };
      const { answer, told } = await world.ask(client ?? (await world.client()), {
        authorization_details: JSON.stringify([details]),
      });
      if (told.error !== undefined) expect(told.error).toBe('invalid_authorization_details');
      return answer.location?.includes('/interaction/') === true;
    }),
  },
  registration_endpoint: {
    listed: async (world, value) => {
      const { status, body } = await register(world.issuer, plainApp);
      expect({ status, body }).toMatchObject({ status: 201, body: { client_name: 'Quillet' } });
      expect(value).toBe(`${world.issuer}/register`);
      const { answer } = await world.ask({ clientId: body.client_id, clientSecret: undefined });
      expect(answer.location).toContain('/interaction/');
    },
    absent: async (world) => {
      expect((await fetch(`${world.issuer}/register`, { method: 'POST' })).status).toBe(404);
    },
  },
  client_id_metadata_document_supported: {
    listed: async (world, value) => {
      expect(value).toBe(true);
      expect((await askWithDocument(world)).location).toContain('/interaction/');
    },
    absent: async (world) => {
      const { status, location } = await askWithDocument(world);
      expect({ status, location }).toEqual({ status: 400, location: undefined });
    },
  },
};

/** A client whose id is the address of what it says of itself. */
async function askWithDocument(world: World) {
  const host = await startDocumentHost();
  try {
    const clientId = `${host.origin}/app.json`;
    const document = { client_id: clientId, client_name: 'Scribe', application_type: 'web' };
    host.answer('/app.json', {
      ...document,
      redirect_uris: [`${host.origin}/callback`],
      token_endpoint_auth_method: 'none',
    });
    const client = { clientId, clientSecret: undefined };
    return (await world.ask(client, { redirect_uri: `${host.origin}/callback` })).answer;
  } finally {
    await host.stop();
  }
}

// Certificates, and what follows a sign-out

async function certificateToken(world: World) {
  const client = await world.client({ type: 'machine', bound: 'mtls' });
  return world.post(`${world.issuer}/token`, client, machineRequest, certificateHeaders(world));
}

const surroundings: Record<string, Proof> = {
  tls_client_certificate_bound_access_tokens: {
    listed: async (world, value) => {
      expect(value).toBe(true);
      const token = String((await certificateToken(world)).json.access_token);
      const { json } = await world.post(`${world.issuer}/introspect`, world.api, { token });
      expect(json.cnf).toEqual({ 'x5t#S256': thumbprint(world.certificate.der) });
    },
    absent: async (world) => {
      const { status, json } = await certificateToken(world);
      expect(status).toBe(400);
      expect(json).not.toHaveProperty('access_token');
    },
  },
  mtls_endpoint_aliases: {
    listed: async (world, value) => {
      const metadata = await world.metadata();
      const aliases = value as Record<string, string>;
      // Every endpoint where a client authenticates, or shows a token that may be bound to its certificate.
      const needed = Object.keys(metadata).filter(
        (name) =>
          name.endsWith('_endpoint') &&
          !/^(authorization|end_session|revocations|registration)_/.test(name),
      );
      expect(Object.keys(aliases).sort()).toEqual(needed.sort());
      for (const [name, alias] of Object.entries(aliases)) {
        const { origin, pathname } = new URL(alias);
        expect(origin).toBe('https://mtls.example.com');
        expect(pathname).toBe(new URL(String(metadata[name])).pathname);
      }
    },
    absent: async (world) => {
      expect((await world.metadata()).tls_client_certificate_bound_access_tokens).toBeUndefined();
    },
  },
  backchannel_logout_supported: {
    listed: async (world, value) => {
      expect(value).toBe(true);
      expect(await logoutTokens(world)).toHaveLength(1);
    },
  },
  backchannel_logout_session_supported: {
    listed: async (world, value) => {
      expect(value).toBe(true);
      const [{ claims }, idToken] = (await logoutTokens(world, true)) as unknown as [
        { claims: { sid?: string } },
        { sid?: string },
      ];
      expect(claims.sid).toEqual(expect.any(String));
      expect(claims.sid).toBe(idToken.sid);
    },
  },
};

/** What a client is told when somebody signs out, and its ID token where that is asked for. */
async function logoutTokens(world: World, withIdToken = false): Promise<unknown[]> {
  let clientId = '';
  const receiver = await openLogoutReceiver(
    world.issuer,
    () => world.issuer,
    () => clientId,
  );
  try {
    const client = await world.client({ backchannelLogoutUri: receiver.uri });
    ({ clientId } = client);
    const accountId = await world.seed.account();
    await world.seed.consent(accountId, clientId);
    const browser = await world.seed.signIn(accountId, undefined, world.issuer);
    const { told, verifier } = await world.ask(client, {}, browser);
    const { json } = await world.post(`${world.issuer}/token`, client, {
      grant_type: 'authorization_code',
      code: told.code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
    });
    const base = new URL(world.issuer).pathname.replace(/\/$/, '');
    const page = await browser.get(world.issuer, `${base}/logout`);
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(await page.text())?.[1];
    const left = await send(world.issuer, `${base}/logout/confirm`, {
      method: 'POST',
      headers: cookiesOf(browser),
      body: form({ xsrf, logout: 'yes' }),
    });
    expect(left.status).toBe(303);
    await until(async () => receiver.received.length > 0);
    return [...receiver.received, ...(withIdToken ? [decodeJwt(String(json.id_token))] : [])];
  } finally {
    await receiver.close();
  }
}

/** A member that is not here claims something that nobody has proved. */
export const proofs: Readonly<Record<string, Proof>> = {
  ...endpoints,
  ...authentication,
  ...requests,
  ...cryptography,
  ...elsewhere,
  ...otherClients,
  ...polledProofs,
  ...surroundings,
};
