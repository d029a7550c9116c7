import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { sha256 } from '../../src/lib/hash.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  accessTokenType,
  allow,
  exchangeForm,
  exchangeGrant,
  exchangeToken,
  introspect,
  introspectByEngine,
  machineToken,
  personTokens,
} from '../support/exchange.ts';
import { until } from '../support/process.ts';
import { type Credentials, exchange, isActive, post, revoke, Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Token exchange (RFC 8693), over two processes. */

const issuer = 'http://localhost:3000';
const [orders, stock, ledger, depot] = ['orders', 'stock', 'ledger', 'depot'].map(
  (name) => `https://${name}.example.com`,
) as [string, string, string, string];

let database: TestDatabase;
let seed: Seed;
let one: ServerProcess;
let two: ServerProcess;
/** Whose person signs in, and gets tokens for `orders`. */
let app: Credentials;
/** The service behind `orders`, which calls `stock` (opaque) and `ledger` (JWT). */
let service: Credentials;
/** The same with no right to speak as the person alone. */
let delegate: Credentials;
/** The service behind `stock`, which calls `depot`. */
let next: Credentials;
let robot: Credentials;
const apis = new Map<string, Credentials>();

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  for (const identifier of [orders, stock, depot]) apis.set(identifier, await seed.api(identifier));
  apis.set(ledger, await seed.api(ledger, 'jwt', ['read', 'write'], { accessTokenTtl: 86_400 }));
  const all = [orders, stock, ledger, depot].map((identifier) => ({
    identifier,
    scopes: ['read', 'write'],
  }));
  app = await seed.client({ apis: all });
  service = await seed.client({ type: 'machine', apis: all, ...exchangeGrant });
  delegate = await seed.client({ type: 'machine', apis: all, ...exchangeGrant });
  next = await seed.client({ type: 'machine', apis: all, ...exchangeGrant });
  robot = await seed.client({ type: 'machine', apis: all });
  for (const target of [stock, ledger]) {
    const rule = { source: orders, target, scopes: ['read'] };
    await allow(database, { ...rule, clientId: service.clientId, impersonation: true });
    await allow(database, { ...rule, clientId: delegate.clientId, actors: [robot.clientId] });
  }
  for (const source of [stock, ledger])
    await allow(database, { clientId: next.clientId, source, target: depot, scopes: ['read'] });
  [one, two] = await Promise.all([
    startServerProcess(database, issuer),
    startServerProcess(database, issuer),
  ]);
});

afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await database.drop();
});

const person = (extra: Partial<Parameters<typeof personTokens>[3]> = {}) =>
  personTokens(one.url, seed, app, { api: orders, ...extra });
const apiOf = (identifier: string) => apis.get(identifier) as Credentials;

const rows = async () => {
  const { kysely } = database.db;
  const count = async (table: 'tokens' | 'token_sources') =>
    (
      await kysely
        .selectFrom(table)
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow()
    ).count;
  return { tokens: await count('tokens'), sources: await count('token_sources') };
};

const refusals = async (reason: string) =>
  (
    await database.db.kysely
      .selectFrom('audit_events')
      .select(['client_id', 'account_id', 'data'])
      .where('type', '=', 'token.refused')
      .where('reason', '=', reason)
      .execute()
  ).length;

/** The exchange is refused, nothing is written, and the audit knows why. */
async function refused(
  client: Credentials,
  form: Record<string, string>,
  error: string,
  reason: string,
): Promise<string> {
  const [before, told] = [await rows(), await refusals(reason)];
  const { status, body } = await post(one.url, '/token', client, form);
  expect({ status, error: body.error }).toEqual({ status: 400, error });
  expect(await rows()).toEqual(before);
  // What anybody can cause is one row a minute, and a count.
  if (reason === 'invalid_request') expect(await refusals(reason)).toBeGreaterThanOrEqual(1);
  else expect(await refusals(reason)).toBe(told + 1);
  return body.error_description as string;
}

