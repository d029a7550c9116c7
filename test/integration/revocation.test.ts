import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { Feed } from '../support/feed.ts';
import { type GatewayApi, gatewayApi } from '../support/gateway.ts';
import { createPeople, type People } from '../support/people.ts';
import { runCli, until } from '../support/process.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { cookiesOf, countRows, send } from '../support/wire.ts';

/**
 * Everything that ends tokens, and everywhere that a token could be presented. What ends them is done on one process, or
 * by the command line; the other one is asked in the very next request.
 */

const opaque = 'https://opaque.example.com';
const jwt = 'https://jwt.example.com';
const apis = [opaque, jwt].map((identifier) => ({ identifier, scopes: ['read'] }));

let database: TestDatabase;
let seed: Seed;
let people: People;
let servers: ServerProcess[];
let one: string;
let two: string;
let opaqueApi: GatewayApi;
let jwtApi: GatewayApi;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  people = createPeople(database.db);
  const rules = [{ path: '/invoices', scopes: ['read'] }];
  opaqueApi = await gatewayApi(seed, opaque, rules);
  jwtApi = await gatewayApi(seed, jwt, rules, 'jwt');
  servers = await Promise.all(
    [1, 2].map(() => startServerProcess(database, 'http://localhost:3000')),
  );
  [one, two] = servers.map((server) => server.url) as [string, string];
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

interface Held {
  readonly client: Credentials;
  readonly accountId: string;
  readonly email: string;
  readonly browser: SignedInBrowser;
  /** For userinfo. */
  readonly own: string;
  readonly forOpaque: string;
  readonly forJwt: string;
  /** Undefined where all of it is bound to the session. */
  readonly refreshToken: string | undefined;
  /** One that was used up for the one above. */
  readonly usedRefreshToken: string | undefined;
}

/** What an app holds of a person after a while. */
async function hold(
  client: Credentials,
  { bound = false, given }: { bound?: boolean; given?: Held } = {},
): Promise<Held> {
  const accountId = given?.accountId ?? (await seed.account());
  if (given?.client.clientId !== client.clientId)
    await seed.consent(accountId, client.clientId, { [opaque]: ['read'], [jwt]: ['read'] });
  const browser = given?.browser ?? (await seed.signIn(accountId));
  const scope = bound ? 'openid email read' : 'openid email offline_access read';
  const get = async (extra: Record<string, string>) =>
    (await exchange(one, client, await browser.authorize(one, client, extra))).body;
  const own = await get({ scope: scope.replace(' read', '') });
  const next = bound ? undefined : (await refresh(one, client, own.refresh_token)).body;
  return {
    client,
    accountId,
    email: `${accountId.toLowerCase()}@example.com`,
    browser,
    own: next?.access_token ?? own.access_token,
    forOpaque: (await get({ scope, resource: opaque })).access_token,
    forJwt: (await get({ scope, resource: jwt })).access_token,
    refreshToken: next?.refresh_token,
    usedRefreshToken: bound ? undefined : own.refresh_token,
  };
}

const machineToken = async (robot: Credentials, resource: string) =>
  (await post(one, '/token', robot, { grant_type: 'client_credentials', resource })).body
    .access_token;

const inactive = { status: 200, body: { active: false } };

async function throughGateway(server: string, api: GatewayApi, token: string): Promise<number> {
  const headers = {
    'x-gateway-authorization': api.basic,
    'x-original-method': 'GET',
    'x-original-uri': '/invoices',
    authorization: `Bearer ${token}`,
  };
  return (await send(server, `/gateway/${api.id}/nginx`, { headers })).status;
}

async function userinfo(server: string, token: string): Promise<number> {
  return (await send(server, '/userinfo', { headers: { authorization: `Bearer ${token}` } }))
    .status;
}

/** Of one token, everywhere: who was told of it is told no more, and it opens nothing. */
async function expectDeadToken(server: string, client: Credentials, token: string): Promise<void> {
  for (const caller of [opaqueApi.credentials, jwtApi.credentials]) {
    expect(await post(server, '/introspect', caller, { token })).toEqual(inactive);
  }
  for (const api of [opaqueApi, jwtApi]) expect(await throughGateway(server, api, token)).toBe(401);
  expect(await userinfo(server, token)).toBe(401);
  for (const form of [
    { grant_type: 'refresh_token', refresh_token: token },
    { grant_type: 'authorization_code', code: token, redirect_uri: 'https://app.example.com' },
    { grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: token },
    { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: token },
  ]) {
    const { status, body } = await post(server, '/token', client, form);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(body).not.toHaveProperty('access_token');
  }
}

