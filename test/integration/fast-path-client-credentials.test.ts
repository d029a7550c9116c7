import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDetailType, files } from '../support/detail-types.ts';
import { type Asked, each, type Pair, startPair, type Told } from '../support/fast-path.ts';
import { until } from '../support/process.ts';
import { type Credentials, post, Seed } from '../support/protocol.ts';

/**
 * The fast path of client credentials beside the engine's way: errors are the same byte by byte, and so is what is issued, but
 * for the token's own name and time.
 */

const issuer = 'http://localhost:3000';
const opaque = 'https://opaque.example.com';
const jwts: Record<string, string> = {
  ES256: 'https://es256.example.com',
  RS256: 'https://rs256.example.com',
  PS256: 'https://ps256.example.com',
  EdDSA: 'https://eddsa.example.com',
  plain: 'https://plain.example.com',
};
const apis = [opaque, ...Object.values(jwts)];

let database: TestDatabase;
let pair: Pair;
const callers: Record<string, Credentials> = {};
let byFastPath = 0;
let asked = 0;

const who = (name: string) => callers[name] as Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  const seed = new Seed(database.db);
  callers['an API'] = await seed.api(opaque, 'opaque', ['read', 'write', 'all'], {
    accessTokenTtl: 600,
  });
  for (const [name, identifier] of Object.entries(jwts))
    await seed.api(
      identifier,
      'jwt',
      ['read', 'write'],
      name === 'plain' ? { tokenTyp: 'JWT' } : { signingAlg: name as 'ES256' },
    );
  await seed.api('https://closed.example.com');
  const open = apis.map((identifier) => ({ identifier, scopes: ['read', 'write'] }));
  callers.machine = await seed.client({ type: 'machine', apis: open });
  callers['with a default API'] = await seed.client({
    type: 'machine',
    apis: open,
    settings: { defaultResource: opaque, accessTokenTtl: 90 },
  });
  callers['bound by DPoP'] = await seed.client({ type: 'machine', apis: open, bound: 'dpop' });
  callers['a web app'] = await seed.client({ apis: open });
  callers['a public app'] = await seed.client({ type: 'spa', apis: open });
  callers['another machine'] = await seed.client({
    type: 'machine',
    apis: [{ identifier: opaque, scopes: ['write'] }],
  });
  callers.disabled = await seed.client({ type: 'machine', apis: open });
  callers['the wrong secret'] = { ...who('machine'), clientSecret: 'vs_cs_wrong' };
  callers.unknown = { clientId: 'c_unknown', clientSecret: 'x' };
  await seed.disableClient(who('disabled').clientId);
  await addDetailType(database.db, opaque, { ...files, type: 'files' });
  await seed.updateClient(who('machine').clientId, { authorizationDetailsTypes: ['files'] });
  pair = await startPair(database, issuer);
});

afterAll(async () => {
  await pair.close();
  await database.drop();
});

const token = (body: string, headers: readonly string[], more: Partial<Asked> = {}): Asked => ({
  path: '/token',
  body,
  headers: ['Content-Type', 'application/x-www-form-urlencoded', ...headers],
  ...more,
});
const basic = ({ clientId, clientSecret = '' }: Credentials) => [
  'Authorization',
  `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`,
];
const fields = (form: Record<string, string | undefined>) =>
  new URLSearchParams(
    Object.entries(form).filter((entry): entry is [string, string] => entry[1] !== undefined),
  ).toString();

/** What of an answer does not differ from token to token; the order of its members counts. */
async function settled({ body, ...answer }: Told): Promise<unknown> {
  const json = JSON.parse(body) as Record<string, unknown>;
  const { access_token: value } = json;
  if (typeof value !== 'string') return { ...answer, body };
  const members = Object.entries({ ...json, access_token: value.replace(/[\w-]{43}$/, '…') });
  if (value.split('.').length !== 3) {
    const { rows } = await sql<{ row: { payload: Record<string, number> } }>`
      select to_jsonb(t) - 'id_hash' - 'issued_at' - 'expires_at' as row, t.expires_at
      from tokens t where id_hash = ${sha256(value)}`.execute(database.db.kysely);
    const { iat = 0, exp = 0, ...payload } = rows[0]?.row.payload ?? {};
    return { ...answer, members, row: { ...rows[0]?.row, payload }, ttl: exp - iat };
  }
  const { jti, iat = 0, exp = 0, ...claims } = decodeJwt(value);
  return {
    ...answer,
    members: members.filter(([name]) => name !== 'access_token'),
    header: JSON.stringify(decodeProtectedHeader(value)),
    order: Object.keys(decodeJwt(value)),
    claims,
    ttl: exp - iat,
    jti: typeof jti === 'string' && jti.length,
  };
}

