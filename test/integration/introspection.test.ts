import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { sql } from 'kysely';
import { ClientService } from '../../src/client/client.service.ts';
import { JWT_BEARER } from '../../src/client/client.ts';
import { VersionWatch } from '../../src/db/versions.ts';
import { IntrospectionService } from '../../src/introspection/introspection.service.ts';
import { newIssuerSchema } from '../../src/issuer/issuer.ts';
import { Subjects } from '../../src/unit-of-work/subjects.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import { EndedPermissions } from '../../src/permission/permission.service.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { certificateHeader } from '../support/bound-tokens.ts';
import { type Certificate, selfSigned } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDetailType, files } from '../support/detail-types.ts';
import { allow, exchangeForm, exchangeGrant, trustedIssuers } from '../support/exchange.ts';
import { type Pair, startPair } from '../support/fast-path.ts';
import { until } from '../support/process.ts';
import { type ClientKey, jwksOf, newKey, now, proof, sign } from '../support/proofs.ts';
import { type Credentials, post, redirectUri, Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { answered, authorizationFields, basic, form, query, send } from '../support/wire.ts';

const issuer = 'http://localhost:3000';
const api = 'https://api.example.com';
const jwtApi = 'https://jwt.example.com';

let database: TestDatabase;
let seed: Seed;
let pair: Pair;
let reader: Credentials;
let jwtReader: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  reader = await seed.api(api);
  jwtReader = await seed.api(jwtApi, 'jwt');
  pair = await startPair(database, issuer, undefined, certificateHeader);
});

afterAll(async () => {
  await pair.close();
  await database.drop();
});

const apis = [{ identifier: api, scopes: ['read'] }];

/** What tokens are bound to: a key that proves are made with, or a certificate. */
type Bound = ClientKey | Certificate | undefined;

async function proving(bound: Bound): Promise<Record<string, string>> {
  if (bound === undefined) return {};
  if ('cert' in bound) return { 'x-client-certificate': encodeURIComponent(bound.cert) };
  return { dpop: await proof(bound, { htu: `${issuer}/token` }) };
}

/** What the token endpoint answers the client with. */
async function ask(client: Credentials, fields: Record<string, string>, bound?: Bound) {
  const answer = await send(pair.url, '/token', {
    method: 'POST',
    headers: { ...basic(client), ...(await proving(bound)) },
    body: form(fields),
  });
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json as { access_token: string; refresh_token: string };
}

const refreshed = (client: Credentials, token: string, resource: string, bound?: Bound) =>
  ask(client, { grant_type: 'refresh_token', refresh_token: token, resource }, bound);

async function tokenOf(
  client: Credentials,
  scope = 'openid read',
  resources: readonly string[] = [api],
  bound?: Bound,
) {
  const accountId = await seed.account();
  const allowed = Object.fromEntries(resources.map((one) => [one, ['read']]));
  await seed.consent(accountId, client.clientId, allowed);
  const browser = await seed.signIn(accountId);
  const { fields, verifier } = authorizationFields(client, { scope, resource: resources });
  const answer = await browser.get(pair.url, `/authorize?${query(fields)}`);
  const { code } = answered(answer.headers.get('location') ?? undefined);
  if (code === undefined) throw new Error(`no code: ${answer.headers.get('location')}`);
  const body = await ask(
    client,
    {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
      ...(resources[0] === undefined ? {} : { resource: resources[0] }),
    },
    bound,
  );
  return { accountId, token: body.access_token, refreshToken: body.refresh_token };
}

const both = (caller: Credentials, token: string) =>
  Promise.all(
    [pair.url, pair.engineUrl].map(
      async (server) => (await post(server, '/introspect', caller, { token })).body,
    ),
  );