/** All that is held is dead, on the process that had no part in it first; nothing is left behind by trying. */
async function expectDead(held: Held, jwts: readonly string[] = [held.forJwt]): Promise<void> {
  expect(await isActive(two, jwtApi.credentials, held.forJwt)).toBe(false);
  const before = await countRows(database.db);
  const { own, forOpaque, forJwt, refreshToken, usedRefreshToken } = held;
  for (const server of [two, one]) {
    for (const token of [own, forOpaque, forJwt, refreshToken, usedRefreshToken])
      if (token !== undefined) await expectDeadToken(server, held.client, token);
  }
  expect(await countRows(database.db)).toEqual(before);
  for (const server of [two, one]) {
    const feed = new Feed(server);
    await until(async () => {
      await feed.poll();
      return jwts.every((token) => feed.refuses(token));
    });
  }
}

async function expectAlive({ client, own, forOpaque, forJwt, refreshToken }: Held): Promise<void> {
  for (const server of [one, two]) {
    expect(await userinfo(server, own)).toBe(200);
    expect(await isActive(server, opaqueApi.credentials, forOpaque)).toBe(true);
    expect(await isActive(server, jwtApi.credentials, forJwt)).toBe(true);
    expect(await throughGateway(server, opaqueApi, forOpaque)).toBe(200);
    expect(await throughGateway(server, jwtApi, forJwt)).toBe(200);
    if (refreshToken !== undefined) expect(await isActive(server, client, refreshToken)).toBe(true);
  }
  const feed = new Feed(two);
  await feed.poll();
  expect(feed.refuses(forJwt)).toBe(false);
}

const environment = () => ({
  DATABASE_URL: database.url,
  MASTER_KEY: testMasterKey.toString('base64'),
});

/** What a command prints with `--json`. */
const cli = (...args: string[]) => cliWith('', ...args);

async function cliWith(input: string, ...args: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await runCli([...args, '--json'], environment(), input);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}

const familiesOf = (accountId: string) =>
  database.db.kysely
    .selectFrom('grants')
    .select(['id', 'client_id', 'revoked_reason'])
    .where('account_id', '=', accountId)
    .execute();

async function audited(type: string, held: Partial<Held>): Promise<unknown[]> {
  let query = database.db.kysely
    .selectFrom('audit_events')
    .select(['actor', 'outcome', 'data'])
    .where('type', '=', type as never);
  if (held.accountId !== undefined) query = query.where('account_id', '=', held.accountId);
  if (held.client !== undefined) query = query.where('client_id', '=', held.client.clientId);
  return query.execute();
}

