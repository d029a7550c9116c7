import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { sql } from 'kysely';
import { ConsentService } from '../../src/consent/consent.service.ts';
import { identityScopes } from '../../src/client/client.ts';
import type { Permissions } from '../../src/db/schema.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  post,
  redirectUri,
  refresh,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import {
  answered,
  ask,
  authorizationFields,
  basic,
  countRows,
  type Fields,
  form,
  send,
} from '../support/wire.ts';
import { until } from '../support/process.ts';

/**
 * A client that was not given an API's scope never gets it, by any grant (SECURITY.md, table 11; DESIGN.md, "What a
 * client may ask"): what comes out is what the API has, and the client was given, and the person allowed, and was asked.
 */

const invoices = 'https://invoices.example.com';
const ledger = 'https://ledger.example.com/v1/';
const closed = 'https://closed.example.com';

let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let client: Credentials;
let machine: Credentials;
let apiOf: Record<string, Credentials>;

/** Invoices are for both; of the ledger's scopes the client was given one; the closed API is not for it. */
const given = [
  { identifier: invoices, scopes: ['read', 'list'] },
  { identifier: ledger, scopes: ['read'] },
];
/** The person allowed all there is, which is more than the client was given. */
const everything: Permissions = {
  scopes: [...identityScopes],
  claims: [],
  resources: {
    [invoices]: ['read', 'list', 'write', 'admin'],
    [ledger]: ['read', 'write', 'delete'],
    [closed]: ['read'],
    'https://unknown.example.com': ['read'],
  },
};

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  server = await startServerProcess(database, 'http://localhost:3000');
  apiOf = {
    [invoices]: await seed.api(invoices, 'jwt', ['read', 'list', 'write', 'admin']),
    [ledger]: await seed.api(ledger, 'opaque', ['read', 'write', 'delete']),
    [closed]: await seed.api(closed, 'opaque', ['read']),
  };
  client = await seed.client({ apis: given, scopes: ['openid', 'email', 'offline_access'] });
  machine = await seed.client({ type: 'machine', apis: given });
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

async function person(
  of: Credentials = client,
  granted: Permissions = everything,
  rejected: Permissions = { scopes: [], claims: [], resources: {} },
): Promise<{ accountId: string; browser: SignedInBrowser }> {
  const accountId = await seed.account();
  await database.db.kysely
    .insertInto('consents')
    .values({
      id: `consent of ${accountId} for ${of.clientId}`,
      account_id: accountId,
      client_id: of.clientId,
      granted: JSON.stringify(granted),
      rejected: JSON.stringify(rejected),
      version: 1,
    })
    .execute();
  return { accountId, browser: await seed.signIn(accountId) };
}

/**
 * Scope and audience, as the answer, the API's introspection and the token itself tell them. A token without a scope comes with
 * an answer that names what was granted beside it (RFC 6749, section 5.1), or no scope; never an empty one.
 */
async function worth(
  body: { access_token: string; scope?: string },
  owner: Credentials = client,
): Promise<{ scope: string; aud: string | undefined }> {
  const told = (await post(server.url, '/introspect', owner, { token: body.access_token })).body;
  expect(told.active).toBe(true);
  const result = { scope: told.scope ?? '', aud: told.aud as string | undefined };
  expect(body.scope).not.toBe('');
  if (result.scope !== '') expect(body.scope).toBe(result.scope);
  else for (const scope of split(body.scope)) expect(identityScopes).toContain(scope);
  if (result.aud !== undefined) {
    expect(
      (
        await post(server.url, '/introspect', apiOf[result.aud] as Credentials, {
          token: body.access_token,
        })
      ).body,
    ).toMatchObject({ active: true, aud: result.aud });
  }
  if (body.access_token.includes('.'))
    expect(decodeJwt(body.access_token)).toMatchObject({
      aud: result.aud,
      ...(result.scope === '' ? {} : { scope: result.scope }),
    });
  for (const [identifier, api] of Object.entries(apiOf)) {
    if (identifier !== result.aud)
      expect(
        (await post(server.url, '/introspect', api, { token: body.access_token })).body,
      ).toEqual({ active: false });
  }
  return result;
}

const split = (scope: string | undefined) => (scope === undefined ? [] : scope.split(' '));

/** A code for what is asked, or the error in its place. */
async function codeFor(browser: SignedInBrowser, extra: Fields, of: Credentials = client) {
  const { fields, verifier } = authorizationFields(of, { prompt: 'none', ...extra });
  const { code, error } = answered((await ask(server.url, fields, { browser })).location);
  return { code: code as string, verifier, error };
}

const redeem = (
  given: { code: string; verifier: string },
  extra: Fields = {},
  of: Credentials = client,
) =>
  send(server.url, '/token', {
    method: 'POST',
    headers: basic(of),
    body: form({
      grant_type: 'authorization_code',
      code: given.code,
      code_verifier: given.verifier,
      redirect_uri: redirectUri,
      ...extra,
    }),
  });
const bodyOf = (answer: { json: unknown }) =>
  answer.json as { access_token: string; refresh_token: string; scope?: string };

const all = 'openid email offline_access read list write admin delete unknown';