describe('what is told of a live token', () => {
  test('all that it is, in both ways', async () => {
    const { accountId, token } = await tokenOf(await seed.client({ apis }));
    const [fastPath, engine] = await both(reader, token);
    expect(fastPath).toEqual(engine);
    expect(fastPath).toEqual({
      active: true,
      sub: accountId,
      client_id: expect.stringMatching(/^c_/),
      scope: 'read',
      aud: api,
      iss: issuer,
      exp: expect.any(Number),
      iat: expect.any(Number),
      jti: expect.stringMatching(/^[\w-]{43}$/),
      token_type: 'Bearer',
      acr: 'urn:vouchsafe:acr:1fa',
      auth_time: expect.any(Number),
    });
  });

  test('33: the address only if the scopes of this token include it, and the person and the client still allow it', async () => {
    const client = await seed.client({ apis: [...apis, { identifier: jwtApi, scopes: ['read'] }] });
    const { accountId, token, refreshToken } = await tokenOf(
      client,
      'openid email read offline_access',
      [api, jwtApi],
    );
    const username = `${accountId.toLowerCase()}@example.com`;
    // The consent covers the address, and these tokens don't.
    for (const told of await both(reader, token)) expect(told).not.toHaveProperty('username');
    const asJwt = await refreshed(client, refreshToken, jwtApi);
    for (const told of await both(jwtReader, asJwt.access_token)) {
      expect(told.active).toBe(true);
      expect(told).not.toHaveProperty('username');
    }
    // The one for userinfo, and the refresh token, have the scope.
    const own = await seed.client();
    const forUserinfo = await tokenOf(own, 'openid email offline_access', []);
    for (const each of [forUserinfo.token, forUserinfo.refreshToken])
      for (const told of await both(own, each))
        expect(told.username).toBe(`${forUserinfo.accountId.toLowerCase()}@example.com`);
    for (const told of await both(client, asJwt.refresh_token))
      expect(told.username).toBe(username);
    const without = await tokenOf(own, 'openid profile offline_access', []);
    for (const each of [without.token, without.refreshToken])
      for (const told of await both(own, each)) expect(told).not.toHaveProperty('username');
    // A client that may no longer have it is not told either.
    await sql`update clients set metadata = metadata || '{"scope":"openid"}' where id = ${own.clientId}`.execute(
      database.db.kysely,
    );
    for (const told of await both(own, forUserinfo.token))
      expect(told).not.toHaveProperty('username');
  });

  describe('8: the opaque form, the JWT form and the claims of a token say the same', () => {
    const bothApis = [...apis, { identifier: jwtApi, scopes: ['read'] }];
    /** What only introspection says. */
    const ofIntrospection = ['active', 'token_type', 'username'];

    /** A type of authorization details belongs to one API. */
    const withoutTypes = (told: unknown) => {
      const all = told as Record<string, number> & { authorization_details?: object[] };
      return {
        ...all,
        ...(all.authorization_details && {
          authorization_details: all.authorization_details.map((one) => ({ ...one, type: '' })),
        }),
      } as Record<string, number>;
    };

    async function expectSame(opaque: string, jwt: string, more: readonly string[]) {
      const claims = decodeJwt(jwt);
      const [ofOpaque, opaqueByEngine] = await both(reader, opaque);
      const [ofJwt, jwtByEngine] = await both(jwtReader, jwt);
      expect([opaqueByEngine, jwtByEngine]).toEqual([ofOpaque, ofJwt]);
      // Member by member, the claims of the JWT itself.
      const told = Object.fromEntries(
        Object.entries(ofJwt ?? {}).filter(([name]) => !ofIntrospection.includes(name)),
      );
      expect(told).toEqual(claims);
      expect(Object.keys(ofOpaque ?? {})).toEqual(Object.keys(ofJwt ?? {}));
      const { aud, jti, iat, exp, ...rest } = withoutTypes(ofOpaque);
      const { aud: aud2, jti: jti2, iat: iat2, exp: exp2, ...rest2 } = withoutTypes(ofJwt);
      expect(rest).toEqual(rest2);
      expect([aud, aud2]).toEqual([api, jwtApi]);
      expect(jti).not.toBe(jti2);
      expect((exp ?? 0) - (iat ?? 0)).toBe((exp2 ?? 0) - (iat2 ?? 0));
      expect(Object.keys(ofJwt ?? {}).toSorted()).toEqual(
        [
          'active',
          'aud',
          'client_id',
          'exp',
          'iat',
          'iss',
          'jti',
          'scope',
          'sub',
          'token_type',
          ...more,
        ].toSorted(),
      );
    }

    test.each(['public', 'pairwise'] as const)('of a person, %s', async (subjectType) => {
      const client = await seed.client({
        apis: bothApis,
        subjectType,
        backchannelLogoutUri: 'https://app.example.com/backchannel-logout',
      });
      const { refreshToken } = await tokenOf(client, 'openid email read offline_access', [
        api,
        jwtApi,
      ]);
      const opaque = await refreshed(client, refreshToken, api);
      const jwt = await refreshed(client, opaque.refresh_token, jwtApi);
      await expectSame(opaque.access_token, jwt.access_token, ['acr', 'auth_time', 'sid']);
    });

    const bindings = [
      ['a key', async () => ({ bound: await newKey(), how: 'dpop' as const, by: 'jkt' })],
      [
        'a certificate',
        async () => ({ bound: selfSigned(), how: 'mtls' as const, by: 'x5t#S256' }),
      ],
    ] as const;

    test.each(bindings)('of a person, bound to %s', async (_name, make) => {
      const { bound, how, by } = await make();
      const client = await seed.client({ apis: bothApis, bound: how });
      const scope = 'openid read offline_access';
      const { refreshToken } = await tokenOf(client, scope, [api, jwtApi], bound);
      const opaque = await refreshed(client, refreshToken, api, bound);
      const jwt = await refreshed(client, opaque.refresh_token, jwtApi, bound);
      await expectSame(opaque.access_token, jwt.access_token, ['acr', 'auth_time', 'cnf']);
      expect(decodeJwt(jwt.access_token).cnf).toEqual({ [by]: expect.any(String) });
    });

    /** What a machine gets for each API by the same request. */
    async function forBoth(
      client: Credentials,
      fields: Record<string, string> | ((resource: string) => Promise<Record<string, string>>),
      bound?: Bound,
    ): Promise<[opaque: string, jwt: string]> {
      const one = async (resource: string) => {
        const asked = typeof fields === 'function' ? await fields(resource) : fields;
        const all = { grant_type: 'client_credentials', resource, scope: 'read', ...asked };
        return (await ask(client, all, bound)).access_token;
      };
      return [await one(api), await one(jwtApi)];
    }

    test('of a machine', async () => {
      const client = await seed.client({ type: 'machine', apis: bothApis });
      await expectSame(...(await forBoth(client, {})), []);
    });

    test.each(bindings)('of a machine, bound to %s', async (_name, make) => {
      const { bound, how, by } = await make();
      const client = await seed.client({ type: 'machine', apis: bothApis, bound: how });
      const [opaque, jwt] = await forBoth(client, {}, bound);
      await expectSame(opaque, jwt, ['cnf']);
      expect(decodeJwt(jwt).cnf).toEqual({ [by]: expect.any(String) });
    });

    test('of a person and of a machine, with authorization details', async () => {
      const [here, there] = ['files_here', 'files_there'] as const;
      await addDetailType(database.db, api, { ...files, type: here });
      await addDetailType(database.db, jwtApi, { ...files, type: there });
      const details = (...types: string[]) =>
        JSON.stringify(types.map((type) => ({ type, path: '/photos', actions: ['list'] })));
      const settings = { authorizationDetailsTypes: [here, there] };
      const machine = await seed.client({ type: 'machine', apis: bothApis });
      const client = await seed.client({ apis: bothApis });
      for (const { clientId } of [machine, client]) await seed.updateClient(clientId, settings);
      const asked = async (resource: string) => ({
        authorization_details: details(resource === api ? here : there),
      });
      await until(() =>
        forBoth(machine, asked).then(
          () => true,
          () => false,
        ),
      );
      await expectSame(...(await forBoth(machine, asked)), ['authorization_details']);

      const scope = 'openid read offline_access';
      const { refreshToken } = await tokenOf(client, scope, [api, jwtApi]);
      // As if the page had asked for them too.
      await sql`update tokens set payload = jsonb_set(payload, '{rar}', ${details(here, there)}::jsonb)
        where client_id = ${client.clientId} and kind = 'refresh'`.execute(database.db.kysely);
      const opaque = await refreshed(client, refreshToken, api);
      const jwt = await refreshed(client, opaque.refresh_token, jwtApi);
      const more = ['acr', 'auth_time', 'authorization_details'];
      await expectSame(opaque.access_token, jwt.access_token, more);
    });

    test('of a person and of a machine, exchanged by somebody who acts for them', async () => {
      const source = 'https://source.example.com';
      await seed.api(source, 'opaque', ['read'], { accessTokenTtl: 86_400 });
      const all = [...bothApis, { identifier: source, scopes: ['read'] }];
      const mover = await seed.client({ type: 'machine', apis: all, ...exchangeGrant });
      for (const target of [api, jwtApi])
        await allow(database, { clientId: mover.clientId, source, target, scopes: ['read'] });
      const client = await seed.client({ apis: all, subjectType: 'pairwise' });
      const machine = await seed.client({ type: 'machine', apis: all });
      const wanted = { grant_type: 'client_credentials', resource: source, scope: 'read' };
      const taken = async () => (await ask(machine, wanted)).access_token;
      await until(() =>
        taken().then(
          () => true,
          () => false,
        ),
      );
      for (const [subject, more] of [
        [(await tokenOf(client, 'openid read', [source])).token, ['acr', 'auth_time']],
        [await taken(), []],
      ] as const) {
        const exchanged = async (resource: string) => exchangeForm(subject, resource);
        const [opaque, jwt] = await forBoth(mover, exchanged);
        await expectSame(opaque, jwt, [...more, 'act']);
        expect(decodeJwt(jwt).act).toEqual({ sub: mover.clientId });
      }
    });

    test('of a machine, from an assertion that names who may act', async () => {
      const key = await newKey();
      const ci = 'https://ci.example.com';
      const grantTypes: [typeof JWT_BEARER] = [JWT_BEARER];
      const client = await seed.client({ type: 'machine', apis: bothApis, grantTypes });
      const issuers = trustedIssuers(database);
      const [jwk] = jwksOf(key).keys;
      const jwks = { keys: [{ ...jwk, kid: 'key-0' }] };
      await issuers.add(newIssuerSchema.parse({ issuer: ci, jwks }), 'test');
      for (const one of [api, jwtApi]) {
        const rule = { subject: 'job', clientId: client.clientId, scopes: ['read'] };
        await issuers.allow(ci, { ...rule, api: one, public: false }, 'test');
      }
      const asserted = async () => {
        const claims = { iss: ci, sub: 'job', aud: issuer, may_act: { sub: 'm_other' } };
        const times = { jti: randomUUID(), iat: now(), nbf: now(), exp: now() + 300 };
        const assertion = await sign(key, { ...claims, ...times }, { kid: 'key-0', typ: 'JWT' });
        return { grant_type: JWT_BEARER, assertion };
      };
      await until(() =>
        forBoth(client, asserted).then(
          () => true,
          () => false,
        ),
      );
      await expectSame(...(await forBoth(client, asserted)), ['may_act']);
    });
  });

  test('RFC 9701: a signed answer says the same', async () => {
    const client = await seed.client({ apis, introspectionSigningAlg: 'ES256' });
    const { token } = await tokenOf(client);
    const [plain] = await both(client, token);
    for (const server of [pair.url, pair.engineUrl]) {
      const answer = await send(server, '/introspect', {
        method: 'POST',
        headers: { ...basic(client), accept: 'application/token-introspection+jwt' },
        body: form({ token }),
      });
      expect(answer.headers['content-type']).toMatch(/^application\/token-introspection\+jwt/);
      expect(decodeJwt(answer.text).token_introspection).toEqual(plain);
    }
  });
});

