import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { importJWK, type JWK, SignJWT } from 'jose';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Asked, each, type Pair, startPair, type Told } from '../support/fast-path.ts';
import { until } from '../support/process.ts';
import {
  type Credentials,
  exchange,
  post,
  refresh,
  revoke,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { testMasterKey } from '../support/server-process.ts';

/**
 * The introspection fast path beside the engine's way: thousands of tokens, callers and mistakes, asked of two servers of which
 * one has no fast paths. The answers are the same, byte by byte.
 */

const issuer = 'http://localhost:3000';
const opaque = 'https://opaque.example.com';
const jwt = 'https://jwt.example.com';
const plainTyp = 'https://plain.example.com';
const form = 'application/x-www-form-urlencoded';

let database: TestDatabase;
let seed: Seed;
let pair: Pair;
const callers: Record<string, Credentials> = {};
const tokens: Record<string, string> = {};
/** How many of the answers were given by the fast path. */
let byFastPath = 0;
let asked = 0;

const who = (name: string) => callers[name] as Credentials;
const anyToken = () => tokens['live, own'] as string;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seedCallers();
  pair = await startPair(database, issuer);
  await seedTokens();
  await forgeTokens();
});

afterAll(async () => {
  await pair.close();
  await database.drop();
});

async function seedCallers(): Promise<void> {
  const apis = [opaque, jwt, plainTyp].map((identifier) => ({ identifier, scopes: ['read'] }));
  callers['opaque API'] = await seed.api(opaque);
  callers['JWT API'] = await seed.api(jwt, 'jwt');
  callers['API of plain JWTs'] = await seed.api(plainTyp, 'jwt', ['read'], {
    tokenTyp: 'JWT',
    signingAlg: 'RS256',
  });
  callers.client = await seed.client({ apis });
  callers['another client'] = await seed.client({ apis });
  callers.machine = await seed.client({ type: 'machine', apis });
  callers['public client'] = await seed.client({ type: 'spa', apis });
  callers['signed answers'] = await seed.client({ introspectionSigningAlg: 'ES256' });
  callers['disabled client'] = await seed.client({ apis });
  callers['client without email'] = await seed.client({
    apis,
    scopes: ['openid', 'offline_access'],
  });
  callers['client with a weird secret'] = await withSecret('a b+c%d:é/ö');
  callers['client with an expired secret'] = await withSecret('expired', new Date(0));
  callers['the wrong secret'] = { ...who('client'), clientSecret: 'vs_cs_wrong' };
  callers['the secret of another'] = {
    ...who('client'),
    clientSecret: who('another client').clientSecret,
  };
  callers['an unknown client'] = { clientId: 'c_unknown', clientSecret: 'x' };
  callers['a hostile client'] = { clientId: "c_' or 1=1 --", clientSecret: '\u0000' };
  callers['a client with an empty secret'] = { ...who('client'), clientSecret: '' };
}

async function withSecret(secret: string, expires: Date | null = null): Promise<Credentials> {
  const { clientId } = await seed.client();
  await database.db.kysely
    .updateTable('client_secrets')
    .set({ secret_hash: sha256(secret), expires_at: expires })
    .where('client_id', '=', clientId)
    .execute();
  return { clientId, clientSecret: secret };
}

interface Issued {
  readonly accountId: string;
  readonly browser: SignedInBrowser;
}

/** A token of each kind, by name. */
async function issue(name: string, client: Credentials, offline = true): Promise<Issued> {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId, {
    [opaque]: ['read'],
    [jwt]: ['read'],
    [plainTyp]: ['read'],
  });
  const browser = await seed.signIn(accountId);
  const get = async (resource?: string) => {
    const scope = `openid${offline ? ' offline_access' : ''}${resource === undefined ? '' : ' read'}`;
    const extra = resource === undefined ? { scope } : { scope, resource };
    const code = await browser.authorize(pair.url, client, extra);
    return (await exchange(pair.url, client, code)).body;
  };
  const own = await get();
  tokens[`${name}, own`] = own.access_token;
  if (own.refresh_token !== undefined) tokens[`${name}, refresh`] = own.refresh_token;
  if (own.id_token !== undefined) tokens[`${name}, ID token`] = own.id_token as string;
  tokens[`${name}, for the opaque API`] = (await get(opaque)).access_token;
  tokens[`${name}, for the JWT API`] = (await get(jwt)).access_token;
  tokens[`${name}, for the API of plain JWTs`] = (await get(plainTyp)).access_token;
  return { accountId, browser };
}