describe('SECURITY 11: by a code', () => {
  const own = 'openid email offline_access';
  test.each<
    [
      name: string,
      asked: Fields,
      redeemed: Fields,
      expected: { scope: string; aud: string | undefined } | string,
    ]
  >([
    ['no API: nothing of any API', {}, {}, { scope: own, aud: undefined }],
    [
      'an API, named at both',
      { resource: invoices },
      { resource: invoices },
      { scope: 'read list', aud: invoices },
    ],
    [
      'an API, named at the authorization endpoint alone',
      { resource: invoices },
      {},
      { scope: 'read list', aud: invoices },
    ],
    ['another API', { resource: ledger }, {}, { scope: 'read', aud: ledger }],
    ['an API that was not asked for', {}, { resource: invoices }, 'invalid_target'],
    [
      'another API than was asked for',
      { resource: invoices },
      { resource: ledger },
      'invalid_target',
    ],
    [
      'two, of which one is redeemed',
      { resource: [invoices, ledger] },
      { resource: ledger },
      { scope: 'read', aud: ledger },
    ],
    [
      'two, of which the other is redeemed',
      { resource: [invoices, ledger] },
      { resource: invoices },
      { scope: 'read list', aud: invoices },
    ],
    ['two, and no word which', { resource: [invoices, ledger] }, {}, 'invalid_target'],
    [
      'two, and both redeemed',
      { resource: [invoices, ledger] },
      { resource: [invoices, ledger] },
      'invalid_target',
    ],
    [
      'two, and a third redeemed',
      { resource: [invoices, ledger] },
      { resource: closed },
      'invalid_target',
    ],
    ['a slash more', { resource: invoices }, { resource: `${invoices}/` }, 'invalid_target'],
    ['a slash less', { resource: ledger }, { resource: ledger.slice(0, -1) }, 'invalid_target'],
    [
      'in upper case',
      { resource: invoices },
      { resource: invoices.toUpperCase() },
      'invalid_target',
    ],
    [
      'encoded twice',
      { resource: invoices },
      { resource: encodeURIComponent(invoices) },
      'invalid_target',
    ],
    ['two in one', { resource: invoices }, { resource: `${invoices} ${ledger}` }, 'invalid_target'],
    [
      'a scope at the token endpoint does not count',
      { resource: invoices },
      { scope: 'admin' },
      { scope: 'read list', aud: invoices },
    ],
    [
      'an audience does not count',
      { resource: invoices },
      { audience: ledger },
      { scope: 'read list', aud: invoices },
    ],
  ])('%s', async (_, asked, redeemed, expected) => {
    const { browser } = await person();
    const code = await codeFor(browser, { scope: all, ...asked });
    expect(code.error).toBeUndefined();
    const answer = await redeem(code, redeemed);
    if (typeof expected === 'string') {
      expect(answer).toMatchObject({ status: 400, json: { error: expected } });
      // A refused request leaves the code whole, and nothing else behind.
      const rows = await database.db.kysely
        .selectFrom('tokens')
        .select(['kind', 'consumed_at'])
        .orderBy('issued_at', 'desc')
        .limit(1)
        .execute();
      expect(rows).toEqual([{ kind: 'code', consumed_at: null }]);
    } else {
      expect(answer.status).toBe(200);
      expect(await worth(bodyOf(answer))).toEqual(expected);
    }
  });

  test.each<[name: string, resource: string | string[]]>([
    ['an API that the client was not given', closed],
    ['an API that is not there', 'https://unknown.example.com'],
    ['one of its own beside it', [invoices, closed]],
    ['a slash more', `${invoices}/`],
    ['a slash less', ledger.slice(0, -1)],
    ['in upper case', invoices.toUpperCase()],
    ['the scheme in upper case', invoices.replace('https', 'HTTPS')],
    ['its port named', `${invoices}:443`],
    ['a dot segment', `${ledger}x/../`],
    ['a query', `${invoices}?x`],
    ['a fragment', `${invoices}#x`],
    ['encoded twice', encodeURIComponent(invoices)],
    ['an encoded letter', 'https://invoices.example.com/%2e'],
    ['user information', 'https://x@invoices.example.com'],
    ['a longer host', `${invoices}.evil.example`],
    ['two in one', `${invoices} ${ledger}`],
    ['two in one, with a comma', `${invoices},${ledger}`],
    ['a relative one', '/v1/'],
    ['a prototype', '__proto__'],
    ['a name of the prototype as a URN', 'urn:constructor'],
  ])('asked for, %s: invalid_target', async (_, resource) => {
    const { browser } = await person();
    expect(await codeFor(browser, { scope: all, resource })).toMatchObject({
      code: undefined,
      error: 'invalid_target',
    });
  });

  test('of an API that is closed to it a client does not learn whether it is there', async () => {
    const { browser } = await person();
    const texts = await Promise.all(
      [closed, 'https://unknown.example.com'].map(async (resource) => {
        const { location } = await ask(
          server.url,
          authorizationFields(client, { resource }).fields,
          { browser },
        );
        return answered(location).error_description;
      }),
    );
    expect(texts[0]).toBe(texts[1]);
  });

  test.each([
    ["another API's scope", 'openid delete', invoices, ''],
    ['a scope that the API has, and the client was not given', 'openid write', invoices, ''],
    ['the same in another case', 'openid READ Read', invoices, ''],
    ['with what it has', 'openid write read admin', invoices, 'read'],
    ['identity scopes', 'openid email', invoices, ''],
    ['the identifier as a scope', `openid ${invoices}/write`, invoices, ''],
  ])('%s: not given', async (_, scope, resource, expected) => {
    const { browser } = await person();
    const answer = await redeem(await codeFor(browser, { scope, resource }));
    expect(answer.status).toBe(200);
    expect(await worth(bodyOf(answer))).toEqual({ scope: expected, aud: resource });
  });

  test('what the person did not allow is asked for, and what they turned down is not given', async () => {
    const { browser } = await person(client, {
      ...everything,
      resources: { [invoices]: ['read'] },
    });
    expect((await codeFor(browser, { scope: 'openid read list', resource: invoices })).error).toBe(
      'consent_required',
    );
    // What the client was not given is not asked for either: it learns nothing of it.
    expect(
      await worth(
        bodyOf(
          await redeem(await codeFor(browser, { scope: 'openid read write', resource: invoices })),
        ),
      ),
    ).toEqual({ scope: 'read', aud: invoices });
    const wary = await person(
      client,
      { ...everything, resources: { [invoices]: ['read'] } },
      { scopes: [], claims: [], resources: { [invoices]: ['list'] } },
    );
    expect(
      await worth(
        bodyOf(
          await redeem(
            await codeFor(wary.browser, { scope: 'openid read list', resource: invoices }),
          ),
        ),
      ),
    ).toEqual({ scope: 'read', aud: invoices });
  });

  test('what was allowed for one API counts for no other', async () => {
    const { browser } = await person(client, {
      ...everything,
      resources: { [invoices]: ['read'] },
    });
    expect((await codeFor(browser, { scope: 'openid read', resource: ledger })).error).toBe(
      'consent_required',
    );
    expect(
      (await codeFor(browser, { scope: 'openid read', resource: [invoices, ledger] })).error,
    ).toBe('consent_required');
  });

  test('a first-party client, which needs no consent, gets what it was given and no more', async () => {
    const ours = await seed.client({ firstParty: true, apis: given, scopes: ['openid'] });
    const browser = await seed.signIn(await seed.account());
    expect(
      await worth(
        bodyOf(
          await redeem(
            await codeFor(browser, { scope: 'openid read write admin', resource: invoices }, ours),
            {},
            ours,
          ),
        ),
        ours,
      ),
    ).toEqual({ scope: 'read', aud: invoices });
    expect((await codeFor(browser, { scope: 'openid read', resource: closed }, ours)).error).toBe(
      'invalid_target',
    );
    const { json } = await redeem(
      await codeFor(browser, { scope: 'openid email' }, ours),
      {},
      ours,
    );
    expect(json.scope).toBe('openid');
  });
});

