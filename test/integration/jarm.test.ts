import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  exchange,
  redirectUri,
  Seed,
  SignedInBrowser,
} from '../support/protocol.ts';
import { now } from '../support/proofs.ts';
import { answered, asking, type Asking, visit } from '../support/requests.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Answers of the authorization endpoint in a JWT (JARM). */

const issuer = 'http://localhost:3000';
const modes = ['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'] as const;
let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let client: Credentials;
let plain: Credentials;
let browser: SignedInBrowser;
let keys: ReturnType<typeof createLocalJWKSet>;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  client = await seed.client({ responseModes: [...modes], authorizationSigningAlg: 'ES256' });
  plain = await seed.client();
  const accountId = await seed.account();
  for (const { clientId } of [client, plain]) await seed.consent(accountId, clientId);
  server = await startServerProcess(database, issuer);
  browser = await seed.signIn(accountId);
  keys = createLocalJWKSet((await (await fetch(`${server.url}/jwks`)).json()) as JSONWebKeySet);
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

const ask = (
  { parameters }: Asking,
  mode: string | undefined,
  extra: Record<string, string> = {},
  by = browser,
) =>
  visit(by, server.url, {
    ...parameters,
    ...(mode === undefined ? {} : { response_mode: mode }),
    ...extra,
  });

/** What the app gets, wherever it stands, and nothing besides. */
async function fieldsOf(response: Response, mode: string): Promise<Record<string, string>> {
  if (mode !== 'form_post.jwt') {
    const { hash, search } = new URL(response.headers.get('location') as string);
    expect([hash !== '', search !== '']).toEqual(
      mode === 'fragment.jwt' ? [true, false] : [false, true],
    );
    return answered(response) as Record<string, string>;
  }
  const html = await response.text();
  expect(response.headers.get('location')).toBeNull();
  expect(html).toContain(`action="${redirectUri}"`);
  expect(html).not.toContain('<title>Submitting Callback</title>');
  return Object.fromEntries(
    [...html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(
      ([, name = '', value = '']) => [name, value],
    ),
  );
}

async function read(response: Response, mode: string, of = client) {
  const { response: jwt = '', ...rest } = await fieldsOf(response, mode);
  expect(rest).toEqual({});
  const { payload } = await jwtVerify(jwt, keys, {
    issuer,
    audience: of.clientId,
    requiredClaims: ['exp'],
  });
  const { exp, iss: _, aud: __, ...claims } = payload;
  // Section 2.1: short lived.
  expect(Number(exp)).toBeLessThanOrEqual(now() + 600);
  return { alg: decodeProtectedHeader(jwt).alg, claims };
}

describe.each(modes)('response_mode=%s', (mode) => {
  test('gives the code in a JWT that is signed for the client', async () => {
    const asked = asking(client.clientId);
    const response = await ask(asked, mode);
    expect(response.status).toBe(mode === 'form_post.jwt' ? 200 : 303);
    const { alg, claims } = await read(response, mode);
    expect([alg, claims]).toEqual(['ES256', { code: expect.any(String), state: 'the state' }]);
    const code = claims.code as string;
    expect((await exchange(server.url, client, { code, verifier: asked.verifier })).status).toBe(
      200,
    );
  });

  test('gives errors in one as well', async () => {
    const asked = asking(client.clientId);
    const errors: [Record<string, string>, string, SignedInBrowser?][] = [
      [{ code_challenge_method: 'plain' }, 'invalid_request'],
      [{ resource: 'https://nowhere.example.com' }, 'invalid_target'],
      [{ response_type: 'code none' }, 'unsupported_response_type'],
      [{ prompt: 'none' }, 'login_required', new SignedInBrowser('', new Map())],
    ];
    for (const [extra, error, by] of errors) {
      const { alg, claims } = await read(await ask(asked, mode, extra, by), mode);
      expect([alg, claims]).toEqual([
        'ES256',
        { error, error_description: expect.any(String), state: 'the state' },
      ]);
    }
  });
});

test('what is signed for a client of which nothing is said is RS256 (section 3)', async () => {
  const usual = await seed.client({ responseModes: ['query', 'jwt'] });
  await seed.consent(await accountOf(), usual.clientId);
  const { alg, claims } = await read(await ask(asking(usual.clientId), 'jwt'), 'jwt', usual);
  expect([alg, Object.keys(claims)]).toEqual(['RS256', ['code', 'state']]);
  expect(answered(await ask(asking(usual.clientId), 'query'))).toHaveProperty('code');
});

test('a redirect URI that is not registered is answered in no way', async () => {
  for (const mode of modes) {
    const asked = asking(client.clientId, { redirect_uri: 'https://evil.example.com/' });
    const response = await ask(asked, mode);
    expect([response.status, response.headers.get('location')]).toEqual([400, null]);
    expect(await response.text()).not.toContain('evil.example.com');
  }
});

test('the switch is the client: one has the modes that it was given', async () => {
  const codes = async () =>
    (
      await database.db.kysely
        .selectFrom('tokens')
        .select('id_hash')
        .where('kind', '=', 'code')
        .execute()
    ).length;
  const before = await codes();
  for (const mode of modes) {
    const { claims } = await read(await ask(asking(plain.clientId), mode), mode, plain);
    expect(claims).toMatchObject({ error: 'invalid_request' });
  }
  for (const mode of [undefined, 'query', 'fragment', 'form_post']) {
    const response = await ask(asking(client.clientId), mode);
    expect(JSON.stringify(answered(response) ?? (await response.text()))).toContain(
      'invalid_request',
    );
  }
  expect(await codes()).toBe(before);
});

async function accountOf(): Promise<string> {
  const row = await database.db.kysely
    .selectFrom('sessions')
    .select('account_id')
    .where('uid', '=', browser.sessionUid)
    .executeTakeFirstOrThrow();
  return row.account_id as string;
}