describe('what comes of an exchange', () => {
  test('impersonation: a token of the same person for the other API, and no refresh token', async () => {
    const { accountId, accessToken } = await person();
    const { status, body } = await exchangeToken(one.url, service, accessToken, stock);
    expect(status).toBe(200);
    expect(Object.keys(body).toSorted()).toEqual([
      'access_token',
      'expires_in',
      'issued_token_type',
      'scope',
      'token_type',
    ]);
    expect(body).toMatchObject({
      issued_token_type: accessTokenType,
      token_type: 'Bearer',
      scope: 'read',
    });
    const [was, is] = [
      await introspect(one.url, apiOf(orders), accessToken),
      await introspect(two.url, apiOf(stock), body.access_token),
    ];
    expect(is).toMatchObject({
      active: true,
      sub: accountId,
      client_id: service.clientId,
      aud: stock,
      scope: 'read',
      acr: was.acr,
      auth_time: was.auth_time,
    });
    expect(is).not.toHaveProperty('act');
    // Neither token has the scope by which the app may have the address.
    for (const one of [was, is]) expect(one).not.toHaveProperty('username');
    expect(is.exp as number).toBeLessThanOrEqual(was.exp as number);
  });

  test('delegation: the token names who acts, whether the rule allows more or not', async () => {
    const { accountId, accessToken } = await person();
    for (const target of [stock, ledger]) {
      const { body } = await exchangeToken(one.url, delegate, accessToken, target);
      expect(await introspect(one.url, apiOf(target), body.access_token)).toMatchObject({
        sub: accountId,
        act: { sub: delegate.clientId },
      });
    }
    const own = await machineToken(one.url, service, depot);
    const { body } = await exchangeToken(one.url, service, accessToken, stock, {
      actor_token: own,
      actor_token_type: accessTokenType,
    });
    expect(await introspect(one.url, apiOf(stock), body.access_token)).toMatchObject({
      sub: accountId,
      act: { sub: service.clientId },
    });
  });

  test('a JWT says the same, lives no longer than what it is made from, and leaves a row', async () => {
    const { accountId, accessToken } = await person();
    const was = await introspect(one.url, apiOf(orders), accessToken);
    const { body } = await exchangeToken(one.url, delegate, accessToken, ledger);
    const claims = decodeJwt(body.access_token);
    // The API's own tokens live for a day.
    expect(claims).toMatchObject({
      sub: accountId,
      client_id: delegate.clientId,
      aud: ledger,
      scope: 'read',
      act: { sub: delegate.clientId },
      acr: was.acr,
      auth_time: was.auth_time,
      exp: was.exp,
    });
    expect(body.expires_in as number).toBeLessThanOrEqual(3_600);
    const row = await database.db.kysely
      .selectFrom('tokens')
      .selectAll()
      .where('id_hash', '=', sha256(claims.jti as string))
      .executeTakeFirstOrThrow();
    expect(row).toMatchObject({ kind: 'jwt', account_id: accountId, generation: 1 });
    expect(await isActive(one.url, apiOf(ledger), body.access_token)).toBe(true);
  });

  test('who acted before stays in it, one behind the other, also behind an impersonation', async () => {
    const { accountId, accessToken } = await person();
    await allow(database, {
      clientId: service.clientId,
      source: stock,
      target: stock,
      scopes: ['read'],
      impersonation: true,
    });
    for (const through of [stock, ledger]) {
      let first = await exchangeToken(one.url, delegate, accessToken, through);
      if (through === stock)
        first = await exchangeToken(two.url, service, first.body.access_token, stock);
      const second = await exchangeToken(two.url, next, first.body.access_token, depot);
      expect(await introspect(one.url, apiOf(depot), second.body.access_token)).toMatchObject({
        sub: accountId,
        act: { sub: next.clientId, act: { sub: delegate.clientId } },
      });
    }
  });

  test('a chain has an end', async () => {
    const circle = await seed.client({
      type: 'machine',
      apis: [{ identifier: orders, scopes: ['read'] }],
      ...exchangeGrant,
    });
    await allow(database, {
      clientId: circle.clientId,
      source: orders,
      target: orders,
      scopes: ['read'],
    });
    let token = (await person()).accessToken;
    for (let exchanges = 0; exchanges < 4; exchanges++) {
      const { status, body } = await exchangeToken(one.url, circle, token, orders);
      expect(status).toBe(200);
      token = body.access_token;
    }
    await refused(circle, exchangeForm(token, orders), 'invalid_request', 'too_deep');
    let { act } = await introspect(one.url, apiOf(orders), token);
    for (let depth = 0; depth < 4; depth++) act = (act as { act?: unknown }).act;
    expect(act).toBeUndefined();
  });

  test.each([
    ['an opaque token', stock, stock],
    ['a JWT', ledger, ledger],
    ['an opaque token from a JWT', ledger, stock],
  ])("a machine's token gives %s of that machine", async (_name, source, target) => {
    const mover = await seed.client({
      type: 'machine',
      apis: [{ identifier: target, scopes: ['read'] }],
      ...exchangeGrant,
    });
    await allow(database, { clientId: mover.clientId, source, target, scopes: ['read'] });
    const subject = await machineToken(one.url, robot, source);
    const { body } = await exchangeToken(one.url, mover, subject, target);
    const told = await introspect(one.url, apiOf(target), body.access_token);
    expect(told).toMatchObject({
      active: true,
      sub: robot.clientId,
      client_id: mover.clientId,
      act: { sub: mover.clientId },
    });
    if (target === ledger) expect(decodeJwt(body.access_token).sub).toBe(robot.clientId);
    await revoke(one.url, robot, subject);
    expect(await isActive(one.url, apiOf(target), body.access_token)).toBe(false);
  });

  test('the audit tells of it', async () => {
    const { accountId, accessToken } = await person();
    await exchangeToken(one.url, delegate, accessToken, stock);
    const event = await database.db.kysely
      .selectFrom('audit_events')
      .selectAll()
      .where('type', '=', 'token.exchanged')
      .where('account_id', '=', accountId)
      .executeTakeFirstOrThrow();
    expect(event).toMatchObject({
      outcome: 'success',
      client_id: delegate.clientId,
      data: {
        source: orders,
        target: stock,
        scopes: ['read'],
        subject_client: app.clientId,
        actor: delegate.clientId,
      },
    });
    expect(event.request_id).not.toBeNull();
  });

  test('introspection by the engine tells what the fast path tells, and revocation ends it alone', async () => {
    const { accessToken, refreshToken } = await person({ offline: false });
    expect(refreshToken).toBeUndefined();
    const { body } = await exchangeToken(one.url, delegate, accessToken, stock);
    const token = body.access_token;
    const jwt = (await exchangeToken(one.url, delegate, accessToken, ledger)).body.access_token;
    const ofMachine = await machineToken(one.url, robot, orders);
    for (const [target, made] of [
      [stock, token],
      [ledger, jwt],
      [stock, (await exchangeToken(one.url, delegate, ofMachine, stock)).body.access_token],
      [ledger, (await exchangeToken(one.url, delegate, ofMachine, ledger)).body.access_token],
    ] as const) {
      const plain = await introspect(one.url, apiOf(target), made);
      expect(plain.active).toBe(true);
      expect(await introspectByEngine(one.url, apiOf(target), made)).toEqual(plain);
    }
    await revoke(one.url, delegate, token);
    expect(await isActive(one.url, apiOf(stock), token)).toBe(false);
    expect(await isActive(one.url, apiOf(orders), accessToken)).toBe(true);
  });
});