describe('SECURITY 11: by a refresh token', () => {
  const started = async (
    extra: Fields = { resource: invoices },
    of = client,
    granted = everything,
  ) => {
    const { accountId, browser } = await person(of, granted);
    return {
      accountId,
      browser,
      ...bodyOf(
        await redeem(
          await codeFor(browser, { scope: all, ...extra }, of),
          extra.resource === undefined ? {} : { resource: [extra.resource].flat()[0] },
          of,
        ),
      ),
    };
  };

  test.each<
    [
      name: string,
      form: Record<string, string>,
      expected: { scope: string; aud: string | undefined } | string,
    ]
  >([
    ['as it was', {}, { scope: 'read list', aud: invoices }],
    ['the API named', { resource: invoices }, { scope: 'read list', aud: invoices }],
    ['less', { scope: 'read' }, { scope: 'read', aud: invoices }],
    ['identity scopes alone', { scope: 'openid' }, { scope: '', aud: invoices }],
    [
      '1: a scope that the client was not given, which is left out',
      { scope: 'read write' },
      { scope: 'read', aud: invoices },
    ],
    [
      '1: a scope that is not there, which is left out',
      { scope: 'read unknown' },
      { scope: 'read', aud: invoices },
    ],
    [
      '1: an identity scope that the client was not given, which is left out',
      { scope: 'openid read groups profile' },
      { scope: 'read', aud: invoices },
    ],
    ['3: extra spaces', { scope: '  read  list ' }, { scope: 'read list', aud: invoices }],
    ["another API's scope", { scope: 'delete' }, 'invalid_scope'],
    ['nothing but what the client was not given', { scope: 'groups write' }, 'invalid_scope'],
    ['another API', { resource: ledger }, 'invalid_target'],
    ['an API that is closed', { resource: closed }, 'invalid_target'],
    ['a slash more', { resource: `${invoices}/` }, 'invalid_target'],
    ['invalid characters', { scope: 'read "' }, 'invalid_scope'],
  ])('%s', async (_, fields, expected) => {
    const { refresh_token: token } = await started();
    const { status, body } = await refresh(server.url, client, token, fields);
    if (typeof expected === 'string') {
      expect({ status, error: body.error }).toEqual({ status: 400, error: expected });
      expect((await refresh(server.url, client, token)).status).toBe(200);
    } else {
      expect(status).toBe(200);
      expect(await worth(body)).toEqual(expected);
    }
  });

  test('of two APIs each by itself, never both', async () => {
    const { refresh_token: token } = await started({ resource: [invoices, ledger] });
    expect((await refresh(server.url, client, token)).body.error).toBe('invalid_target');
    const first = (await refresh(server.url, client, token, { resource: ledger })).body;
    expect(await worth(first)).toEqual({ scope: 'read', aud: ledger });
    expect(
      await worth(
        (await refresh(server.url, client, first.refresh_token, { resource: invoices })).body,
      ),
    ).toEqual({ scope: 'read list', aud: invoices });
    expect(
      (await refresh(server.url, client, first.refresh_token, { resource: closed })).body.error,
    ).toBe('invalid_target');
  });

  test('SECURITY Authorization 7: a narrower one does not narrow the next, and none is ever wider than the first', async () => {
    const { accountId, browser } = await person();
    const first = bodyOf(
      await redeem(
        await codeFor(browser, { scope: 'openid offline_access read', resource: invoices }),
      ),
    );
    const narrow = (await refresh(server.url, client, first.refresh_token, { scope: 'openid' }))
      .body;
    const next = (await refresh(server.url, client, narrow.refresh_token)).body;
    expect(await worth(next)).toEqual({ scope: 'read', aud: invoices });
    // The session's family is one: what a later request adds to it does not reach the tokens of the first.
    const later = bodyOf(
      await redeem(
        await codeFor(browser, {
          scope: 'openid email offline_access read list',
          resource: invoices,
        }),
      ),
    );
    expect(await worth(later)).toEqual({ scope: 'read list', aud: invoices });
    expect(await worth((await refresh(server.url, client, next.refresh_token)).body)).toEqual({
      scope: 'read',
      aud: invoices,
    });
    expect(
      (await refresh(server.url, client, next.refresh_token, { scope: 'list' })).body.error,
    ).toBe('invalid_scope');
    expect(
      await database.db.kysely
        .selectFrom('grants')
        .select('id')
        .where('account_id', '=', accountId)
        .execute(),
    ).toHaveLength(1);
  });

  /** A client that nobody else uses, so that what it was given can be taken back. */
  const narrowed =
    (change: (clientId: string) => Promise<unknown>, topic: string) => async (clientId: string) => {
      await change(clientId);
      await sql`update config_versions set version = version + 1 where topic = ${topic}`.execute(
        database.db.kysely,
      );
    };

  test('after the client was given less, it gets less', async () => {
    const own = await seed.client({ apis: given });
    const { refresh_token: token } = await started({ resource: [invoices, ledger] }, own);
    let latest = token;
    const scopeNow = async (resource: string) => {
      const { body } = await refresh(server.url, own, latest, { resource });
      latest = body.refresh_token ?? latest;
      return body.error ?? (await worth(body, own)).scope;
    };
    expect(await scopeNow(invoices)).toBe('read list');
    await narrowed(
      (id) =>
        sql`delete from client_scopes where client_id = ${id} and scope = 'list'`.execute(
          database.db.kysely,
        ),
      'clients',
    )(own.clientId);
    await until(async () => (await scopeNow(invoices)) === 'read');
    expect(
      (await refresh(server.url, own, latest, { resource: invoices, scope: 'list' })).body.scope ??
        '',
    ).toBe('');
    latest = (await refresh(server.url, own, latest, { resource: ledger })).body.refresh_token;
    await narrowed(
      (id) =>
        sql`delete from client_scopes where client_id = ${id} and resource_server_id = (select id from resource_servers where identifier = ${invoices})`.execute(
          database.db.kysely,
        ),
      'clients',
    )(own.clientId);
    await until(async () => (await scopeNow(invoices)) === 'invalid_target');
    expect(await scopeNow(ledger)).toBe('read');
  });

  test('after the client was given fewer identity scopes, it gets fewer', async () => {
    const own = await seed.client({ apis: given });
    const first = await started({}, own);
    expect(await worth(first, own)).toEqual({
      scope: 'openid email offline_access',
      aud: undefined,
    });
    await narrowed(
      (id) =>
        sql`update clients set metadata = metadata || '{"scope":"openid offline_access"}' where id = ${id}`.execute(
          database.db.kysely,
        ),
      'clients',
    )(own.clientId);
    let latest = first.refresh_token;
    let body = {} as { access_token: string; refresh_token: string; scope?: string };
    await until(async () => {
      ({ body } = await refresh(server.url, own, latest));
      latest = body.refresh_token;
      return body.scope === 'openid offline_access';
    });
    const headers = { authorization: `Bearer ${body.access_token}` };
    expect((await send(server.url, '/userinfo', { headers })).json).toEqual({
      sub: first.accountId,
    });
  });

  test('after the API lost a scope, nobody has it', async () => {
    const identifier = 'https://losing.example.com';
    apiOf[identifier] = await seed.api(identifier, 'opaque', ['keep', 'lose']);
    const own = await seed.client({ apis: [{ identifier, scopes: ['keep', 'lose'] }] });
    const { browser } = await person(own, {
      ...everything,
      resources: { [identifier]: ['keep', 'lose'] },
    });
    let code = await codeFor(
      browser,
      { scope: 'openid offline_access keep lose', resource: identifier },
      own,
    );
    await until(async () => {
      if (code.code === undefined)
        code = await codeFor(
          browser,
          { scope: 'openid offline_access keep lose', resource: identifier },
          own,
        );
      return code.code !== undefined;
    });
    const first = bodyOf(await redeem(code, {}, own));
    expect(await worth(first, own)).toEqual({ scope: 'keep lose', aud: identifier });
    await narrowed(
      () =>
        sql`delete from resource_server_scopes where scope = 'lose'`.execute(database.db.kysely),
      'resource_servers',
    )(own.clientId);
    let latest = first.refresh_token;
    await until(async () => {
      const { body } = await refresh(server.url, own, latest);
      latest = body.refresh_token;
      return body.scope === 'keep';
    });
  });

  test('SECURITY Authorization 12: consent that is narrowed or taken back ends what it gave', async () => {
    const consents = new ConsentService(database.db);
    for (const change of [
      (accountId: string) =>
        database.db.transaction((db) =>
          consents.decide(db, accountId, client.clientId, {
            allowed: { scopes: [], claims: [], resources: {} },
            denied: { scopes: [], claims: [], resources: { [invoices]: ['list'] } },
          }),
        ),
      (accountId: string) => consents.remove(accountId, client.clientId),
    ]) {
      const first = await started();
      const other = await started();
      await change(first.accountId);
      expect((await refresh(server.url, client, first.refresh_token)).body.error).toBe(
        'invalid_grant',
      );
      expect(
        (await post(server.url, '/introspect', client, { token: first.access_token })).body,
      ).toEqual({ active: false });
      expect((await refresh(server.url, client, other.refresh_token)).status).toBe(200);
    }
  });

  test('SECURITY Authorization 7: the family has an absolute end, which no refresh moves, and no token outlives', async () => {
    const { accountId, refresh_token: token } = await started();
    const end = async () =>
      (
        await database.db.kysely
          .selectFrom('grants')
          .select('expires_at')
          .where('account_id', '=', accountId)
          .executeTakeFirstOrThrow()
      ).expires_at.getTime();
    const before = await end();
    const next = (await refresh(server.url, client, token)).body;
    const told = (await post(server.url, '/introspect', client, { token: next.refresh_token }))
      .body;
    expect(await end()).toBe(before);
    expect((told.exp as number) * 1000).toBeLessThanOrEqual(before + 1000);
    await sql`update grants set expires_at = now() - interval '1 second' where account_id = ${accountId}`.execute(
      database.db.kysely,
    );
    expect((await refresh(server.url, client, next.refresh_token)).body.error).toBe(
      'invalid_grant',
    );
    expect(
      (await post(server.url, '/introspect', client, { token: next.access_token })).body,
    ).toEqual({ active: false });
  });
});

