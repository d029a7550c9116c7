import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import { createIntrospectionClient } from '../../src/client/client.service.ts';
import type { ClientChanges } from '../../src/client/client-settings.ts';
import { JWT_BEARER, type NewClient, TOKEN_EXCHANGE } from '../../src/client/client.ts';
import { newIssuerSchema } from '../../src/issuer/issuer.ts';
import {
  prepareSelfRegistered,
  replaceSelfRegistered,
} from '../../src/client/self-registered.service.ts';
import { readMetadata } from '../../src/client-registration/metadata.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import {
  newResourceServerSchema,
  type ResourceServerChanges,
} from '../../src/resource-server/resource-server.ts';
import { Browser } from '../support/browser.ts';
import { raiseVersion } from '../../src/db/versions.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDetailType, payment, statements } from '../support/detail-types.ts';
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts';
import { allow, exchangeGrant, exchangeToken, trustedIssuers } from '../support/exchange.ts';
import { Feed } from '../support/feed.ts';
import { until } from '../support/process.ts';
import { jwksOf, newKey, now, sign } from '../support/proofs.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  redirectUri,
  refresh,
  Seed,
} from '../support/protocol.ts';
import { ask, enterPassword, redeem } from '../support/relying-party.ts';
import {
  manage,
  plainApp,
  register,
  type RegistrationAnswer,
} from '../support/self-registering.ts';
import { startServer, type TestServer } from '../support/server.ts';

/** What a change of a client, or of an API, means for what was given before it. */

const apis = {
  api: 'https://ledger.example.com',
  other: 'https://other.example.com',
  removing: 'https://removing.example.com',
  last: 'https://last.example.com',
  open: 'https://open.example.com',
  leaving: 'https://leaving.example.com',
} as const;
const { api, other } = apis;

let database: TestDatabase;
let server: TestServer;
let host: DocumentHost;
let seed: Seed;
/** The credentials of each API. */
const askers = new Map<string, Credentials>();
const askerOf = (identifier: string) => askers.get(identifier) as Credentials;

beforeAll(async () => {
  [database, host] = await Promise.all([createTestDatabase(), startDocumentHost()]);
  server = await startServer(database, {
    CLIENT_REGISTRATION: 'open',
    CLIENT_REGISTRATION_PER_ADDRESS: '1000',
    CLIENT_REGISTRATION_IN_ALL: '1000',
    OUTBOUND_ALLOW: 'localhost',
    TRUST_PROXY: '1',
  });
  seed = new Seed(database.db, ['localhost']);
  for (const identifier of Object.values(apis)) askers.set(identifier, await jwtApi(identifier));
  // The server learns of them by itself, the last one last.
  const machine = await seed.client({
    type: 'machine',
    apis: Object.values(apis).map((identifier) => ({ identifier, scopes: ['read'] })),
  });
  await until(async () =>
    (await Promise.all(Object.values(apis).map((one) => machineToken(machine, one, 'read')))).every(
      ({ error }) => error === undefined,
    ),
  );
  probe = (await machineToken(machine, apis.last, 'read')).access_token;
});

afterEach(() => sql`delete from rate_limits`.execute(database.db.kysely));

afterAll(async () => {
  await server.close();
  await host.stop();
  await database.drop();
});

async function jwtApi(identifier: string): Promise<Credentials> {
  const input = newResourceServerSchema.parse({
    identifier,
    name: 'Ledger',
    tokenFormat: 'jwt',
    scopes: ['read', 'write'].map((scope) => ({ scope, description: scope })),
  });
  const { credentials } = await server.services.resourceServers.create(input, 'test', (db, id) =>
    createIntrospectionClient(db, id, input.name),
  );
  return credentials;
}

const both = [
  { identifier: api, scopes: ['read', 'write'] },
  { identifier: other, scopes: ['read', 'write'] },
];

/** Changes are made by services of their own, as the command line has them: the server learns of them by itself. */
const change = async (clientId: string, changes: ClientChanges) => {
  await readEnded();
  await server.services.clients.update(clientId, changes, 'test');
};
const changeApi = async (identifier: string, changes: ResourceServerChanges) => {
  await readEnded();
  await server.services.resourceServers.update(identifier, changes, 'test');
};

/** A live token that no test ends. */
let probe: string;

/** The server has read what has ended: it learns of what ends next together with the changed client. */
async function readEnded(): Promise<void> {
  expect(await active(probe, askerOf(apis.last))).toBe(true);
}

/** A client, a person who allowed it everything, and tokens for an API. */
async function signedIn(
  input: Partial<NewClient> = {},
  scope = 'openid email offline_access read write',
) {
  const client = await seed.client({ apis: both, ...input });
  return { client, ...(await tokensOf(client, scope)) };
}

async function tokensOf(
  client: Credentials,
  scope: string,
  resource: string | null = api as string,
) {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId, { [api]: ['read', 'write'], [other]: ['read'] });
  const browser = await seed.signIn(accountId, undefined, server.issuer);
  const extra = { scope, ...(resource === null ? {} : { resource }) };
  const code = await browser.authorize(server.issuer, client, extra);
  const { body } = await exchange(server.issuer, client, code);
  return { accountId, browser, tokens: body };
}

const machineToken = async (client: Credentials, resource: string = api, scope = 'read write') =>
  (
    await post(server.issuer, '/token', client, {
      grant_type: 'client_credentials',
      resource,
      scope,
    })
  ).body;

const active = (token: string, asker = askerOf(api)) => isActive(server.issuer, asker, token);
const eventuallyDead = (token: string, asker = askerOf(api)) =>
  until(async () => !(await active(token, asker)));