async function issueToMachine(name: string, machine = who('machine')): Promise<void> {
  for (const [what, resource] of Object.entries({ opaque, jwt, plain: plainTyp })) {
    const fields = { grant_type: 'client_credentials', resource, scope: 'read' };
    tokens[`${name}, a machine's ${what}`] = (
      await post(pair.url, '/token', machine, fields)
    ).body.access_token;
  }
}

const ofAccount = ({ accountId }: Issued, change: string) =>
  sql`update ${sql.raw(change)} where account_id = ${accountId}`.execute(database.db.kysely);

/** Live ones, and those that have ended in every way that there is. */
async function seedTokens(): Promise<void> {
  const client = who('client');
  await issue('live', client);
  await issue('live and bound to the session', client, false);
  await issue('live, without email', who('client without email'));
  await issue('of another client', who('another client'));
  await issueToMachine('live');
  await ofAccount(
    await issue('expired', client),
    `tokens set expires_at = now() - interval '1 second', payload = payload || jsonb_build_object('exp', extract(epoch from now())::int - 1)`,
  );
  await ofAccount(await issue('of a dead family', client), 'grants set revoked_at = now()');
  await ofAccount(
    await issue('of an expired family', client),
    `grants set expires_at = now() - interval '1 second'`,
  );
  await ofAccount(await issue('used up', client), 'tokens set consumed_at = now()');
  await ofAccount(
    await issue('of a session that has ended', client, false),
    'sessions set ended_at = now()',
  );
  await ofAccount(
    await issue('of a session that is over', client, false),
    `sessions set expires_at = now() - interval '1 second'`,
  );
  await ofAccount(
    await issue("of a session that is another's", client, false),
    'grants set session_uid = null',
  );
  const disabled = await issue('of a disabled account', client);
  await sql`update accounts set disabled_at = now() where id = ${disabled.accountId}`.execute(
    database.db.kysely,
  );
  const mismatched = await issue('of a family of another client', client);
  await sql`update grants set client_id = ${who('another client').clientId} where account_id = ${mismatched.accountId}`.execute(
    database.db.kysely,
  );
  await issue('revoked', client);
  for (const name of ['own', 'for the opaque API', 'for the JWT API', 'refresh'])
    await revoke(pair.url, client, tokens[`revoked, ${name}`] as string);
  await issueToMachine('revoked');
  for (const name of ['opaque', 'jwt', 'plain'])
    await revoke(pair.url, who('machine'), tokens[`revoked, a machine's ${name}`] as string);
  await issue('rotated', client);
  await refresh(pair.url, client, tokens['rotated, refresh'] as string);
  await issue('of a disabled client', who('disabled client'));
  await seed.disableClient(who('disabled client').clientId);
  // Both learn of it in their own time, which is two seconds at most.
  for (const server of [pair.url, pair.engineUrl])
    await until(async () => {
      const { status } = await post(server, '/introspect', who('disabled client'), { token: 'x' });
      return status === 401;
    });
}