describe('SECURITY 11: by client credentials', () => {
  const ask = (fields: Fields, of = machine) =>
    send(server.url, '/token', {
      method: 'POST',
      headers: basic(of),
      body: form({ grant_type: 'client_credentials', ...fields }),
    });

  test.each<[name: string, fields: Fields, expected: string]>([
    ['its scope', { scope: 'read' }, 'read'],
    ['all of its scopes', { scope: 'list read' }, 'list read'],
    ['the same twice', { scope: 'read read' }, 'read'],
    ['that beside its own', { scope: 'read write admin unknown' }, 'read'],
    ['identity scopes', { scope: 'openid email profile offline_access read' }, 'read'],
    ['no scope', {}, ''],
    ['an empty scope', { scope: '' }, ''],
    ['3: a space before it', { scope: ' read' }, 'read'],
    ['3: a space behind it', { scope: 'read ' }, 'read'],
    ['3: several spaces', { scope: '  read   list ' }, 'read list'],
    ['3: nothing but spaces', { scope: '   ' }, ''],
    ['the API twice', { scope: 'read', resource: [invoices, invoices] }, 'read'],
  ])('%s', async (_, fields, expected) => {
    const answer = await ask({ resource: invoices, ...fields });
    expect(answer.status).toBe(200);
    expect(answer.json).not.toHaveProperty('refresh_token');
    expect(answer.json).not.toHaveProperty('id_token');
    expect(await worth(bodyOf(answer), machine)).toEqual({ scope: expected, aud: invoices });
  });

  test.each<[name: string, fields: Fields]>([
    ['no API: it would be a token that nobody can check', {}],
    ['an empty API', { resource: '' }],
    ['no API, with identity scopes', { resource: undefined, scope: 'openid email' }],
    ['an API that is closed to it', { resource: closed }],
    ['an API that is not there', { resource: 'https://unknown.example.com' }],
    ['two APIs', { resource: [invoices, ledger] }],
    ['two APIs in one', { resource: `${invoices} ${ledger}` }],
    ['a slash more', { resource: `${invoices}/` }],
    ['a slash less', { resource: ledger.slice(0, -1) }],
    ['in upper case', { resource: invoices.toUpperCase() }],
    ['encoded twice', { resource: encodeURIComponent(invoices) }],
    ['a fragment', { resource: `${invoices}#x` }],
    ['a prototype', { resource: '__proto__' }],
    ['the name of the API as a list', { 'resource[]': invoices }],
    ['as an audience', { audience: invoices }],
    ['the server itself', { resource: 'http://localhost:3000' }],
    ['userinfo', { resource: 'http://localhost:3000/userinfo' }],
  ])('%s: invalid_target', async (_, fields) => {
    const answer = await ask({ scope: 'read', ...fields });
    expect(answer).toMatchObject({ status: 400, json: { error: 'invalid_target' } });
  });

  test.each(['read\tlist', 'read\nlist', ' read\t', 'r"ead', 'read\\', 'r\u00e9ad', '\u0000'])(
    'a malformed scope %j: invalid_scope',
    async (scope) => {
      expect(await ask({ resource: invoices, scope })).toMatchObject({
        status: 400,
        json: { error: 'invalid_scope' },
      });
    },
  );

  // Asked plainly, by the fast path; with a parameter that it does not know, by the engine.
  test.each(
    [
      ['a scope that it was not given', 'write'],
      ["another API's scope", 'delete'],
      ['another case', 'READ'],
      ['a comma for a space', 'read,list'],
      ['a plus in it', 'read+list'],
      ['an encoded space', 'read%20list'],
      ['identity scopes alone', 'openid email offline_access'],
      ['several of them', ' write  admin unknown '],
    ].flatMap(([name, scope]): [string, string, Fields][] => [
      [`${name}`, 'the fast path', { scope }],
      [`${name}`, 'the engine', { scope, audience: 'x' }],
    ]),
  )('3: %s (%s): invalid_scope', async (_, __, fields) => {
    const before = await countRows(database.db);
    const answer = await ask({ resource: invoices, ...fields });
    expect(answer).toMatchObject({
      status: 400,
      json: {
        error: 'invalid_scope',
        error_description:
          'none of the requested scopes can be granted: this client may ask for read list',
      },
    });
    expect(await countRows(database.db)).toEqual(before);
  });

  test('2: the API is the only one to which the scopes belong', async () => {
    for (const more of [{}, { audience: 'x' }]) {
      const answer = await ask({ scope: 'list unknown', ...more });
      expect(await worth(bodyOf(answer), machine)).toEqual({ scope: 'list', aud: invoices });
      // It belongs to both.
      expect(await ask({ scope: 'read', ...more })).toMatchObject({
        status: 400,
        json: {
          error: 'invalid_target',
          error_description: 'name the API that the token is for in resource',
        },
      });
    }
  });

  test('a machine that was given nothing gets nothing', async () => {
    const poor = await seed.client({ type: 'machine' });
    for (const resource of [undefined, invoices, ledger, closed])
      expect(await ask({ resource, scope: 'read' }, poor)).toMatchObject({
        status: 400,
        json: { error: 'invalid_target' },
      });
  });

  test('the credentials with which an API introspects get no token at all', async () => {
    const answer = await ask({ resource: invoices, scope: 'read' }, apiOf[invoices]);
    expect(answer.status).toBe(400);
    expect(answer.json).not.toHaveProperty('access_token');
  });

  test('nothing of it opens userinfo or can be refreshed', async () => {
    const { access_token: token } = bodyOf(await ask({ resource: ledger, scope: 'read' }));
    expect(
      (await send(server.url, '/userinfo', { headers: { authorization: `Bearer ${token}` } }))
        .status,
    ).toBe(401);
    expect((await refresh(server.url, machine, token)).status).toBe(400);
  });
});