const feedRefuses = (token: string) =>
  until(async () => {
    const feed = new Feed(server.issuer, server.issuer);
    await feed.poll();
    return feed.refuses(token);
  });
const feedTakes = async (token: string) => {
  const feed = new Feed(server.issuer, server.issuer);
  await feed.poll();
  return !feed.refuses(token);
};
const revokedFamilies = async (clientId: string) =>
  (
    await database.db.kysely
      .selectFrom('grants')
      .select(['revoked_reason'])
      .where('client_id', '=', clientId)
      .where('revoked_at', 'is not', null)
      .execute()
  ).map((row) => row.revoked_reason);

describe('31: narrowing ends what was given beyond it', () => {
  test('an API scope of a client: its tokens that carry it end, and a refresh gives less', async () => {
    const { client, tokens } = await signedIn();
    const less = (await refresh(server.issuer, client, tokens.refresh_token, { scope: 'read' }))
      .body;
    expect([await active(tokens.access_token), await active(less.access_token)]).toEqual([
      true,
      true,
    ]);
    await change(client.clientId, {
      apis: [{ identifier: api, scopes: ['read'] }, both[1] as never],
    });
    await eventuallyDead(tokens.access_token);
    await feedRefuses(tokens.access_token);
    // What carries none of it lives on, also by the feed.
    expect(await active(less.access_token)).toBe(true);
    expect(await feedTakes(less.access_token)).toBe(true);
    const renewed = (await refresh(server.issuer, client, less.refresh_token)).body;
    expect(renewed.scope).toBe('read');
    expect(await active(renewed.access_token)).toBe(true);
    expect(await feedTakes(renewed.access_token)).toBe(true);
    expect(await revokedFamilies(client.clientId)).toEqual([]);
    // Given back, it revives no token.
    await change(client.clientId, { apis: both });
    expect(await active(tokens.access_token)).toBe(false);
  });

  test('a whole API: nothing for it is given, or lives, and the other API goes on', async () => {
    const { client, tokens } = await signedIn({}, 'openid offline_access read write');
    const { tokens: elsewhere } = await tokensOf(client, 'openid offline_access read', other);
    await change(client.clientId, { apis: [both[1] as never] });
    await eventuallyDead(tokens.access_token);
    await feedRefuses(tokens.access_token);
    expect((await refresh(server.issuer, client, tokens.refresh_token)).status).toBe(400);
    expect(await active(elsewhere.access_token, askerOf(other))).toBe(true);
    expect(await feedTakes(elsewhere.access_token)).toBe(true);
    expect((await refresh(server.issuer, client, elsewhere.refresh_token)).status).toBe(200);
  });

  test('an identity scope: userinfo and introspection end for tokens that carry it', async () => {
    const client = await seed.client();
    const { tokens } = await tokensOf(client, 'openid email offline_access', null);
    const userinfo = async (token: string) =>
      (await fetch(`${server.issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } }))
        .status;
    expect(await userinfo(tokens.access_token)).toBe(200);
    await change(client.clientId, { scopes: ['openid', 'offline_access'] });
    await eventuallyDead(tokens.access_token, client);
    expect(await userinfo(tokens.access_token)).toBe(401);
    const told = await post(server.issuer, '/introspect', client, { token: tokens.refresh_token });
    expect(told.body.scope).toBe('openid offline_access');
    const renewed = (await refresh(server.issuer, client, tokens.refresh_token)).body;
    expect(renewed.scope).toBe('openid offline_access');
    expect(await userinfo(renewed.access_token)).toBe(200);
  });

  test.each<[name: string, changes: ClientChanges]>([
    ['offline_access', { scopes: ['openid', 'email'] }],
    ['the grant type refresh_token', { grantTypes: ['authorization_code'] }],
  ])('%s: families with refresh tokens end, and new ones have none', async (_, changes) => {
    const { client, browser, tokens } = await signedIn();
    await change(client.clientId, changes);
    await eventuallyDead(tokens.access_token);
    await feedRefuses(tokens.access_token);
    expect((await refresh(server.issuer, client, tokens.refresh_token)).status).toBe(400);
    expect(await revokedFamilies(client.clientId)).toEqual(['client_narrowed']);
    await until(async () => {
      const code = await browser.authorize(server.issuer, client, { scope: 'openid email' });
      return !('refresh_token' in (await exchange(server.issuer, client, code)).body);
    });
    // Given back, it revives no token.
    await change(client.clientId, {
      scopes: ['openid', 'email', 'offline_access'],
      grantTypes: ['authorization_code', 'refresh_token'],
    });
    expect((await refresh(server.issuer, client, tokens.refresh_token)).body.error).toMatch(
      /invalid_grant|unauthorized_client/,
    );
  });

  test('offline_access: nor is what another process gave before it heard of it renewed', async () => {
    const { client, browser, tokens } = await signedIn();
    const code = await browser.authorize(server.issuer, client, {
      scope: 'openid offline_access',
    });
    // The change without its ends: for this process, code and tokens are of after it.
    await sql`update clients set metadata = jsonb_set(metadata, '{scope}', '"openid email"') where id = ${client.clientId}`.execute(
      database.db.kysely,
    );
    await database.db.transaction((db) => raiseVersion(db, 'clients'));
    let token = tokens.refresh_token;
    let error: unknown;
    await until(async () => {
      const { body } = await refresh(server.issuer, client, token);
      token = body.refresh_token ?? token;
      ({ error } = body);
      return error !== undefined;
    });
    expect(error).toBe('invalid_grant');
    const { status, body } = await exchange(server.issuer, client, code);
    expect([status, body.refresh_token]).toEqual([200, undefined]);
  });

  test('client_credentials: the machine tokens of a client end, and those of its users live', async () => {
    const { client, tokens } = await signedIn({
      grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
    });
    const machine = await machineToken(client);
    expect(await active(machine.access_token)).toBe(true);
    await change(client.clientId, { grantTypes: ['authorization_code', 'refresh_token'] });
    await eventuallyDead(machine.access_token);
    await feedRefuses(machine.access_token);
    expect((await machineToken(client)).error).toBe('unauthorized_client');
    expect(await active(tokens.access_token)).toBe(true);
    expect(await feedTakes(tokens.access_token)).toBe(true);
  });

  test('token exchange: what the client exchanged ends, and what others made from that', async () => {
    const exchanging = { type: 'machine', apis: both, ...exchangeGrant } as const;
    const [mover, second] = [await seed.client(exchanging), await seed.client(exchanging)];
    for (const [client, source, target] of [
      [mover, api, other],
      [second, other, api],
    ] as const)
      await allow(database, { clientId: client.clientId, source, target, scopes: ['read'] });
    const { tokens } = await signedIn();
    const take = (client: Credentials, token: string, target: string) =>
      exchangeToken(server.issuer, client, token, target);
    let moved = await take(mover, tokens.access_token, other);
    await until(async () => {
      moved = await take(mover, tokens.access_token, other);
      return moved.status === 200;
    });
    const made = (await take(second, moved.body.access_token, api)).body.access_token;
    expect([await active(moved.body.access_token, askerOf(other)), await active(made)]).toEqual([
      true,
      true,
    ]);
    await change(mover.clientId, { grantTypes: ['client_credentials'] });
    await eventuallyDead(moved.body.access_token, askerOf(other));
    await eventuallyDead(made);
    await feedRefuses(moved.body.access_token);
    await feedRefuses(made);
    await until(
      async () =>
        (await take(mover, tokens.access_token, other)).body.error === 'unauthorized_client',
    );
    expect((await take(second, moved.body.access_token, api)).status).toBe(400);
    // What it was made from is another client's.
    expect(await active(tokens.access_token)).toBe(true);
    expect(await feedTakes(tokens.access_token)).toBe(true);
    // Given back, it revives no token.
    await change(mover.clientId, { grantTypes: exchangeGrant.grantTypes });
    expect(await active(moved.body.access_token, askerOf(other))).toBe(false);
  });

  test('JWT bearer: tokens from assertions end, and what others made from them', async () => {
    const ci = 'https://ci.example.com';
    const key = await newKey();
    const [jwk] = jwksOf(key).keys;
    const job = await seed.client({ type: 'machine', apis: both, grantTypes: [JWT_BEARER] });
    const mover = await seed.client({ type: 'machine', apis: both, ...exchangeGrant });
    const rule = { source: api, target: other, scopes: ['read'] };
    await allow(database, { clientId: mover.clientId, ...rule });
    const issuers = trustedIssuers(database);
    const trusted = newIssuerSchema.parse({
      issuer: ci,
      jwks: { keys: [{ ...jwk, kid: 'key-0' }] },
    });
    await issuers.add(trusted, 'test');
    const subject = { subject: 'job', clientId: job.clientId, api, scopes: ['read'] };
    await issuers.allow(ci, { ...subject, public: false }, 'test');
    const take = async () => {
      const claims = { iss: ci, sub: 'job', aud: server.issuer, jti: randomUUID() };
      const times = { iat: now(), nbf: now(), exp: now() + 300 };
      const assertion = await sign(key, { ...claims, ...times }, { kid: 'key-0', typ: 'JWT' });
      const fields = { grant_type: JWT_BEARER, assertion, resource: api, scope: 'read' };
      return post(server.issuer, '/token', job, fields);
    };
    await until(async () => (await take()).status === 200);
    const token = (await take()).body.access_token;
    const exchanged = () => exchangeToken(server.issuer, mover, token, other);
    await until(async () => (await exchanged()).status === 200);
    const made = (await exchanged()).body.access_token;
    expect([await active(token), await active(made, askerOf(other))]).toEqual([true, true]);
    await change(job.clientId, { grantTypes: ['client_credentials'] });
    await eventuallyDead(token);
    await eventuallyDead(made, askerOf(other));
    await feedRefuses(token);
    await feedRefuses(made);
    expect((await take()).body.error).toBe('unauthorized_client');
    expect((await exchanged()).status).toBe(400);
  });

  test('a type of authorization details: tokens that carry it end, and a refresh gives less', async () => {
    await addDetailType(database.db, api, payment);
    await addDetailType(database.db, api, statements);
    const isKnown = async () => {
      const answer = await fetch(`${server.issuer}/.well-known/openid-configuration`);
      return (await answer.text()).includes(statements.type);
    };
    await until(isKnown);
    const settings = { authorizationDetailsTypes: [payment.type, statements.type] };
    const client = await server.createClient({ apis: both, settings });
    const mover = await seed.client({ type: 'machine', apis: both, ...exchangeGrant });
    const rule = { source: api, target: other, scopes: ['read'] };
    await allow(database, { clientId: mover.clientId, ...rule });
    const account = await server.createAccount();
    const browser = new Browser();
    const details = [
      {
        type: payment.type,
        instructedAmount: { amount: '123.50', currency: 'EUR' },
        creditorName: 'Merchant A',
      },
      { type: statements.type, account: 'DE40100100103307118608' },
    ];
    const asked = ask(server, client, {
      scope: 'openid offline_access read',
      resource: api,
      authorization_details: JSON.stringify(details),
    });
    const page = await enterPassword(browser, await browser.get(asked.url), account);
    const given = await redeem(server, client, asked, await browser.submit(page, {}, 'allow'));
    const narrowed = { authorization_details: JSON.stringify([details[1]]) };
    const kept = (await refresh(server.issuer, client, given.refresh_token as string, narrowed))
      .body;
    expect(decodeJwt(given.access_token).authorization_details).toEqual(details);
    expect(decodeJwt(kept.access_token).authorization_details).toEqual([details[1]]);
    const exchanged = (token: string) => exchangeToken(server.issuer, mover, token, other);
    await until(async () => (await exchanged(given.access_token)).status === 200);
    const made = (await exchanged(given.access_token)).body.access_token;

    await change(client.clientId, { authorizationDetailsTypes: [statements.type] });
    await eventuallyDead(given.access_token);
    await eventuallyDead(made, askerOf(other));
    await feedRefuses(given.access_token);
    await feedRefuses(made);
    expect((await exchanged(given.access_token)).status).toBe(400);
    expect(await active(kept.access_token)).toBe(true);
    expect(await feedTakes(kept.access_token)).toBe(true);
    expect((await exchanged(kept.access_token)).status).toBe(200);
    const again = await refresh(server.issuer, client, kept.refresh_token);
    expect(again.body.authorization_details).toEqual([details[1]]);
    expect(decodeJwt(again.body.access_token).authorization_details).toEqual([details[1]]);
    expect(await active(again.body.access_token)).toBe(true);
    expect(await revokedFamilies(client.clientId)).toEqual([]);
    // Given back, it revives no token.
    await change(client.clientId, settings);
    expect(await active(given.access_token)).toBe(false);
  });

  test('authorization_code: every family of the client ends', async () => {
    const { client, tokens } = await signedIn({
      grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
    });
    await change(client.clientId, { grantTypes: ['client_credentials'], redirectUris: [] });
    await eventuallyDead(tokens.access_token);
    await feedRefuses(tokens.access_token);
    expect(await revokedFamilies(client.clientId)).toEqual(['client_narrowed']);
  });

  test('first-party: what was given without consent ends', async () => {
    const { client, tokens } = await signedIn({ firstParty: true });
    await change(client.clientId, { firstParty: false });
    await eventuallyDead(tokens.access_token);
    expect((await refresh(server.issuer, client, tokens.refresh_token)).status).toBe(400);
  });

  test('a scope of a machine: its JWTs, which have no row, end by the feed as well', async () => {
    const machine = await seed.client({ type: 'machine', apis: both });
    const [wide, narrow] = [await machineToken(machine), await machineToken(machine, api, 'read')];
    await change(machine.clientId, { apis: [{ identifier: api, scopes: ['read'] }] });
    await eventuallyDead(wide.access_token);
    await feedRefuses(wide.access_token);
    expect(await active(narrow.access_token)).toBe(true);
    await until(async () => (await machineToken(machine)).scope === 'read');
    const [next] = [await machineToken(machine)];
    expect(await active(next.access_token)).toBe(true);
    expect(await feedTakes(next.access_token)).toBe(true);
  });
});

describe('29 and 31: a process that is killed after the commit of a change', () => {
  const many = 20_500;
  /** More families than one statement ends, and one that began after the change. */
  async function addFamilies(clientId: string): Promise<void> {
    const accountId = await seed.account();
    const add = (id: string, count: number, createdAt: string) =>
      database.db.pool.query(
        `insert into grants (id, account_id, client_id, payload, key_id, created_at, expires_at)
         select $1 || $2 || n, $3, $2, '{}', 'k', ${createdAt}, now() + interval '1 day' from generate_series(1, $4) n`,
        [id, clientId, accountId, count],
      );
    await add('many_', many, 'now()');
    await add('zz_', 1, `now() + interval '1 hour'`);
  }
  /** It gets no further than what is committed first. */
  const killed = () => {
    let ended = 0;
    return database.connect({
      observer: (text) => {
        if (/update "?grants/.test(text) && ++ended > 1) throw new Error('killed');
        return undefined;
      },
    });
  };
  const living = async (clientId: string) =>
    (
      await database.db.kysely
        .selectFrom('grants')
        .select('id')
        .where('client_id', '=', clientId)
        .where('revoked_at', 'is', null)
        .limit(2)
        .execute()
    ).map(({ id }) => id);

  test('leaves no family of a narrowed client alive', async () => {
    const { clientId } = await seed.client({
      grantTypes: ['authorization_code', 'refresh_token', 'client_credentials'],
    });
    await addFamilies(clientId);
    await new Seed(killed())
      .updateClient(clientId, { grantTypes: ['client_credentials'], redirectUris: [] })
      .catch(() => undefined);
    await until(async () => (await living(clientId)).length === 1);
    expect(await living(clientId)).toEqual([`zz_${clientId}1`]);
    const reasons = await revokedFamilies(clientId);
    expect([reasons.length, [...new Set(reasons)]]).toEqual([many, ['client_narrowed']]);
  });

  test('and none of one that authenticates in a weaker way', async () => {
    const { client_id: clientId } = (await register(server.issuer)).body;
    await addFamilies(clientId);
    const weaker = { ...plainApp, token_endpoint_auth_method: 'none' };
    const prepared = await prepareSelfRegistered(readMetadata(weaker), new OutboundAllow());
    await killed().transaction((tx) => replaceSelfRegistered(tx, clientId, prepared));
    await until(async () => (await living(clientId)).length === 1);
    expect(await living(clientId)).toEqual([`zz_${clientId}1`]);
    const reasons = await revokedFamilies(clientId);
    expect([reasons.length, [...new Set(reasons)]]).toEqual([many, ['client_weakened']]);
  });
});

describe('31: a machine that users sign in to from now on', () => {
  const grantTypes = ['client_credentials', 'authorization_code', 'refresh_token'] as const;
  const becomesApp: ClientChanges = { grantTypes: [...grantTypes], redirectUris: [redirectUri] };
  const scopeOf = async (id: string) =>
    (await server.services.clients.show(id)).client.metadata.scope;
  const endedOf = async (id: string) =>
    (
      await database.db.kysely
        .selectFrom('ended_permissions')
        .select('permission')
        .where('permission', 'like', `${id}\n%`)
        .orderBy('permission')
        .execute()
    ).map(({ permission }) => permission.split('\n').at(-1));

  test('may ask for the usual scopes and not for groups, and has lost nothing', async () => {
    const machine = await seed.client({ type: 'machine' });
    await change(machine.clientId, becomesApp);
    expect(await scopeOf(machine.clientId)).toBe('openid profile email offline_access');
    expect(await endedOf(machine.clientId)).toEqual([]);
    await until(async () => {
      const { tokens } = await tokensOf(machine, 'openid email groups', null).catch(() => ({
        tokens: undefined,
      }));
      if (tokens !== undefined) expect(tokens.scope).toBe('openid email');
      return tokens !== undefined;
    });
  });

  test('has those that come with the change', async () => {
    const machine = await seed.client({ type: 'machine' });
    await change(machine.clientId, { ...becomesApp, scopes: ['openid', 'groups'] });
    expect(await scopeOf(machine.clientId)).toBe('openid groups');
  });

  test('and that has no list from an earlier release: any change gives it one, and ends the rest', async () => {
    const client = await seed.client();
    const withoutList = () =>
      sql`update clients set metadata = metadata - 'scope' where id = ${client.clientId}`.execute(
        database.db.kysely,
      );
    await withoutList();
    await change(client.clientId, { name: 'Quillet 2' });
    expect(await scopeOf(client.clientId)).toBe('openid profile email offline_access');
    expect(await endedOf(client.clientId)).toEqual(['groups']);
    await withoutList();
    await change(client.clientId, { scopes: ['openid', 'email'] });
    expect(await endedOf(client.clientId)).toEqual(['groups', 'offline_access', 'profile']);
  });

  test('and a machine that stays one has no list', async () => {
    const machine = await seed.client({ type: 'machine' });
    await change(machine.clientId, { name: 'Nightly' });
    expect(await scopeOf(machine.clientId)).toBeUndefined();
    expect(await endedOf(machine.clientId)).toEqual([]);
  });
});

describe('5 and 31: a scope that an API removes', () => {
  test('ends every token that carries it, and is another permission when it comes back', async () => {
    const identifier = apis.removing;
    const asker = askerOf(identifier);
    const client = await seed.client({ apis: [{ identifier, scopes: ['read', 'write'] }] });
    const accountId = await seed.account();
    await seed.consent(accountId, client.clientId, { [identifier]: ['read', 'write'] });
    const browser = await seed.signIn(accountId, undefined, server.issuer);
    const asked = { scope: 'openid offline_access read write', resource: identifier };
    const code = await browser.authorize(server.issuer, client, asked);
    const { body } = await exchange(server.issuer, client, code);
    await changeApi(identifier, {
      removedScopes: ['write'],
      scopes: [{ scope: 'list', description: 'lists' }],
    });
    await eventuallyDead(body.access_token, asker);
    await feedRefuses(body.access_token);
    const renewed = (await refresh(server.issuer, client, body.refresh_token)).body;
    expect(renewed.scope).toBe('read');
    expect((await server.services.clients.show(client.clientId)).client.allowed).toEqual(
      new Map([[identifier, new Set(['read'])]]),
    );
    // The same name once more: nobody has allowed this.
    await changeApi(identifier, { scopes: [{ scope: 'write', description: 'writes all' }] });
    await change(client.clientId, { apis: [{ identifier, scopes: ['read', 'write'] }] });
    await until(async () => {
      const { response } = await browser.ask(server.issuer, client, { ...asked, prompt: 'none' });
      return response.headers.get('location')?.includes('consent_required') === true;
    });
    const last = (await refresh(server.issuer, client, renewed.refresh_token)).body;
    expect(last.scope).toBe('read');
  });

  test('is not there to remove, or is the last one: nothing changes', async () => {
    const identifier = apis.last;
    await expect(changeApi(identifier, { removedScopes: ['admin'] })).rejects.toMatchObject({
      code: 'unknown_scope',
    });
    await expect(changeApi(identifier, { removedScopes: ['read', 'write'] })).rejects.toMatchObject(
      {
        code: 'last_scope',
      },
    );
    const stored = await server.services.resourceServers.find(identifier);
    expect([...(stored?.scopes.keys() ?? [])]).toEqual(['read', 'write']);
  });

  test('and one that is open no more: clients that registered themselves lose it', async () => {
    const identifier = apis.open;
    const asker = askerOf(identifier);
    await changeApi(identifier, { openScopes: ['read', 'write'] });
    const registered = await register(server.issuer, {
      ...plainApp,
      scope: 'openid offline_access',
    });
    const given = await seed.client({ apis: [{ identifier, scopes: ['write'] }] });
    const tokens = async (client: Credentials, scope: string) => {
      const accountId = await seed.account();
      await seed.consent(accountId, client.clientId, { [identifier]: ['read', 'write'] });
      const browser = await seed.signIn(accountId, undefined, server.issuer);
      const code = await browser.authorize(server.issuer, client, { scope, resource: identifier });
      return (await exchange(server.issuer, client, code)).body;
    };
    const client = {
      clientId: registered.body.client_id,
      clientSecret: registered.body.client_secret,
    };
    const self = await tokens(client, 'openid offline_access read write');
    const chosen = await tokens(given, 'openid write');
    await changeApi(identifier, { openScopes: ['read'] });
    await eventuallyDead(self.access_token, asker);
    await feedRefuses(self.access_token);
    expect((await refresh(server.issuer, client, self.refresh_token)).body.scope).toBe('read');
    expect(await active(chosen.access_token, asker)).toBe(true);
    expect(await feedTakes(chosen.access_token)).toBe(true);
  });
});

describe('5: an API is deleted', () => {
  test('only by its name; says what stops working, and ends every token for it', async () => {
    const identifier = apis.leaving;
    const asker = askerOf(identifier);
    const client = await seed.client({
      apis: [{ identifier, scopes: ['read'] }, ...both],
      settings: { defaultResource: identifier },
    });
    const accountId = await seed.account();
    await seed.consent(accountId, client.clientId, { [identifier]: ['read'], [api]: ['read'] });
    const browser = await seed.signIn(accountId, undefined, server.issuer);
    const code = await browser.authorize(server.issuer, client, {
      scope: 'openid offline_access read',
      resource: identifier,
    });
    const { body } = await exchange(server.issuer, client, code);
    const { resourceServers } = server.services;
    expect(await resourceServers.describeDeletion(identifier)).toMatchObject({
      name: 'Ledger',
      clients: expect.arrayContaining([{ id: client.clientId, name: 'Quillet' }]),
      introspects: [asker.clientId],
      defaultOf: [client.clientId],
    });
    await expect(resourceServers.delete(identifier, 'Another', 'test')).rejects.toMatchObject({
      code: 'other_name',
    });
    expect(await active(body.access_token, asker)).toBe(true);
    await readEnded();
    await resourceServers.delete(identifier, 'Ledger', 'test');
    await eventuallyDead(body.access_token, client);
    await feedRefuses(body.access_token);
    expect((await refresh(server.issuer, client, body.refresh_token)).status).toBe(400);
    expect((await post(server.issuer, '/introspect', asker, { token: 'x' })).status).toBe(401);
    const { client: left } = await server.services.clients.show(client.clientId);
    expect([left.settings.defaultResource, left.allowed.has(identifier)]).toEqual([
      undefined,
      false,
    ]);
    const consent = await database.db.kysely
      .selectFrom('consents')
      .select(['granted', 'version'])
      .where('account_id', '=', accountId)
      .executeTakeFirstOrThrow();
    expect(consent).toMatchObject({ granted: { resources: { [api]: ['read'] } }, version: 2 });
    // Every other change of the client goes on.
    await change(client.clientId, { name: 'Quillet 2' });
  });
});

describe('5: a client is changed', () => {
  test('each part replaces what was there', async () => {
    const { clientId } = await seed.client({ apis: both, developer: 'Ann' });
    await change(clientId, {
      name: 'New',
      scopes: ['openid', 'groups'],
      apis: [{ identifier: other, scopes: ['write'] }],
      verified: true,
      developer: 'Bo',
      firstParty: true,
    });
    const { client } = await server.services.clients.show(clientId);
    expect(client).toMatchObject({
      name: 'New',
      verified: true,
      developer: 'Bo',
      firstParty: true,
    });
    expect(client.metadata.scope).toBe('openid groups');
    expect(client.allowed).toEqual(new Map([[other, new Set(['write'])]]));
    await change(clientId, { developer: null, verified: false, firstParty: false, apis: [] });
    expect((await server.services.clients.show(clientId)).client).toMatchObject({
      name: 'New',
      verified: false,
      developer: undefined,
      firstParty: false,
      allowed: new Map(),
    });
  });

  test('and not to what can’t be', async () => {
    const [web, spa, machine] = await Promise.all([
      seed.client({ apis: both, settings: { defaultResource: api } }),
      seed.client({ type: 'spa' }),
      seed.client({ type: 'machine', apis: both }),
    ]);
    const registered = await register(server.issuer);
    for (const [id, changes, code] of [
      [
        web.clientId,
        { apis: [{ identifier: 'https://none.example.com', scopes: ['read'] }] },
        'unknown_api',
      ],
      [web.clientId, { apis: [{ identifier: api, scopes: ['admin'] }] }, 'unknown_scope'],
      [web.clientId, { apis: [both[1] as never] }, 'invalid_client'],
      [spa.clientId, { firstParty: true }, 'invalid_client'],
      [machine.clientId, { scopes: ['openid'] }, 'invalid_client'],
      [registered.body.client_id, { firstParty: true }, 'invalid_client'],
      [askerOf(api).clientId, { apis: both }, 'invalid_client'],
    ] as const) {
      const before = (await server.services.clients.show(id)).client;
      await expect(change(id, changes as ClientChanges)).rejects.toMatchObject({ code });
      expect((await server.services.clients.show(id)).client).toEqual(before);
    }
  });
});

let documents = 0;

describe('31: what a client that registered itself gives up by PUT', () => {
  /** With an API and a detail type from an operator, and a person who allowed it the API. */
  async function registered() {
    const answer = await register(server.issuer);
    const { client_id: clientId, client_secret: clientSecret } = answer.body;
    const client: Credentials = { clientId, clientSecret };
    await change(clientId, { apis: both });
    let signed: Awaited<ReturnType<typeof tokensOf>> | undefined;
    await until(async () => {
      signed = await tokensOf(client, 'openid email offline_access read').catch(() => undefined);
      return signed !== undefined;
    });
    return { answer, client, tokens: (signed as NonNullable<typeof signed>).tokens };
  }

  test.each<[name: string, said: Record<string, unknown>]>([
    ['the grant type refresh_token', { grant_types: ['authorization_code'] }],
    ['offline_access', { scope: 'openid email' }],
  ])('%s: refresh, exchange and introspection end, and the feed says so', async (_, said) => {
    const { answer, client, tokens } = await registered();
    const mover = await seed.client({ type: 'machine', apis: both, ...exchangeGrant });
    const rule = { source: api, target: other, scopes: ['read'] };
    await allow(database, { clientId: mover.clientId, ...rule });
    const exchanged = () => exchangeToken(server.issuer, mover, tokens.access_token, other);
    await until(async () => (await exchanged()).status === 200);
    const made = (await exchanged()).body.access_token;
    await readEnded();
    const put = { ...plainApp, client_id: client.clientId, ...said };
    expect((await manage(answer, 'PUT', put)).status).toBe(200);
    await eventuallyDead(tokens.access_token);
    await eventuallyDead(made, askerOf(other));
    await feedRefuses(tokens.access_token);
    await feedRefuses(made);
    expect((await refresh(server.issuer, client, tokens.refresh_token)).status).toBe(400);
    expect((await exchanged()).status).toBe(400);
    expect(await revokedFamilies(client.clientId)).toEqual(['client_narrowed']);
  });

  test('and not what an operator gave it: that stays', async () => {
    const { answer, client, tokens } = await registered();
    const type = 'kept_by_operator';
    await addDetailType(database.db, api, { ...payment, type });
    const grantTypes = ['authorization_code', 'refresh_token', TOKEN_EXCHANGE] as const;
    const settings = { authorizationDetailsTypes: [type] };
    await change(client.clientId, { grantTypes: [...grantTypes], ...settings });
    const put = {
      ...plainApp,
      client_id: client.clientId,
      grant_types: ['authorization_code'],
    };
    expect((await manage(answer, 'PUT', put)).status).toBe(200);
    const { client: stored } = await server.services.clients.show(client.clientId);
    expect(stored.metadata.grant_types).toEqual(grantTypes);
    expect(stored.settings).toMatchObject(settings);
    expect([...stored.allowed.keys()]).toEqual(expect.arrayContaining([api, other]));
    expect(await active(tokens.access_token)).toBe(true);
    expect((await refresh(server.issuer, client, tokens.refresh_token)).status).toBe(200);
  });
});

describe('29: an app that changes itself is asked about again', () => {
  const own = 'https://app.example.com/callback';

  /** A person signs in to a client that registered itself, and allows what it asks for. */
  async function allowed(answer: RegistrationAnswer, extra: Record<string, string> = {}) {
    const client = {
      clientId: answer.body.client_id,
      clientSecret: answer.body.client_secret as string | undefined,
    };
    const account = await server.createAccount();
    const browser = new Browser();
    const open = async (more: Record<string, string> = {}) => {
      const asked = ask(server, client, {
        scope: 'openid email offline_access',
        ...extra,
        ...more,
      });
      return { asked, page: await browser.get(asked.url) };
    };
    const { asked, page } = await open();
    const consent = await enterPassword(browser, page, account);
    const back = await browser.submit(consent, {}, 'allow');
    const { body } = await exchange(
      server.issuer,
      client,
      { code: back.params.get('code') as string, verifier: asked.verifier },
      extra.redirect_uri === undefined ? {} : { redirect_uri: extra.redirect_uri },
    );
    return { account, browser, client, open, tokens: body };
  }

  const put = (answer: RegistrationAnswer, changes: Record<string, unknown>) =>
    manage(answer, 'PUT', {
      ...plainApp,
      client_id: answer.body.client_id,
      ...changes,
    });

  test.each<[name: string, changes: Record<string, unknown>, says: string[]]>([
    ['its name', { client_name: 'Your Bank' }, ['was called Quillet', 'Your Bank']],
    [
      'another host',
      { redirect_uris: [own, 'https://evil.example.net/callback'] },
      ['can now send you to evil.example.net'],
    ],
    [
      'the device itself',
      { redirect_uris: [own, 'http://localhost/callback'], application_type: 'native' },
      ['can now send you to localhost'],
    ],
    ['no secret any more', { token_endpoint_auth_method: 'none' }, ['protected less well']],
  ])('by %s', async (_, changes, says) => {
    const answer = await register(server.issuer);
    const { open, browser, client, tokens } = await allowed(answer);
    expect((await open()).page.external).toBe(true);
    const changed = await put(answer, changes);
    expect(changed.status).toBe(200);
    const { page, asked } = await open();
    expect(page.external).toBe(false);
    expect(page.text).toContain('has changed since you allowed it');
    for (const words of says) expect(page.text).toContain(words);
    const silent = await open({ prompt: 'none' });
    expect(silent.page.params.get('error')).toBe('consent_required');
    // Only weaker authentication ends what was given.
    const isWeaker = changes.token_endpoint_auth_method === 'none';
    const now = isWeaker ? { ...client, clientSecret: undefined } : client;
    expect((await refresh(server.issuer, now, tokens.refresh_token)).status).toBe(
      isWeaker ? 400 : 200,
    );
    expect(await revokedFamilies(client.clientId)).toEqual(isWeaker ? ['client_weakened'] : []);
    // Asked, and allowed: that counts until it changes again.
    const back = await browser.submit(page, {}, 'allow');
    const code = { code: back.params.get('code') as string, verifier: asked.verifier };
    expect((await exchange(server.issuer, now, code)).status).toBe(200);
    expect((await open()).page.external).toBe(true);
  });

  test.each<[name: string, changes: Record<string, unknown>]>([
    ['the same once more', {}],
    ['another path on its host', { redirect_uris: [own, `${own}/two`] }],
    ['fewer hosts', {}],
    ['stronger authentication', { token_endpoint_auth_method: 'client_secret_post' }],
    ['a page about it', { policy_uri: 'https://app.example.com/privacy' }],
  ])('and not by %s', async (name, changes) => {
    const answer = await register(server.issuer, {
      ...plainApp,
      ...(name === 'fewer hosts' ? { redirect_uris: [own, 'https://two.example.com/cb'] } : {}),
    });
    const { open, client, tokens } = await allowed(answer);
    expect((await put(answer, changes)).status).toBe(200);
    expect((await open()).page.external).toBe(true);
    expect((await refresh(server.issuer, client, tokens.refresh_token)).status).toBe(200);
  });

  test('what was allowed before and is not asked for now is not allowed to the changed app', async () => {
    const answer = await register(server.issuer);
    const { account, open, browser, client } = await allowed(answer);
    await put(answer, { client_name: 'Other' });
    const { page } = await open({ scope: 'openid' });
    await browser.submit(page, {}, 'allow');
    const [consent] = await server.services.consents.listForAccount(account.id);
    // Staying connected is offered to clients that registered themselves, without being asked for.
    expect(consent).toMatchObject({
      clientId: client.clientId,
      granted: { scopes: ['openid', 'offline_access'] },
    });
    expect((await open({ prompt: 'none' })).page.params.get('error')).toBe('consent_required');
  });

  test('one that changes while the page is open is shown as it is, before anything is allowed', async () => {
    const answer = await register(server.issuer);
    const { open, browser, account } = await allowed(answer);
    await put(answer, { client_name: 'Second' });
    const { page } = await open();
    await put(answer, { client_name: 'Third' });
    const again = await browser.submit(page, {}, 'allow');
    expect(again.external).toBe(false);
    expect(again.text).toContain('changed while this page was open');
    expect(again.text).toContain('is now called Third');
    const [consent] = await server.services.consents.listForAccount(account.id);
    expect(consent?.shown?.name).toBe('Quillet');
    expect((await browser.submit(again, {}, 'allow')).external).toBe(true);
  });

  test('what an operator has checked is not checked for another name or host', async () => {
    const answer = await register(server.issuer);
    const { client } = await allowed(answer);
    const isVerified = async () =>
      (await server.services.clients.show(client.clientId)).client.verified;
    await change(client.clientId, { verified: true });
    await put(answer, { policy_uri: 'https://app.example.com/privacy' });
    expect(await isVerified()).toBe(true);
    await put(answer, { client_name: 'Your Bank' });
    expect(await isVerified()).toBe(false);
  });

  test('a decision from before this was kept counts until the app changes', async () => {
    const answer = await register(server.issuer);
    const { account, open } = await allowed(answer);
    await sql`update consents set shown = null where account_id = ${account.id}`.execute(
      database.db.kysely,
    );
    expect((await open()).page.external).toBe(true);
    await put(answer, { client_name: 'Other' });
    expect((await open()).page.text).toContain('has changed since you allowed it');
  });

  test('by a changed document: its name, and without the key that it had', async () => {
    const path = `/app-${++documents}.json`;
    const redirect = `${host.origin}/callback`;
    const document = {
      client_id: `${host.origin}${path}`,
      client_name: 'Scribe',
      application_type: 'web',
      redirect_uris: [redirect],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: jwksOf(await newKey('ES256')),
    };
    const url = host.answer(path, document);
    const client = { clientId: url, clientSecret: undefined };
    const account = await server.createAccount();
    const visit = async (at: TestServer) => {
      const browser = new Browser();
      const asked = ask(at, client, { redirect_uri: redirect });
      return { browser, page: await enterPassword(browser, await browser.get(asked.url), account) };
    };
    const first = await visit(server);
    expect((await first.browser.submit(first.page, {}, 'allow')).external).toBe(true);
    const families = () => revokedFamilies(url);
    expect(await families()).toEqual([]);
    host.answer(path, {
      ...document,
      client_name: 'Your Bank',
      token_endpoint_auth_method: 'none',
      jwks: undefined,
    });
    // The copy of this process is good for minutes; another process has none.
    const second = await startServer(database, {
      CLIENT_DOCUMENTS: 'any',
      OUTBOUND_ALLOW: 'localhost',
    });
    try {
      const { browser, page } = await visit(second);
      for (const words of ['was called Scribe', 'now called Your Bank', 'protected less well'])
        expect(page.text).toContain(words);
      expect(await families()).toEqual(['client_weakened']);
      expect((await browser.submit(page, {}, 'allow')).external).toBe(true);
      // Its redirect leads to the person's own machine: that is asked each time.
      expect((await visit(second)).page.text).not.toContain('has changed');
    } finally {
      await second.close();
    }
  });
});

describe('29: a refresh token that was issued to a confidential client', () => {
  test('is of no use to a public one, whatever ended or did not', async () => {
    const { client, tokens } = await signedIn();
    // As where a process still had the client as it was, and made a family after the change.
    await sql`update clients set metadata = metadata || '{"token_endpoint_auth_method":"none"}' where id = ${client.clientId}`.execute(
      database.db.kysely,
    );
    await sql`update config_versions set version = version + 1 where topic = 'clients'`.execute(
      database.db.kysely,
    );
    const asPublic = { clientId: client.clientId, clientSecret: undefined };
    await until(
      async () =>
        (await refresh(server.issuer, asPublic, tokens.refresh_token)).body.error !==
        'invalid_client',
    );
    expect((await refresh(server.issuer, asPublic, tokens.refresh_token)).body.error).toBe(
      'invalid_grant',
    );
    const rows = await database.db.kysely
      .selectFrom('tokens')
      .select(['kind', 'consumed_at'])
      .where('client_id', '=', client.clientId)
      .where('kind', '=', 'refresh')
      .execute();
    expect(rows).toEqual([{ kind: 'refresh', consumed_at: null }]);
  });
});