/** What nobody issued. */
async function forgeTokens(): Promise<void> {
  const { jwks } = (await new KeyService(database.db, new Sealer([testMasterKey])).read()).at(0);
  const sign = async (
    claims: Record<string, unknown>,
    header: Record<string, unknown> = {},
    alg = 'ES256',
  ) => {
    const jwk = jwks.keys.find((key) => key.alg === alg && key.d !== undefined) as JWK;
    return new SignJWT(claims)
      .setProtectedHeader({ alg, kid: jwk.kid as string, typ: 'at+jwt', ...header })
      .sign(await importJWK(jwk, alg));
  };
  const part = (token: string, index: number) => token.split('.')[index] as string;
  const decoded = (token: string) =>
    JSON.parse(Buffer.from(part(token, 1), 'base64url').toString()) as Record<string, unknown>;
  const live = tokens['live, for the JWT API'] as string;
  const plain = tokens['live, for the API of plain JWTs'] as string;
  const machine = tokens["live, a machine's jwt"] as string;
  const claims = decoded(live);
  const now = Math.floor(Date.now() / 1000);
  const unsigned = (header: object) =>
    `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${part(live, 1)}.${part(live, 2)}`;
  const forged: Record<string, string | Promise<string>> = {
    'signed again': sign(claims),
    'signed again, by another algorithm': sign(claims, {}, 'RS256'),
    'signed again, EdDSA': sign(claims, {}, 'EdDSA'),
    'typ JWT where the API has the other': sign(claims, { typ: 'JWT' }),
    'typ at+jwt where the API has the plain one': sign(decoded(plain)),
    'typ application/at+jwt': sign(claims, { typ: 'application/at+jwt' }),
    'typ id+jwt': sign(claims, { typ: 'id+jwt' }),
    'typ JWT, an ID token with a client': sign(
      {
        ...decoded(tokens['live, ID token'] as string),
        client_id: who('client').clientId,
        jti: 'x',
      },
      { typ: 'JWT' },
    ),
    'another issuer': sign({ ...claims, iss: 'http://evil.example' }),
    'another client': sign({ ...claims, client_id: who('another client').clientId }),
    'another person': sign({ ...claims, sub: 'u_else' }),
    'a person as a machine': sign({ ...claims, sub: claims.client_id }),
    'a machine as a person': sign({ ...decoded(machine), sub: 'u_else' }),
    'a machine with several audiences': sign({ ...decoded(machine), aud: [opaque, jwt] }),
    'a machine with a key': sign({ ...decoded(machine), cnf: { jkt: 'thumbprint' } }),
    'a machine with a certificate': sign({ ...decoded(machine), cnf: { 'x5t#S256': 'print' } }),
    'a machine with all that there is': sign({
      ...decoded(machine),
      act: { sub: 'c_x' },
      authorization_details: [{ type: 'x' }],
      acr: 'a',
      auth_time: 1,
      nbf: now - 1,
    }),
    'a machine that is not there': sign({ ...decoded(machine), sub: 'c_x', client_id: 'c_x' }),
    'expired JWT': sign({ ...claims, exp: now - 1 }),
    'not yet': sign({ ...claims, nbf: now + 3_600 }),
    'no jti': sign({ ...claims, jti: undefined }),
    'a jti of nobody': sign({ ...claims, jti: 'never' }),
    'alg none': unsigned({ alg: 'none', typ: 'at+jwt' }),
    'no kid': sign(claims, { kid: undefined }),
    'a hostile kid': unsigned({ alg: 'ES256', kid: '../../dev/null', typ: 'at+jwt' }),
    'a broken signature': `${live.slice(0, -4)}AAAA`,
    'two parts': live.split('.').slice(0, 2).join('.'),
    'four parts': `${live}.AAAA`,
    'five parts': `${live}.AAAA.AAAA`,
    dots: '...',
    'no token of ours': 'unknown',
    'a prefix alone': 'vs_at_',
    'an unknown opaque one': `vs_at_${'x'.repeat(43)}`,
    'a code': `vs_ac_${'x'.repeat(43)}`,
    'another prefix': (tokens['live, own'] as string).replace('vs_at_', 'vs_mt_'),
    'in capitals': (tokens['live, own'] as string).toUpperCase(),
    'with a dot': `${tokens['live, own'] as string}.a.b`,
    'a client id': who('client').clientId,
    'a long one': 'x'.repeat(7_900),
    'one too long for the fast path': 'x'.repeat(9_000),
    'one too long for anybody': 'x'.repeat(70_000),
    zero: '\u0000',
    unicode: 'é€😀',
    percent: '%',
    'percent 2': '%41%zz',
    space: ' ',
    plus: '+',
    ampersand: 'a&b=c',
    __proto__x: '__proto__',
    html: '<script>alert(1)</script>',
    sql: "' or 1=1 --",
  };
  for (const [name, token] of Object.entries(forged)) tokens[name] = await token;
}