test('tokens that are asked for at one moment are found in one statement, each its own', async () => {
  const machine = await seed.client({ type: 'machine', apis });
  const tokens = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const fields = { grant_type: 'client_credentials', resource: api, scope: 'read' };
      return (await post(pair.url, '/token', machine, fields)).body.access_token;
    }),
  );
  expect(new Set(tokens).size).toBe(100);
  let statements = 0;
  const db = database.connect({
    observer: () => {
      statements++;
      return undefined;
    },
  });
  const resourceServers = new ResourceServerService(db);
  const service = new IntrospectionService({
    db,
    issuer,
    clients: new ClientService(db, resourceServers, new OutboundAllow([])),
    resourceServers,
    verifyJwt: async () => undefined,
    subjects: new Subjects(Buffer.alloc(32)),
    endedPermissions: new EndedPermissions(database.db),
  });
  const asked = tokens.flatMap((token, index) => [token, `vs_mt_${index}`, 'unknown', token]);
  const found = await Promise.all(asked.map((token) => service.find(token)));
  expect(found.map((token) => token?.clientId)).toEqual(
    asked.map((token) => (tokens.includes(token) ? machine.clientId : undefined)),
  );
  // 300 lookups, 8 at once.
  expect(statements).toBe(38);
});

test('a changed secret or a disabled client: at once in the process that did it, within two seconds in others', async () => {
  const here = serviceOn(database);
  const there = serviceOn({ ...database, db: database.connect() });
  const watch = new VersionWatch(there.db);
  watch.on('clients', () => there.clients.refresh());
  await watch.start();
  try {
    const first = (await seed.client()) as { clientId: string; clientSecret: string };
    const isTaken = async ({ clients }: typeof here, clientSecret: string) =>
      (await clients.authenticate({ ...first, clientSecret })) !== undefined;
    for (const one of [here, there]) expect(await isTaken(one, first.clientSecret)).toBe(true);
    // The third secret takes the place of the first.
    const second = (await here.clients.addSecret(first.clientId, 'test')).clientSecret as string;
    expect(await isTaken(here, second)).toBe(true);
    await here.clients.addSecret(first.clientId, 'test');
    expect(await isTaken(here, first.clientSecret)).toBe(false);
    await until(async () => !(await isTaken(there, first.clientSecret)));
    await here.clients.setDisabled(first.clientId, true, 'test');
    expect(await isTaken(here, second)).toBe(false);
    await until(async () => !(await isTaken(there, second)));
  } finally {
    watch.stop();
  }
});