describe('identity scopes', () => {
  test('1: outside of what the client was given: left out', async () => {
    const { browser } = await person();
    for (const [scope, left] of [
      ['openid profile', 'openid'],
      ['groups openid email profile offline_access', 'openid email offline_access'],
    ]) {
      const { json } = await redeem(await codeFor(browser, { scope }));
      expect(json.scope).toBe(left);
    }
    expect((await codeFor(browser, { scope: 'profile' })).error).toBe('invalid_scope');
  });

  test('that are not ours are left out', async () => {
    const { browser } = await person();
    const answer = await redeem(
      await codeFor(browser, { scope: 'openid OPENID Email address phone teams admin *' }),
    );
    expect(await worth(bodyOf(answer))).toEqual({ scope: 'openid', aud: undefined });
  });

  test('single claims lead around neither the client nor the person', async () => {
    const claims = JSON.stringify({
      userinfo: { email: { essential: true }, name: null },
      id_token: { email: null, name: { essential: true } },
    });
    const { browser } = await person();
    // The person has allowed the scopes, but not these single claims.
    expect((await codeFor(browser, { scope: 'openid', claims })).error).toBe('consent_required');
    // What belongs to none of its scopes is not even asked for, as if it were not known.
    const unknown = JSON.stringify({ userinfo: { name: { essential: true }, phone_number: null } });
    expect((await codeFor(browser, { scope: 'openid', claims: unknown })).error).toBeUndefined();
    // Nobody asks for a first-party client: it gets what belongs to its scopes.
    const ours = await seed.client({ firstParty: true, scopes: ['openid', 'email'] });
    const accountId = await seed.account();
    const { email } = await database.db.kysely
      .selectFrom('accounts')
      .select('email')
      .where('id', '=', accountId)
      .executeTakeFirstOrThrow();
    const { json } = await redeem(
      await codeFor(await seed.signIn(accountId), { scope: 'openid', claims }, ours),
      {},
      ours,
    );
    const told = (
      await send(server.url, '/userinfo', {
        headers: { authorization: `Bearer ${json.access_token as string}` },
      })
    ).json;
    expect(told).toEqual({ sub: accountId, email });
    expect(decodeJwt(json.id_token as string)).toMatchObject({ sub: accountId, email });
    expect(decodeJwt(json.id_token as string)).not.toHaveProperty('name');
  });
});