describe('SECURITY 12: revoked, and then tried everywhere', () => {
  test('an access token of each kind by itself; what was given beside it lives', async () => {
    const client = await seed.client({ apis });
    const robot = await seed.client({ type: 'machine', apis });
    const held = await hold(client);
    const spare = await hold(client, { given: held });
    const machine = [await machineToken(robot, opaque), await machineToken(robot, jwt)];
    const left = [await machineToken(robot, opaque), await machineToken(robot, jwt)];
    for (const token of [held.own, held.forOpaque, held.forJwt])
      expect((await revoke(one, client, token)).status).toBe(200);
    for (const token of machine) expect((await revoke(one, robot, token)).status).toBe(200);
    for (const server of [two, one]) {
      for (const token of [held.own, held.forOpaque, held.forJwt])
        await expectDeadToken(server, client, token);
      for (const token of machine) await expectDeadToken(server, robot, token);
    }
    await expectAlive(spare);
    expect(await isActive(two, opaqueApi.credentials, left[0] as string)).toBe(true);
    expect(await isActive(two, jwtApi.credentials, left[1] as string)).toBe(true);
  });

  const ways: [string, (held: Held) => Promise<unknown>, reason: string][] = [
    [
      'its refresh token was revoked',
      ({ client, refreshToken }) => revoke(one, client, refreshToken as string),
      'token_revoked',
    ],
    [
      'a refresh token that it had used was revoked',
      ({ client, usedRefreshToken }) => revoke(one, client, usedRefreshToken as string),
      'token_revoked',
    ],
    [
      'a refresh token that it had used was replayed',
      async ({ client, usedRefreshToken }) => {
        await database.db.pool.query(
          `update tokens set consumed_at = now() - interval '3 minutes' where consumed_at is not null`,
        );
        return refresh(one, client, usedRefreshToken as string);
      },
      'refresh_token_replayed',
    ],
    [
      'an operator ended its family',
      async ({ accountId, email }) => {
        const [family] = await familiesOf(accountId);
        expect(await cli('family', 'list', '--email', email)).toMatchObject({
          families: [{ family_id: family?.id, account_id: accountId, offline: true }],
        });
        const ended = await cli('family', 'revoke', '--family-id', family?.id as string);
        expect(await cli('family', 'list', '--email', email)).toEqual({ families: [] });
        return ended;
      },
      'revoked_by_operator',
    ],
    [
      'the app was removed on the page of the account',
      async ({ browser, client }) =>
        expect(
          (
            await send(one, `/account/apps/${client.clientId}/remove`, {
              method: 'POST',
              headers: { ...cookiesOf(browser), 'sec-fetch-site': 'same-origin' },
            })
          ).status,
        ).toBe(303),
      'consent_removed',
    ],
    [
      'an operator removed the app',
      async ({ email, client }) =>
        expect(
          await cli('consent', 'remove', '--email', email, '--client-id', client.clientId),
        ).toMatchObject({ client_id: client.clientId, decided: true, families: 1 }),
      'consent_removed',
    ],
    [
      'an operator signed the account out',
      async ({ email, accountId }) =>
        expect(await cli('account', 'sign-out', '--email', email)).toEqual({
          id: accountId,
          email,
          sessions: 1,
          families: 1,
        }),
      'signed_out_everywhere',
    ],
    [
      'the account was disabled',
      ({ accountId }) => people.accounts.setDisabled(accountId, true, 'test'),
      'account_disabled',
    ],
    [
      'the client was disabled',
      ({ client }) => seed.disableClient(client.clientId),
      'client_disabled',
    ],
    [
      'an operator ended all tokens of the client',
      async ({ client }) =>
        expect(await cli('client', 'revoke-tokens', '--client-id', client.clientId)).toEqual({
          client_id: client.clientId,
          families: 1,
          until: expect.any(String),
        }),
      'client_tokens_revoked',
    ],
  ];

  test.each(ways)('when %s', async (_, end, reason) => {
    const client = await seed.client({ apis });
    const held = await hold(client);
    const bystander = await hold(await seed.client({ apis }));
    await expectAlive(held);
    await end(held);
    await expectDead(held);
    expect(await familiesOf(held.accountId)).toEqual([
      { id: expect.any(String), client_id: client.clientId, revoked_reason: reason },
    ]);
    await expectAlive(bystander);
  });

  test('when the session it is bound to was signed out; an app that may stay is left', async () => {
    const [app, stays] = [await seed.client({ apis }), await seed.client({ apis })];
    const held = await hold(app, { bound: true });
    const left = await hold(stays, { given: held });
    await expectAlive(held);
    const answer = await send(one, '/account/sign-out', {
      method: 'POST',
      headers: { ...cookiesOf(held.browser), 'sec-fetch-site': 'same-origin' },
    });
    expect(answer.status).toBe(303);
    await expectDead(held);
    await expectAlive(left);
  });

  test('a machine’s, when its client is disabled, or all of its tokens are ended', async () => {
    for (const end of ['disable', 'revoke-tokens']) {
      const robot = await seed.client({ type: 'machine', apis });
      const other = await seed.client({ type: 'machine', apis });
      const tokens = [await machineToken(robot, opaque), await machineToken(robot, jwt)];
      const left = await machineToken(other, jwt);
      await cli('client', end, '--client-id', robot.clientId);
      for (const server of [two, one])
        for (const token of tokens) await expectDeadToken(server, robot, token);
      const feed = new Feed(two);
      await until(async () => {
        await feed.poll();
        return feed.refuses(tokens[1] as string);
      });
      expect(feed.refuses(left)).toBe(false);
      expect(await isActive(two, jwtApi.credentials, left)).toBe(true);
    }
  });
});