test('an API that changes in one process is known to the others within two seconds', async () => {
  const changing = 'https://changing.example.com';
  const owner = await seed.api(changing);
  const machine = await seed.client({
    type: 'machine',
    apis: [{ identifier: changing, scopes: ['read'] }],
  });
  const issue = async (server: string): Promise<string> => {
    const fields = { grant_type: 'client_credentials', resource: changing, scope: 'read' };
    return (await post(server, '/token', machine, fields)).body.access_token ?? '';
  };
  for (const server of [pair.url, pair.engineUrl])
    await until(async () => (await issue(server)).startsWith('vs_mt_'));
  await new ResourceServerService(database.db).update(
    changing,
    { tokenFormat: 'jwt', tokenTyp: 'JWT', signingAlg: 'EdDSA' },
    'test',
  );
  for (const server of [pair.url, pair.engineUrl])
    await until(async () => (await issue(server)).startsWith('eyJ'));
  for (const server of [pair.url, pair.engineUrl]) {
    const token = await issue(server);
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'EdDSA', typ: 'JWT' });
    for (const { active } of await both(owner, token)) expect(active).toBe(true);
  }
});

function serviceOn({ db }: Pick<TestDatabase, 'db'>) {
  return {
    db,
    clients: new ClientService(db, new ResourceServerService(db), new OutboundAllow([])),
  };
}