async function expectSame(what: unknown, request: Asked): Promise<Told> {
  const [fastPath, engine] = await pair.ask(request);
  const { byFastPath: viaFastPath, ...answer } = fastPath;
  const { byFastPath: viaEngine, ...expected } = engine;
  // Signatures of some algorithms have no fixed length.
  const isJson = answer.headers['content-type'] === 'application/json; charset=utf-8';
  const whole = (told: Omit<Told, 'byFastPath'>) =>
    isJson ? settled(told as Told) : Promise.resolve(told);
  expect({ what, request, answer: await whole(answer) }).toEqual({
    what,
    request,
    answer: await whole(expected),
  });
  expect(viaEngine).toBe(false);
  asked++;
  if (viaFastPath) byFastPath++;
  return fastPath;
}

test('every caller, API, scope and way', async () => {
  const scopes = [
    undefined,
    'read',
    'read write',
    'write read',
    'all',
    'none',
    'read read',
    'openid',
    'openid read',
    'offline_access',
    '',
  ];
  const resources = [
    ...apis,
    'https://closed.example.com',
    'https://none.example',
    'x',
    '',
    undefined,
    `${opaque}/`,
    `${opaque}#x`,
  ];
  const all = Object.keys(callers).flatMap((caller) =>
    scopes.flatMap((scope) =>
      resources.flatMap((resource) =>
        ['basic', 'post'].map((way) => ({ caller, scope, resource, way })),
      ),
    ),
  );
  expect(all.length).toBeGreaterThan(2_000);
  const issued = new Set<string>();
  await each(all, async (what) => {
    const { caller, scope, resource, way } = what;
    const client = who(caller);
    const form = { grant_type: 'client_credentials', scope, resource };
    const { status } = await expectSame(
      what,
      way === 'basic'
        ? token(fields(form), basic(client))
        : token(
            fields({
              ...form,
              client_id: client.clientId,
              client_secret: client.clientSecret ?? '',
            }),
            [],
          ),
    );
    if (status === 200) issued.add(`${caller} · ${resource ?? 'none'}`);
  });
  expect([...issued].sort()).toEqual(
    [
      ...apis.map((api) => `machine · ${api}`),
      ...apis.map((api) => `with a default API · ${api}`),
      'with a default API · ',
      'with a default API · none',
      `another machine · ${opaque}`,
      // Its scopes belong to one API, which is meant.
      'another machine · ',
      'another machine · none',
    ].sort(),
  );
}, 120_000);