describe('what is refused', () => {
  let subject: string;
  beforeEach(async () => {
    subject = (await person()).accessToken;
  });

  test('a client without the grant type, and one without a rule', async () => {
    const { status, body } = await exchangeToken(one.url, robot, subject, stock);
    expect({ status, error: body.error }).toEqual({ status: 400, error: 'unauthorized_client' });
    await refused(next, exchangeForm(subject, stock), 'invalid_target', 'target_not_allowed');
    await refused(service, exchangeForm(subject, depot), 'invalid_target', 'target_not_allowed');
    await refused(
      service,
      exchangeForm(subject, 'https://unknown.example.com'),
      'invalid_target',
      'target_not_allowed',
    );
  });

  test('SECURITY 10: a token that is meant for another API, and one that is not live: alike', async () => {
    const other = await personTokens(one.url, seed, app, { api: depot });
    const unknown = `vs_at_${'x'.repeat(43)}`;
    const said = await refused(
      service,
      exchangeForm(unknown, stock),
      'invalid_request',
      'subject_not_live',
    );
    for (const token of [other.accessToken, await machineToken(one.url, robot, ledger)])
      expect(
        await refused(
          service,
          exchangeForm(token, stock),
          'invalid_request',
          'subject_for_another',
        ),
      ).toBe(said);
  });

  test('a refresh token, an ID token, a code, a token for userinfo', async () => {
    const accountId = await seed.account();
    await seed.consent(accountId, app.clientId);
    const browser = await seed.signIn(accountId);
    const { body } = await exchange(one.url, app, await browser.authorize(one.url, app));
    const { code } = await browser.authorize(one.url, app);
    for (const [token, reason] of [
      [body.refresh_token, 'subject_is_refresh_token'],
      [body.id_token as string, 'subject_not_live'],
      [code, 'subject_not_live'],
      [body.access_token, 'subject_for_another'],
    ] as const)
      await refused(service, exchangeForm(token, stock), 'invalid_request', reason);
  });

  test.each([
    ['subject_token_type', 'urn:ietf:params:oauth:token-type:id_token'],
    ['subject_token_type', 'urn:ietf:params:oauth:token-type:refresh_token'],
    ['subject_token_type', 'urn:ietf:params:oauth:token-type:jwt'],
    ['subject_token_type', 'urn:ietf:params:oauth:token-type:saml2'],
    ['requested_token_type', 'urn:ietf:params:oauth:token-type:refresh_token'],
    ['requested_token_type', 'urn:ietf:params:oauth:token-type:id_token'],
  ])('%s %s', async (name, type) => {
    const form = exchangeForm(subject, stock, { [name]: type });
    const said = await refused(service, form, 'invalid_request', 'unsupported_token_type');
    expect(said).toContain(name);
  });

  test('parameters that are missing, alone or too many', async () => {
    const { subject_token: _, ...without } = exchangeForm(subject, stock);
    await refused(service, without, 'invalid_request', 'malformed');
    const { subject_token_type: __, ...untyped } = exchangeForm(subject, stock);
    await refused(service, untyped, 'invalid_request', 'malformed');
    for (const [name, value] of [
      ['actor_token', subject],
      ['actor_token_type', accessTokenType],
    ] as const)
      await refused(
        service,
        exchangeForm(subject, stock, { [name]: value }),
        'invalid_request',
        'malformed',
      );
    const { resource: ___, ...nowhere } = exchangeForm(subject, stock);
    await refused(service, nowhere, 'invalid_target', 'target');
    await refused(
      service,
      exchangeForm(subject, stock, { audience: ledger }),
      'invalid_target',
      'target',
    );
    // SECURITY 6: a parameter twice.
    const twice = new URLSearchParams(exchangeForm(subject, stock));
    twice.append('subject_token', subject);
    twice.append('client_id', service.clientId);
    twice.append('client_secret', service.clientSecret as string);
    const before = await rows();
    const answer = await fetch(new URL('/token', one.url), { method: 'POST', body: twice });
    expect(answer.status).toBe(400);
    expect(await rows()).toEqual(before);
  });

  test('audience names the API as well as resource does, and both of them the same one', async () => {
    const { resource: _, ...form } = exchangeForm(subject, stock);
    for (const named of [{ audience: stock }, { audience: stock, resource: stock }]) {
      const { status } = await post(one.url, '/token', service, { ...form, ...named });
      expect(status).toBe(200);
    }
  });

  test('SECURITY 11: scopes beyond the rule, the client and the API', async () => {
    await refused(
      service,
      exchangeForm(subject, stock, { scope: 'write' }),
      'invalid_scope',
      'scope_not_allowed',
    );
    const { body } = await exchangeToken(one.url, service, subject, stock, {
      scope: 'write read admin openid offline_access',
    });
    expect(body.scope).toBe('read');
    const { scope: _, ...unasked } = exchangeForm(subject, stock);
    const { status, body: bare } = await post(one.url, '/token', service, unasked);
    expect({ status, scope: bare.scope }).toEqual({ status: 200 });
  });

  test.each([
    [orders, 'opaque'],
    [ledger, 'JWT'],
  ])('32: at the same API (%s, %s) it never widens', async (api) => {
    // The rule and the client would allow more.
    const own = await seed.client({
      type: 'machine',
      apis: [{ identifier: api, scopes: ['read', 'write'] }],
      ...exchangeGrant,
    });
    const rule = { clientId: own.clientId, source: api, target: api, impersonation: true };
    await allow(database, { ...rule, scopes: ['read', 'write'] });
    const { accessToken: narrow } = await person({ api, scope: 'read' });
    const { accessToken: wide } = await person({ api, scope: 'read write' });
    await until(async () => (await exchangeToken(one.url, own, wide, api)).status === 200);
    for (const [token, scope, expected] of [
      [narrow, 'read write', 'read'],
      [narrow, 'read', 'read'],
      [wide, 'write', 'write'],
      [wide, 'write  read', 'write read'],
      [await machineToken(one.url, robot, api), 'read write', 'read'],
    ] as const) {
      const { status, body } = await exchangeToken(one.url, own, token, api, { scope });
      expect({ status, scope: body.scope }).toEqual({ status: 200, scope: expected });
      expect(await introspect(one.url, apiOf(api), body.access_token)).toMatchObject({
        active: true,
        scope: expected,
      });
      // Neither does what was made from it.
      const again = await exchangeToken(one.url, own, body.access_token, api, {
        scope: 'read write',
      });
      expect(again.body.scope?.split(' ').toSorted()).toEqual(expected.split(' ').toSorted());
    }
    await refused(
      own,
      exchangeForm(narrow, api, { scope: 'write' }),
      'invalid_scope',
      'scope_not_allowed',
    );
  });

  test('32: across APIs the rule decides', async () => {
    const own = await seed.client({
      type: 'machine',
      apis: [{ identifier: stock, scopes: ['read', 'write'] }],
      ...exchangeGrant,
    });
    const rule = { clientId: own.clientId, source: orders, target: stock, impersonation: true };
    await allow(database, { ...rule, scopes: ['write'] });
    const { accessToken } = await person({ scope: 'read' });
    await until(
      async () =>
        (await exchangeToken(one.url, own, accessToken, stock, { scope: 'write' })).status === 200,
    );
    const { body } = await exchangeToken(one.url, own, accessToken, stock, { scope: 'read write' });
    expect(body.scope).toBe('write');
    await refused(own, exchangeForm(accessToken, stock), 'invalid_scope', 'scope_not_allowed');
  });

  test('exchanged tokens do not open userinfo', async () => {
    const { body } = await exchangeToken(one.url, service, subject, stock);
    const response = await fetch(new URL('/userinfo', one.url), {
      headers: { authorization: `Bearer ${body.access_token}` },
    });
    expect([401, 403]).toContain(response.status);
  });

  test("actor tokens: a person's, an exchanged one, another's that no rule names, one for elsewhere", async () => {
    const actor = (token: string) =>
      exchangeForm(subject, stock, { actor_token: token, actor_token_type: accessTokenType });
    const exchanged = await exchangeToken(one.url, delegate, subject, stock);
    for (const [token, reason] of [
      [subject, 'actor_not_allowed'],
      [exchanged.body.access_token, 'actor_not_allowed'],
      [await machineToken(one.url, next, orders), 'actor_not_allowed'],
      [await machineToken(one.url, robot, ledger), 'actor_not_allowed'],
      ['nothing', 'actor_not_live'],
    ] as const)
      await refused(delegate, actor(token), 'invalid_request', reason);
    const named = await machineToken(one.url, robot, orders);
    const { status, body } = await post(one.url, '/token', delegate, actor(named));
    expect(status).toBe(200);
    const told = await introspect(one.url, apiOf(stock), body.access_token);
    expect(told.act).toEqual({ sub: robot.clientId });
    await revoke(one.url, robot, named);
    expect(await isActive(one.url, apiOf(stock), body.access_token)).toBe(false);
  });

  test("a machine's own token: it may ask for another", async () => {
    const own = await machineToken(one.url, service, orders);
    await refused(service, exchangeForm(own, stock), 'invalid_request', 'subject_is_own');
  });

  test('a rule that is removed gives nothing any more, on every process within two seconds', async () => {
    const client = await seed.client({
      type: 'machine',
      apis: [{ identifier: stock, scopes: ['read'] }],
      ...exchangeGrant,
    });
    const id = await allow(database, {
      clientId: client.clientId,
      source: orders,
      target: stock,
      scopes: ['read'],
    });
    const statuses = async () =>
      (await Promise.all([one, two].map(({ url }) => exchangeToken(url, client, subject, stock))))
        .map(({ status }) => status)
        .join();
    expect(await statuses()).toBe('200,200');
    await database.db.kysely.deleteFrom('exchange_rules').where('id', '=', id).execute();
    await database.db.pool.query(
      `update config_versions set version = version + 1 where topic = 'exchange_rules'`,
    );
    await until(async () => (await statuses()) === '400,400');
  });
});