describe('offline_access', () => {
  const offlineOf = async (accountId: string) =>
    (
      await database.db.kysely
        .selectFrom('grants')
        .select('offline')
        .where('account_id', '=', accountId)
        .execute()
    ).map((row) => row.offline);

  test('asked for and allowed: a refresh token, and a family that outlives the session', async () => {
    const { accountId, browser } = await person();
    const { json } = await redeem(await codeFor(browser, { scope: 'openid offline_access' }));
    expect(json).toMatchObject({
      refresh_token: expect.any(String),
      scope: 'openid offline_access',
    });
    expect(await offlineOf(accountId)).toEqual([true]);
  });

  test('not asked for: none, though it was allowed', async () => {
    const { browser } = await person();
    const { json } = await redeem(await codeFor(browser, { scope: 'openid email' }));
    expect(json).not.toHaveProperty('refresh_token');
    expect(json.scope).toBe('openid email');
  });

  test('not decided on: asked for', async () => {
    const { browser } = await person(client, { ...everything, scopes: ['openid', 'email'] });
    expect((await codeFor(browser, { scope: 'openid offline_access' })).error).toBe(
      'consent_required',
    );
  });

  test('turned down: none, and what it gives ends with the session', async () => {
    const { accountId, browser } = await person(
      client,
      { ...everything, scopes: ['openid'] },
      { scopes: ['offline_access'], claims: [], resources: {} },
    );
    const { json } = await redeem(await codeFor(browser, { scope: 'openid offline_access' }));
    expect(json).not.toHaveProperty('refresh_token');
    expect(json.scope).toBe('openid');
    expect(await offlineOf(accountId)).toEqual([false]);
    const alive = async () =>
      (await post(server.url, '/introspect', client, { token: json.access_token as string })).body
        .active;
    expect(await alive()).toBe(true);
    await sql`update sessions set ended_at = now() where uid = ${browser.sessionUid}`.execute(
      database.db.kysely,
    );
    expect(await alive()).toBe(false);
  });

  test('not given to the client: none, as if it had not asked (OpenID Connect Core, section 11)', async () => {
    const without = await seed.client({ scopes: ['openid', 'email'] });
    const { accountId, browser } = await person(without);
    const { json } = await redeem(
      await codeFor(browser, { scope: 'openid offline_access' }, without),
      {},
      without,
    );
    expect(json).not.toHaveProperty('refresh_token');
    expect(json.scope).toBe('openid');
    expect(await offlineOf(accountId)).toEqual([false]);
  });

  test("with an API: the refresh token comes, and the scope is not in the API's token", async () => {
    const { browser } = await person();
    const { json } = await redeem(
      await codeFor(browser, { scope: 'openid offline_access read', resource: ledger }),
    );
    expect(json).toMatchObject({ refresh_token: expect.any(String), scope: 'read' });
  });
});