test('what is odd is the engine’s, and wrong in the same words', async () => {
  const machine = basic(who('machine'));
  const right = fields({ grant_type: 'client_credentials', scope: 'read', resource: opaque });
  const forms = [
    '',
    'grant_type=client_credentials',
    fields({ grant_type: 'refresh_token', refresh_token: 'x' }),
    fields({ grant_type: 'password', username: 'a', password: 'b' }),
    fields({ grant_type: 'CLIENT_CREDENTIALS', resource: opaque }),
    fields({ scope: 'read', resource: opaque }),
    `${right}&resource=${encodeURIComponent(jwts.ES256 as string)}`,
    `${right}&resource=${encodeURIComponent(opaque)}`,
    `${right}&grant_type=client_credentials`,
    `${right}&scope=read`,
    `${right}&x=1`,
    `${right}&audience=x`,
    `${right}&client_id=${who('machine').clientId}`,
    `${right}&client_id=c_other`,
    `${right}&client_secret=x`,
    `${right}&client_assertion=x&client_assertion_type=y`,
    ...['[]', '[{"type":"files","path":"/a"}]', '[{"type":"files"}]', '[{"type":"x"}]', '{'].map(
      (details) => `${right}&authorization_details=${encodeURIComponent(details)}`,
    ),
    `grant_type=client_credentials&authorization_details=${encodeURIComponent('[{"type":"files","path":"/a"}]')}`,
    `${right}&code=x`,
    ...['a  b', ' read', 'read ', 'read\twrite', 're"ad', 'read\\', 'réad', 'x'.repeat(9_000)].map(
      (scope) => fields({ grant_type: 'client_credentials', scope, resource: opaque }),
    ),
    right.replace('grant_type', 'grant%5Ftype'),
    right.replace('client_credentials', 'client%5Fcredentials'),
    `\ufeff${right}`,
    `${right}%`,
    `{"grant_type":"client_credentials"}`,
  ];
  for (const body of forms) await expectSame(body, token(body, machine));
  for (const headers of [
    [],
    ['Accept', 'text/html'],
    ['Accept', 'application/json'],
    ['Origin', 'https://app.example.com'],
    ['DPoP', 'x'],
    ['DPoP', 'e.e.e'],
    ['Transfer-Encoding', 'chunked'],
    ['Expect', '100-continue'],
    ['OAuth-Client-Attestation', 'x'],
  ]) {
    await expectSame(headers, token(right, [...machine, ...headers]));
    await expectSame(headers, token('grant_type=x', [...machine, ...headers]));
  }
  for (const type of [
    'application/json',
    'application/x-www-form-urlencoded; charset=utf-8',
    'application/x-www-form-urlencoded; charset=iso-8859-1',
    'text/plain',
    '',
  ])
    for (const body of [right, `\ufeff${right}`, `${right}&x=é`])
      await expectSame(
        { type, body },
        { path: '/token', body, headers: ['Content-Type', type, ...machine] },
      );
  for (const path of ['/token', '/token/', '/TOKEN', '/token?x', '//token'])
    await expectSame(path, token(right, machine, { path }));
  for (const method of ['GET', 'PUT', 'OPTIONS'])
    await expectSame(method, token(right, machine, { method }));
});

test('whatever bytes come', async () => {
  const names = fc.constantFrom('grant_type', 'scope', 'resource', 'client_id', 'x', '');
  const value = fc.oneof(
    fc.constantFrom(
      'client_credentials',
      'read',
      encodeURIComponent(opaque),
      opaque,
      'refresh_token',
    ),
    fc
      .array(fc.constantFrom('%', '+', '&', '=', '%20', '%00', 'é', 'read', '"'), { maxLength: 5 })
      .map((all) => all.join('')),
    fc.string({ maxLength: 20 }),
  );
  const bodies = fc.oneof(
    fc
      .array(fc.tuple(names, value), { maxLength: 5 })
      .map((pairs) => pairs.map(([name, one]) => `${name}=${one}`).join('&')),
    fc
      .tuple(value, value)
      .map(
        ([scope, resource]) => `grant_type=client_credentials&scope=${scope}&resource=${resource}`,
      ),
  );
  await fc.assert(
    fc.asyncProperty(
      bodies,
      fc.constantFrom('machine', 'with a default API', 'a web app'),
      async (body, caller) => {
        await expectSame(caller, token(body, basic(who(caller))));
      },
    ),
    { numRuns: 400 },
  );
});

test('a token of the fast path is like any other: it is told of, and dies with its client', async () => {
  const seed = new Seed(database.db);
  const mine = await seed.client({
    type: 'machine',
    apis: [{ identifier: opaque, scopes: ['read'] }],
  });
  const { body } = await post(pair.url, '/token', mine, {
    grant_type: 'client_credentials',
    resource: opaque,
    scope: 'read',
  });
  const active = async (server: string) =>
    (await post(server, '/introspect', who('an API'), { token: body.access_token })).body.active;
  expect([await active(pair.url), await active(pair.engineUrl)]).toEqual([true, true]);
  await seed.disableClient(mine.clientId);
  expect([await active(pair.url), await active(pair.engineUrl)]).toEqual([false, false]);
  await until(
    async () =>
      (await post(pair.url, '/token', mine, { grant_type: 'client_credentials', resource: opaque }))
        .status === 401,
  );
});

test('both ways were gone', () => {
  expect(byFastPath).toBeGreaterThan(150);
  expect(asked - byFastPath).toBeGreaterThan(400);
});
