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
  eventually,
  type Fields,
  form,
  send,
} from '../support/wire.ts';

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

/** Scope and audience, as the answer, the API's introspection and the token itself tell them. */
async function worth(
  body: { access_token: string; scope?: string },
  owner: Credentials = client,
): Promise<{ scope: string; aud: string | undefined }> {
  const told = (await post(server.url, '/introspect', owner, { token: body.access_token })).body;
  expect(told.active).toBe(true);
  const result = { scope: told.scope ?? '', aud: told.aud as string | undefined };
  expect(body.scope ?? '').toBe(result.scope);
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
    expect((await codeFor(browser, { scope: 'openid email' }, ours)).error).toBe('invalid_scope');
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
    ['a scope that the client was not given', { scope: 'read write' }, 'invalid_scope'],
    ['a scope that is not there', { scope: 'read unknown' }, 'invalid_scope'],
    ["another API's scope", { scope: 'delete' }, 'invalid_scope'],
    ['an identity scope that was not asked for', { scope: 'openid profile' }, 'invalid_scope'],
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
    await eventually(async () => (await scopeNow(invoices)) === 'read');
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
    await eventually(async () => (await scopeNow(invoices)) === 'invalid_target');
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
    await eventually(async () => {
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
    await eventually(async () => {
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
    await eventually(async () => {
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
    ['a scope that it was not given', { scope: 'write' }, ''],
    ['that beside its own', { scope: 'read write admin unknown' }, 'read'],
    ["another API's scope", { scope: 'delete' }, ''],
    ['another case', { scope: 'READ' }, ''],
    ['a comma for a space', { scope: 'read,list' }, ''],
    ['a plus in it', { scope: 'read+list' }, ''],
    ['an encoded space', { scope: 'read%20list' }, ''],
    ['identity scopes', { scope: 'openid email profile offline_access read' }, 'read'],
    ['no scope', {}, ''],
    ['an empty scope', { scope: '' }, ''],
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

  test.each([
    'read\tlist',
    'read\nlist',
    ' read',
    'read ',
    'read  list',
    'r"ead',
    'read\\',
    'r\u00e9ad',
    '\u0000',
  ])('a malformed scope %j: invalid_scope', async (scope) => {
    expect(await ask({ resource: invoices, scope })).toMatchObject({
      status: 400,
      json: { error: 'invalid_scope' },
    });
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
  test('outside of what the client was given: invalid_scope', async () => {
    const { browser } = await person();
    for (const scope of ['profile', 'openid profile', 'openid email profile offline_access']) {
      expect((await codeFor(browser, { scope })).error).toBe('invalid_scope');
    }
    expect((await codeFor(browser, { scope: 'openid email' })).error).toBeUndefined();
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