describe('one decision at every endpoint', () => {
  const notes = 'https://notes.example.com/mcp';
  const tasks = 'https://tasks.example.com/mcp';
  const cibaGrant = 'urn:openid:params:grant-type:ciba';
  const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';
  const apis = [
    { identifier: notes, scopes: ['notes:read', 'notes:erase', 'search'] },
    { identifier: tasks, scopes: ['tasks:read', 'search'] },
  ];
  /** Each of them as an operator registers it, and as if it had registered itself. */
  const clients: Record<'known' | 'own', Credentials> = {} as never;

  beforeAll(async () => {
    apiOf[notes] = await seed.api(notes, 'opaque', ['notes:read', 'notes:erase', 'search'], {
      openScopes: ['notes:read', 'search'],
    });
    apiOf[tasks] = await seed.api(tasks, 'opaque', ['tasks:read', 'search'], {
      openScopes: ['tasks:read'],
    });
    const input = {
      scopes: ['openid', 'email', 'offline_access'],
      grantTypes: ['authorization_code', 'refresh_token', cibaGrant, deviceGrant],
    } satisfies Parameters<Seed['client']>[0];
    clients.known = await seed.client({ ...input, apis });
    clients.own = await seed.client(input);
    await sql`update clients set registered_by = 'anybody' where id = ${clients.own.clientId}`.execute(
      database.db.kysely,
    );
    await sql`update config_versions set version = version + 1 where topic = 'clients'`.execute(
      database.db.kysely,
    );
    // The server hears of new APIs within two seconds, and may know the first of them before the second.
    const told = (resource: string) => ways.par?.(clients.known, { scope: 'openid', resource });
    for (const api of [notes, tasks])
      await until(async () => (await told(api))?.error === undefined);
  });

  type Told = { readonly scope?: string; readonly error?: string; readonly description?: string };

  /** What the request comes to, before anybody has signed in: what is stored of it, or the refusal. */
  const ways: Record<string, (of: Credentials, fields: Fields) => Promise<Told>> = {
    async authorize(of, fields) {
      const { location } = await ask(server.url, authorizationFields(of, fields).fields);
      const { error, error_description: description = '' } = answered(location);
      if (error !== undefined) return { error, description };
      const { payload } = await database.db.kysely
        .selectFrom('interactions')
        .select('payload')
        .orderBy('created_at', 'desc')
        .limit(1)
        .executeTakeFirstOrThrow();
      return { scope: (payload?.params as { scope?: string } | undefined)?.scope ?? '' };
    },
    async par(of, fields) {
      const { status, json } = await send(server.url, '/par', {
        method: 'POST',
        headers: basic(of),
        body: form(authorizationFields(of, fields).fields),
      });
      if (status !== 201) return refusalIn(json);
      return await ways.authorize!(of, { request_uri: json.request_uri as string });
    },
    device: (of, fields) => polled('/device_authorization', of, fields),
    ciba: (of, fields) => polled('/ciba', of, { login_hint: 'no@example.com', ...fields }),
  };
  const refusalIn = ({
    error,
    error_description: description,
  }: Readonly<Record<string, unknown>>) => ({ error, description }) as Told;

  async function polled(path: string, of: Credentials, fields: Fields): Promise<Told> {
    const { status, json } = await send(server.url, path, {
      method: 'POST',
      headers: basic(of),
      body: form(fields),
    });
    if (status !== 200) return refusalIn(json);
    const { payload } = await database.db.kysely
      .selectFrom('polled_requests')
      .select('payload')
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow();
    return { scope: (payload.params as { scope?: string }).scope ?? '' };
  }

  /** Where CIBA needs `openid`, another error comes first. */
  const cases: [name: string, of: 'known' | 'own', fields: Fields, expected: Told][] = [
    [
      '1: advertised identity scopes that are not allowed for the client are left out',
      'known',
      { scope: 'openid groups profile email' },
      { scope: 'openid email' },
    ],
    [
      '1: all that the metadata advertises, with an API that names no scopes',
      'own',
      { scope: 'openid offline_access profile email groups', resource: notes },
      { scope: 'openid offline_access email notes:read search' },
    ],
    [
      '1: scopes of an API that it may not have are left out',
      'own',
      { scope: 'openid notes:read notes:erase unknown', resource: notes },
      { scope: 'openid notes:read offline_access' },
    ],
    [
      '2: identity scopes alone, of a client with a name here: no scope of the API is added',
      'known',
      { scope: 'openid groups', resource: notes },
      { scope: 'openid' },
    ],
    [
      '2: scopes that belong to one API name it',
      'known',
      { scope: 'openid notes:read notes:erase' },
      { scope: 'openid notes:read notes:erase' },
    ],
    [
      '2: scopes that belong to several APIs are left out beside others',
      'known',
      { scope: 'openid notes:read tasks:read' },
      { scope: 'openid' },
    ],
    [
      '3: extra spaces are ignored',
      'known',
      { scope: '  openid   email ' },
      { scope: 'openid email' },
    ],
    [
      '4: a client that registered itself is offered to keep access',
      'own',
      { scope: 'openid tasks:read', resource: tasks },
      { scope: 'openid tasks:read offline_access' },
    ],
  ];
  test.each(
    cases.flatMap((one) =>
      Object.keys(ways).map((way) => [...one.slice(0, 1), way, ...one.slice(1)]),
    ),
  )('%s (%s)', async (...given) => {
    const [, way, of, fields, expected] = given as [string, string, 'known' | 'own', Fields, Told];
    const told = await ways[way]?.(clients[of], fields);
    expect({ ...told, scope: told?.scope?.split(' ').toSorted() }).toEqual({
      ...expected,
      scope: expected.scope?.split(' ').toSorted(),
    });
  });

  const refusals: [name: string, of: 'known' | 'own', fields: Fields, description: RegExp][] = [
    ['no scope and no API', 'known', { scope: undefined }, /^scope is missing: .* openid email/],
    ['an empty scope', 'own', { scope: ' ' }, /^scope is missing: .* openid email/],
    [
      'no scope, with an API',
      'known',
      { scope: undefined, resource: notes },
      /^scope is missing: .* notes:read notes:erase search$/,
    ],
    [
      'only identity scopes that are not allowed',
      'known',
      { scope: 'groups profile' },
      /^none of the requested scopes can be granted: this client may ask for openid email/,
    ],
    ['only offline_access', 'known', { scope: 'offline_access', prompt: 'consent' }, /openid/],
    [
      'only unknown scopes, with an API',
      'known',
      { scope: 'read write', resource: notes },
      /^none of .* notes:read notes:erase search$/,
    ],
    [
      'only scopes of another API',
      'known',
      { scope: 'tasks:read', resource: notes },
      /^none of .* notes:read/,
    ],
    [
      'a scope that two APIs have',
      'known',
      { scope: 'search' },
      /^the scopes belong to more than one API: name the API in resource$/,
    ],
    ['scopes of two APIs', 'own', { scope: 'notes:read tasks:read' }, /name the API in resource$/],
  ];
  test.each(
    refusals.flatMap((one) =>
      ['authorize', 'par', 'device'].map((way) => [one[0], way, ...one.slice(1)]),
    ),
  )('2: %s (%s): invalid_scope before anybody signs in', async (...given) => {
    const [, way, of, fields, description] = given as [string, string, 'known', Fields, RegExp];
    const before = await countRows(database.db);
    const told = await ways[way]?.(clients[of], fields);
    expect(told).toEqual({
      error: 'invalid_scope',
      description: expect.stringMatching(description),
    });
    expect(await countRows(database.db)).toEqual(before);
  });

  test.each([
    ['no scope', undefined],
    ['an empty one', ''],
    ['nothing but unknown ones', 'read x'],
    ['nothing but scopes that are not open', 'notes:erase'],
  ])('2: a client that registered itself, %s, with an API: its open scopes', async (_, scope) => {
    for (const way of ['authorize', 'par', 'device'])
      expect(await ways[way]?.(clients.own, { scope, resource: notes })).toEqual({
        scope: 'notes:read search offline_access',
      });
  });

  test('2: from scopes alone to a token for the API that they belong to', async () => {
    const { browser } = await person(clients.known, {
      scopes: ['openid'],
      claims: [],
      resources: { [notes]: ['notes:read'] },
    });
    const code = await codeFor(browser, { scope: 'openid notes:read' }, clients.known);
    const { json } = await redeem(code, {}, clients.known);
    expect(await worth(json as never, clients.known)).toEqual({ scope: 'notes:read', aud: notes });
  });

  test('3: an answer that gives less than was asked for names what it gives, and never nothing', async () => {
    const none = { scopes: [], claims: [], resources: {} };
    const { browser } = await person(
      clients.known,
      { ...none, scopes: ['openid', 'offline_access'] },
      { ...none, resources: { [notes]: ['notes:read'] } },
    );
    const asked = { scope: 'openid offline_access notes:read', resource: notes };
    const first = bodyOf(
      await redeem(await codeFor(browser, asked, clients.known), {}, clients.known),
    );
    expect(first.scope).toBe('openid offline_access');
    expect(await worth(first, clients.known)).toEqual({ scope: '', aud: notes });
    for (const [fields, scope] of [
      [{}, 'openid offline_access'],
      [{ scope: 'openid' }, 'openid'],
    ] as const) {
      const { body } = await refresh(server.url, clients.known, first.refresh_token, fields);
      expect(body.scope).toBe(scope);
      first.refresh_token = body.refresh_token;
    }
  });

  test('4: the switch holds against what a client is by itself, both ways', async () => {
    const asked = { scope: 'openid', resource: undefined };
    expect((await ways.authorize?.(clients.own, asked))?.scope).toBe('openid offline_access');
    await seed.updateClient(clients.own.clientId, { offlineAccess: 'asked' });
    await seed.updateClient(clients.known.clientId, { offlineAccess: 'always' });
    await until(async () => (await ways.authorize?.(clients.own, asked))?.scope === 'openid');
    await until(async () => (await ways.authorize?.(clients.known, asked))?.scope !== 'openid');
    for (const way of Object.values(ways)) {
      expect(await way(clients.own, asked)).toEqual({ scope: 'openid' });
      expect(await way(clients.known, asked)).toEqual({ scope: 'openid offline_access' });
    }
  });

  test.each<[string, Parameters<Seed['client']>[0]]>([
    ['the grant refresh_token', { grantTypes: ['authorization_code'] }],
    ['the scope offline_access', { scopes: ['openid'] }],
  ])('4: a client without %s is not offered to keep access', async (_, input) => {
    const without = await seed.client(input);
    await sql`update clients set registered_by = 'anybody' where id = ${without.clientId}`.execute(
      database.db.kysely,
    );
    expect(await ways.authorize?.(without, { scope: 'openid' })).toEqual({ scope: 'openid' });
  });
});