describe('what an operator ends', () => {
  test('stands in the audit, with who did it and how much it was', async () => {
    const held = await hold(await seed.client({ apis }));
    const [family] = await familiesOf(held.accountId);
    await cli('family', 'revoke', '--family-id', family?.id as string);
    await cli('client', 'revoke-tokens', '--client-id', held.client.clientId);
    await cli('consent', 'remove', '--email', held.email, '--client-id', held.client.clientId);
    await cli('account', 'sign-out', '--email', held.email);
    const { client, accountId } = held;
    const done = { actor: 'cli', outcome: 'success' };
    expect(await audited('family.revoked', { client, accountId })).toEqual([
      { ...done, data: null },
    ]);
    expect(await audited('client.tokens_revoked', { client })).toEqual([{ ...done, data: null }]);
    expect(await audited('consent.removed', { client, accountId })).toMatchObject([done]);
    expect(await audited('account.signed_out', { accountId })).toEqual([
      { ...done, data: { sessions: 1, families: 0 } },
    ]);
  });

  test('a token that was found, of each kind: a refresh token, used or not, and a code with their family', async () => {
    const client = await seed.client({ apis });
    const robot = await seed.client({ type: 'machine', apis });
    const held = await hold(client);
    const [family] = await familiesOf(held.accountId);
    const machine = [await machineToken(robot, opaque), await machineToken(robot, jwt)];
    const end = (token: string) => cliWith(`${token}\n`, 'token', 'revoke', '--token-stdin');
    for (const token of [held.forOpaque, held.forJwt])
      expect(await end(token)).toMatchObject({
        ended: 'token',
        client_id: client.clientId,
        account_id: held.accountId,
      });
    for (const token of machine)
      expect(await end(token)).toEqual({ ended: 'token', client_id: robot.clientId });
    for (const token of [held.forOpaque, held.forJwt]) await expectDeadToken(two, client, token);
    for (const token of machine) await expectDeadToken(two, robot, token);
    expect(await userinfo(two, held.own)).toBe(200);
    const feed = new Feed(two);
    await until(async () => {
      await feed.poll();
      return feed.names(held.forJwt) && feed.names(machine[1] as string);
    });
    expect(await end(held.usedRefreshToken as string)).toEqual({
      ended: 'family',
      client_id: client.clientId,
      account_id: held.accountId,
      family_id: family?.id,
    });
    await expectDead(held);
    const again = await hold(client, { given: held });
    const { code } = await again.browser.authorize(one, client);
    expect(await end(code)).toMatchObject({ ended: 'family' });
    await expectDead(again);
    expect(await audited('token.revoked', { accountId: held.accountId })).toEqual(
      [1, 2].map(() => ({ actor: 'cli', outcome: 'success', data: null })),
    );
  });

  test('a token of nobody, or one that somebody else has signed, ends nothing', async () => {
    const held = await hold(await seed.client({ apis }));
    const [header, claims] = held.forJwt.split('.');
    for (const token of [
      '',
      'x',
      `${held.own}x`,
      `${header}.${claims}.AAAA`,
      `${header}.${claims}.`,
    ]) {
      const answer = await runCli(['token', 'revoke', '--token-stdin'], environment(), token);
      expect(answer).toEqual({
        status: 1,
        stdout: '',
        stderr: 'This is no token of this server, or it has expired.\n',
      });
    }
    await expectAlive(held);
  });

  test('must be there: otherwise it is refused in words, and nothing is written', async () => {
    const held = await hold(await seed.client({ apis }));
    const other = await seed.client();
    const events = async () =>
      (await database.db.pool.query('select count(*) as count from audit_events')).rows;
    const before = await events();
    for (const [args, reason] of [
      [['family', 'revoke', '--family-id', 'x'], /There is no token family x, or it has ended/],
      [['family', 'list', '--email', 'nobody@example.com'], /There is no account nobody@/],
      [['client', 'revoke-tokens', '--client-id', 'c_x'], /There is no client c_x/],
      [['account', 'sign-out', '--email', 'nobody@example.com'], /There is no account nobody@/],
      [
        ['consent', 'remove', '--email', held.email, '--client-id', other.clientId],
        /has given c_\S+ no consent/,
      ],
    ] as const) {
      const { status, stdout, stderr } = await runCli(args, environment());
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(reason);
    }
    expect(await events()).toEqual(before);
    await expectAlive(held);
  });

  test('of a client with very many families: all of them, however many statements that takes', async () => {
    const client = await seed.client({ apis });
    const held = await hold(client);
    await database.db.pool.query(
      `insert into grants (id, account_id, client_id, payload, key_id, expires_at)
       select 'many_' || n, $1, $2, '{}', 'k', now() + interval '1 day' from generate_series(1, 20500) n`,
      [held.accountId, client.clientId],
    );
    expect(await cli('client', 'revoke-tokens', '--client-id', client.clientId)).toMatchObject({
      families: 20_501,
    });
    await expectDead(held);
  });

  test('a client goes on after its tokens were ended: what it is given later is worth something', async () => {
    const client = await seed.client({ apis });
    const held = await hold(client);
    await cli('client', 'revoke-tokens', '--client-id', client.clientId);
    // The clocks' allowance is over.
    await database.db.pool.query(`update clients set tokens_since = now() where id = $1`, [
      client.clientId,
    ]);
    const { browser } = held;
    const { body } = await exchange(two, client, await browser.authorize(two, client));
    expect(await userinfo(one, body.access_token)).toBe(200);
    expect((await refresh(one, client, body.refresh_token)).status).toBe(200);
  });
});