/** Asks both, and gives the answer of the fast paths. */
async function expectSame(what: unknown, request: Asked): Promise<Told> {
  const [fastPath, engine] = await pair.ask(request);
  const { byFastPath: viaFastPath, ...answer } = fastPath;
  const { byFastPath: viaEngine, ...expected } = engine;
  expect({ what, request, ...answer }).toEqual({ what, request, ...expected });
  expect(viaEngine).toBe(false);
  asked++;
  if (viaFastPath) byFastPath++;
  return fastPath;
}

const encoded = (text: string) => encodeURIComponent(text).replace(/%20/g, '+');
const basic = ({ clientId, clientSecret = '' }: Credentials) => [
  'Authorization',
  `Basic ${Buffer.from(`${encoded(clientId)}:${encoded(clientSecret)}`).toString('base64')}`,
];
const introspection = (body: string, headers: readonly string[], more: Partial<Asked> = {}) => ({
  path: '/introspect',
  body,
  headers: ['Content-Type', form, ...headers],
  ...more,
});
const credentialFields = ({ clientId, clientSecret = '' }: Credentials) =>
  `client_id=${encoded(clientId)}&client_secret=${encoded(clientSecret)}`;

describe('the differential corpus', () => {
  test('every token, asked for by every caller in every way', async () => {
    const ways: Record<string, (caller: Credentials, token: string) => Asked> = {
      basic: (caller, token) => introspection(`token=${encoded(token)}`, basic(caller)),
      post: (caller, token) =>
        introspection(`token=${encoded(token)}&${credentialFields(caller)}`, []),
    };
    const all = Object.entries(tokens).flatMap(([name, token]) =>
      Object.entries(callers).flatMap(([caller, credentials]) =>
        Object.entries(ways).map(([way, make]) => ({
          what: { name, caller, way },
          request: make(credentials, token),
        })),
      ),
    );
    expect(all.length).toBeGreaterThan(3_000);
    const active: string[] = [];
    const before = { byFastPath, asked };
    await each(all, async ({ what, request }) => {
      const { status, body } = await expectSame(what, request);
      if (status === 200 && body.includes('"active":true'))
        active.push(`${what.name} · ${what.caller}`);
    });
    // What was right of it was the fast path's to answer, and what was live was told of.
    expect(byFastPath - before.byFastPath).toBeGreaterThan((asked - before.asked) / 3);
    for (const name of [
      'live, own · client',
      'live, refresh · client',
      'live, for the opaque API · opaque API',
      'live, for the JWT API · JWT API',
      'live, for the API of plain JWTs · API of plain JWTs',
      'live and bound to the session, for the JWT API · client',
      "live, a machine's opaque · opaque API",
      "live, a machine's jwt · machine",
      'signed again, by another algorithm · JWT API',
      'signed again, EdDSA · JWT API',
      'a machine with several audiences · opaque API',
    ])
      expect(active).toContain(name);
    const dead =
      /^(expired|used up|revoked|of a |of an |typ JWT|typ id|another |a jti|no jti|not yet)/;
    expect(active.filter((one) => dead.test(one))).toEqual([]);
    expect(active.filter((one) => /ID token|public|disabled|wrong|unknown/.test(one))).toEqual([]);
  }, 120_000);

  const variations: Record<string, () => Asked> = {
    'no credentials': () => introspection(`token=${anyToken()}`, []),
    'both places': () =>
      introspection(`token=${anyToken()}&${credentialFields(who('client'))}`, basic(who('client'))),
    'the id in both places': () =>
      introspection(
        `token=${anyToken()}&client_id=${who('client').clientId}`,
        basic(who('client')),
      ),
    'another id in the form': () =>
      introspection(`token=${anyToken()}&client_id=c_other`, basic(who('client'))),
    'the id alone': () =>
      introspection(`token=${anyToken()}&client_id=${who('client').clientId}`, []),
    'the secret alone': () => introspection(`token=${anyToken()}&client_secret=x`, []),
    'no token': () => introspection('token_type_hint=access_token', basic(who('client'))),
    'an empty token': () => introspection('token=', basic(who('client'))),
    'an empty body': () => introspection('', basic(who('client'))),
    'token twice': () =>
      introspection(`token=${anyToken()}&token=${anyToken()}`, basic(who('client'))),
    'hint twice': () =>
      introspection(
        `token=${anyToken()}&token_type_hint=a&token_type_hint=b`,
        basic(who('client')),
      ),
    'client_id twice': () =>
      introspection(`token=${anyToken()}&client_id=a&client_id=b`, basic(who('client'))),
    'an unknown parameter': () => introspection(`token=${anyToken()}&x=1`, basic(who('client'))),
    'an unknown parameter twice': () =>
      introspection(`token=${anyToken()}&x=1&x=2`, basic(who('client'))),
    'an assertion besides': () =>
      introspection(`token=${anyToken()}&client_assertion=e.e.e`, basic(who('client'))),
    'array brackets': () => introspection(`token[]=${anyToken()}`, basic(who('client'))),
    'a name in capitals': () => introspection(`TOKEN=${anyToken()}`, basic(who('client'))),
    'an encoded name': () => introspection(`%74oken=${anyToken()}`, basic(who('client'))),
    semicolons: () => introspection(`token=${anyToken()};x=1`, basic(who('client'))),
    'empty pairs': () => introspection(`&token=${anyToken()}&&`, basic(who('client'))),
    'no equals sign': () => introspection(`token`, basic(who('client'))),
    'two equals signs': () => introspection(`token=${anyToken()}=`, basic(who('client'))),
    'a hostile name': () => introspection(`token=${anyToken()}&__proto__=x`, basic(who('client'))),
    'an encoded token': () =>
      introspection(
        `token=${Buffer.from(anyToken()).toString('hex').replace(/../g, '%$&')}`,
        basic(who('client')),
      ),
    'broken percent-encoding': () => introspection(`token=${anyToken()}%`, basic(who('client'))),
    'overlong UTF-8': () => introspection(`token=${anyToken()}%c0%80`, basic(who('client'))),
    'raw bytes': () =>
      introspection(`token=${anyToken()}`, basic(who('client')), {
        body: Buffer.concat([Buffer.from(`token=${anyToken()}`), Buffer.from([0xff, 0xfe, 0x00])]),
      }),
    'a byte order mark': () => introspection(`\ufefftoken=${anyToken()}`, basic(who('client'))),
    'a line end': () => introspection(`token=${anyToken()}\r\n`, basic(who('client'))),
    'a space before': () => introspection(` token=${anyToken()}`, basic(who('client'))),
    JSON: () => introspection(`{"token":"${anyToken()}"}`, basic(who('client'))),
  };

  test.each(Object.keys(variations))('the form: %s', async (name) => {
    await expectSame(name, (variations[name] as () => Asked)());
  });

  test.each([
    'access_token',
    'refresh_token',
    'nonsense',
    '',
    '%00',
    'urn:ietf:params:oauth:token-type:access_token',
  ])('token_type_hint %s', async (hint) => {
    for (const kind of ['live, own', 'live, refresh', 'live, for the JWT API', 'no token of ours'])
      await expectSame(
        { hint, kind },
        introspection(
          `token=${tokens[kind] as string}&token_type_hint=${hint}`,
          basic(who('client')),
        ),
      );
  });

  const clientBasic = () => (basic(who('client'))[1] as string).slice('Basic '.length);
  const authorizations: (() => string)[] = [
    () => `Basic ${clientBasic()}`,
    () => `basic ${clientBasic()}`,
    () => `BASIC ${clientBasic()}`,
    () => `Basic  ${clientBasic()}`,
    () => `Basic ${clientBasic()} `,
    () => `Basic ${clientBasic()} x`,
    () => `Basic\t${clientBasic()}`,
    () => `Basic ${clientBasic()}=`,
    () => `Basic ${clientBasic().replace(/=+$/, '')}`,
    () => `Basic ${clientBasic().replaceAll('+', '-').replaceAll('/', '_')}`,
    () => 'Basic',
    () => 'Basic ',
    () => 'Basic Og==',
    () => 'Basic YQ==',
    () => 'Basic YTpi',
    () => 'Basic YTo=',
    () => 'Basic OmI=',
    () => `Bearer ${anyToken()}`,
    () => `DPoP ${anyToken()}`,
    () => clientBasic(),
    () => `Basic ${Buffer.from(`${who('client').clientId}:%zz`).toString('base64')}`,
    () => `Basic ${Buffer.from(`${who('client').clientId}:%00`).toString('base64')}`,
    () => `Basic ${Buffer.from(`${who('client').clientId}:é`).toString('base64')}`,
    () =>
      `Basic ${Buffer.from(`%63${who('client').clientId.slice(1)}:${who('client').clientSecret ?? ''}`).toString('base64')}`,
    () =>
      `Basic ${Buffer.from(`${who('client').clientId}:${who('client').clientSecret ?? ''}:x`).toString('base64')}`,
  ];
  test('credentials in the header, in every spelling', async () => {
    for (const make of authorizations)
      await expectSame(make(), introspection(`token=${anyToken()}`, ['Authorization', make()]));
    const once = basic(who('client'));
    await expectSame('twice', introspection(`token=${anyToken()}`, [...once, ...once]));
    await expectSame(
      'twice, differently',
      introspection(`token=${anyToken()}`, [...once, ...basic(who('machine'))]),
    );
  });

  test('headers of every kind, in any case', async () => {
    const kinds: readonly (readonly string[])[] = [
      ...[
        '*/*',
        'application/json',
        'text/html',
        'text/*',
        'application/token-introspection+jwt',
        '',
        'x',
        'application/json;q=0',
        'application/json, text/plain, */*',
        'text/html,application/json',
        'application/json,application/token-introspection+jwt',
      ].map((value) => ['Accept', value]),
      ['ACCEPT', 'application/json'],
      ['Origin', 'https://app.example.com'],
      ['Origin', 'null'],
      ['Origin', 'https://evil.example'],
      ['DPoP', 'x'],
      ['OAuth-Client-Attestation', 'x'],
      ['OAuth-Client-Attestation-PoP', 'x'],
      ['Cookie', 'vs_session=x'],
      ['Content-Encoding', 'gzip'],
      ['X-Forwarded-For', '1.2.3.4'],
      ['X-Forwarded-Host', 'evil.example'],
      ['X-HTTP-Method-Override', 'GET'],
      ['Sec-Fetch-Site', 'cross-site'],
      ['Expect', '100-continue'],
      ['Connection', 'close'],
      ['If-None-Match', '*'],
      ['Range', 'bytes=0-1'],
    ];
    for (const caller of ['client', 'signed answers', 'the wrong secret'])
      for (const extra of kinds) {
        const request = introspection(`token=unknown`, [...basic(who(caller)), ...extra]);
        if (caller !== 'signed answers' || !String(extra[1]).includes('introspection'))
          await expectSame({ caller, extra }, request);
      }
    await expectSame('names in capitals', {
      path: '/introspect',
      body: `token=${anyToken()}`,
      headers: ['CONTENT-TYPE', form, 'AUTHORIZATION', basic(who('client'))[1] as string],
    });
  });

  test('types and lengths of the body', async () => {
    for (const type of [
      `${form}; charset=utf-8`,
      `${form};charset=UTF-8`,
      `${form}; charset="utf-8"`,
      `${form}; charset=iso-8859-1`,
      `${form}; charset=utf-16le`,
      `${form}; charset=evil`,
      `${form};`,
      form.toUpperCase(),
      ` ${form}`,
      'application/json',
      'multipart/form-data; boundary=x',
      'text/plain',
      '',
      'x',
    ])
      for (const body of [
        `token=${anyToken()}`,
        `token=${anyToken()}&x=é`,
        `\ufefftoken=${anyToken()}`,
      ])
        await expectSame(type, {
          path: '/introspect',
          body,
          headers: ['Content-Type', type, ...basic(who('client'))],
        });
    await expectSame('no type', {
      path: '/introspect',
      body: `token=${anyToken()}`,
      headers: basic(who('client')),
    });
    await expectSame(
      'in chunks',
      introspection(`token=${anyToken()}`, [
        ...basic(who('client')),
        'Transfer-Encoding',
        'chunked',
      ]),
    );
    for (const length of [8_190, 8_192, 8_193, 57_000, 66_000])
      await expectSame(
        length,
        introspection(`token=${'x'.repeat(length - 6)}`, basic(who('client'))),
      );
  });

  test('paths and methods', async () => {
    for (const path of [
      '/introspect',
      '/introspect/',
      '/INTROSPECT',
      '/Introspect/',
      '/introspect//',
      '//introspect',
      '/introspect?',
      '/introspect?token=x',
      '/introspect#x',
      '/introspect/x',
      '/%69ntrospect',
      '/introspect%2f',
      '/./introspect',
      'http://localhost/introspect',
    ])
      await expectSame(path, introspection(`token=${anyToken()}`, basic(who('client')), { path }));
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'HEAD'])
      await expectSame(
        method,
        introspection(`token=${anyToken()}`, basic(who('client')), { method }),
      );
  });

  test('whatever bytes come', async () => {
    const names = fc.constantFrom(
      'token',
      'token_type_hint',
      'client_id',
      'client_secret',
      'x',
      '',
    );
    const pieces = fc.constantFrom(
      '%',
      '+',
      '&',
      '=',
      '%20',
      '%00',
      '%C3%A9',
      'é',
      '.',
      'vs_at_',
      'a',
      '\u0000',
    );
    const value = fc.oneof(
      fc.array(pieces, { maxLength: 6 }).map((all) => all.join('')),
      fc.string({ maxLength: 30 }),
      fc.constantFrom('live, own', 'live, for the JWT API').map((name) => `@${name}`),
    );
    const bodies = fc
      .array(fc.tuple(names, value), { maxLength: 5 })
      .map((pairs) => pairs.map(([name, one]) => `${name}=${one}`).join('&'));
    const filled = (body: string) =>
      body.replace(/@(live[^&=]*)/g, (_, name: string) => tokens[name] ?? name);
    await fc.assert(
      fc.asyncProperty(
        bodies,
        fc.constantFrom('client', 'JWT API', 'the wrong secret', 'client with a weird secret', ''),
        async (body, caller) => {
          await expectSame(
            caller,
            introspection(filled(body), caller === '' ? [] : basic(who(caller))),
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('who is refused is in the audit, whichever way the request began', async () => {
  // One that was refused nothing yet: each process writes the first of a minute, and counts those that are alike.
  const refused = await new Seed(database.db).client();
  const count = async () => {
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from audit_events
      where type = 'client.authentication' and outcome = 'refused' and client_id = ${refused.clientId}`.execute(
      database.db.kysely,
    );
    return rows[0]?.count ?? 0;
  };
  for (const server of [pair.url, pair.engineUrl, pair.url, pair.engineUrl]) {
    const wrong = { ...refused, clientSecret: 'wrong' };
    const { status } = await post(server, '/introspect', wrong, { token: 'x' });
    expect(status).toBe(401);
  }
  expect(await count()).toBe(2);
});

test('both ways were gone: what is plain by the fast path, and the rest not', () => {
  expect(byFastPath).toBeGreaterThan(1_500);
  expect(asked - byFastPath).toBeGreaterThan(500);
});