describe('a database that answers no more', () => {
  let folder: string;
  let line: Line;
  let server: ServerProcess;

  beforeAll(async () => {
    const { host, port } = database.connection;
    folder = await mkdtemp(join(tmpdir(), 'vouchsafe-line-'));
    const socket = `.s.PGSQL.${port}`;
    line = new Line(join(host, socket));
    await line.open(join(folder, socket));
    const behind = { ...database, connection: { ...database.connection, host: folder } };
    server = await startServerProcess(behind, issuer, { LOG_LEVEL: 'silent' });
  });

  afterAll(async () => {
    await server.stop();
    await line.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('the fast paths answer 503, once and not twice after the wait, and go on when it is back', async () => {
    const machine = await seed.client({ type: 'machine', apis });
    const issue = () =>
      send(server.url, '/token', {
        method: 'POST',
        headers: basic(machine),
        body: form({ grant_type: 'client_credentials', resource: api, scope: 'read' }),
      });
    const { access_token: token } = (await issue()).json as { access_token: string };
    const introspect = () =>
      send(server.url, '/introspect', {
        method: 'POST',
        headers: basic(reader),
        body: form({ token }),
      });
    expect((await introspect()).json.active).toBe(true);
    await server.arm();
    line.silence();
    for (const answer of await Promise.all([introspect(), introspect(), issue()])) {
      expect(answer.status).toBe(503);
      expect(answer.headers).toMatchObject({
        'retry-after': '5',
        'cache-control': 'no-store',
        'access-control-allow-origin': '*',
      });
      expect(answer.json.error).toBe('temporarily_unavailable');
    }
    // What had failed was not tried again on the engine's way.
    expect(await server.waits()).toBeLessThanOrEqual(2);
    line.resume();
    await until(async () => (await introspect()).json.active === true);
    await until(async () => (await issue()).status === 200);
  });
});

/** Stands between the server and PostgreSQL, and can fall silent without breaking off. */
class Line {
  readonly #target: string;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #silent = false;

  constructor(target: string) {
    this.#target = target;
    this.#server = createServer((incoming) => this.#join(incoming, connect(this.#target)));
  }

  open(path: string): Promise<void> {
    return new Promise((resolve) => this.#server.listen(path, resolve));
  }

  silence(): void {
    this.#silent = true;
    for (const socket of this.#sockets) socket.pause();
  }

  resume(): void {
    this.#silent = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(incoming: Socket, outgoing: Socket): void {
    for (const [socket, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('data', (chunk) => other.write(chunk));
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      if (this.#silent) socket.pause();
    }
  }
}
