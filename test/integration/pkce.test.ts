import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type Credentials,
  post,
  redirectUri,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** COMPATIBILITY 12: PKCE by default for all; a confidential client can be let off, and only from having to use it. */

const issuer = 'http://localhost:3000';
let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let legacy: Credentials;
let usual: Credentials;
let browser: SignedInBrowser;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  server = await startServerProcess(database, issuer);
  legacy = await seed.client({ settings: { pkce: 'optional' } });
  usual = await seed.client();
  const accountId = await seed.account();
  for (const { clientId } of [legacy, usual]) await seed.consent(accountId, clientId);
  browser = await seed.signIn(accountId);
});

afterAll(async () => {
  await server.stop();
  await database.drop();
});

const verifier = randomBytes(32).toString('base64url');
const challenge = createHash('sha256').update(verifier).digest('base64url');

async function authorize(client: Credentials, pkce: Record<string, string>) {
  const query = new URLSearchParams({
    client_id: client.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid',
    state: 's',
    ...pkce,
  });
  const response = await browser.get(server.url, `/authorize?${query.toString()}`);
  const { searchParams } = new URL(response.headers.get('location') ?? '');
  return { code: searchParams.get('code'), error: searchParams.get('error') };
}

const redeem = async (client: Credentials, code: string | null, extra: Record<string, string>) => {
  const { status, body } = await post(server.url, '/token', client, {
    grant_type: 'authorization_code',
    code: code ?? '',
    redirect_uri: redirectUri,
    ...extra,
  });
  return { status, error: body.error };
};

const good = { status: 200, error: undefined };
const refused = { status: 400, error: 'invalid_grant' };
const s256 = { code_challenge: challenge, code_challenge_method: 'S256' };

test('COMPATIBILITY 12: without a challenge the usual client gets no code, and one that was let off gets its tokens', async () => {
  expect(await authorize(usual, {})).toEqual({ code: null, error: 'invalid_request' });
  const { code } = await authorize(legacy, {});
  expect(await redeem(legacy, code, {})).toEqual(good);
});

test('SECURITY Authorization 4, SECURITY 8: what is sent of PKCE is enforced, also where it need not be', async () => {
  const fresh = async (pkce: Record<string, string>) => (await authorize(legacy, pkce)).code;
  expect(await redeem(legacy, await fresh(s256), { code_verifier: verifier })).toEqual(good);
  // Left out, wrong, stripped from the request on its way, and put into one that has none.
  expect(await redeem(legacy, await fresh(s256), {})).toEqual(refused);
  expect(await redeem(legacy, await fresh(s256), { code_verifier: challenge })).toEqual(refused);
  expect(await redeem(legacy, await fresh({}), { code_verifier: verifier })).toEqual(refused);
  const others = createHash('sha256').update('x'.repeat(43)).digest('base64url');
  const added = await fresh({ code_challenge: others, code_challenge_method: 'S256' });
  expect(await redeem(legacy, added, {})).toEqual(refused);
});

test('SECURITY Authorization 4: plain, a challenge without its method and a method without its challenge are refused', async () => {
  for (const client of [legacy, usual])
    for (const pkce of [
      { code_challenge: verifier, code_challenge_method: 'plain' },
      { code_challenge: verifier },
      { code_challenge: challenge, code_challenge_method: 's256' },
      { code_challenge_method: 'S256' },
      { code_challenge: 'short', code_challenge_method: 'S256' },
      { code_challenge: '', code_challenge_method: 'S256' },
    ] as Record<string, string>[])
      expect({ pkce, ...(await authorize(client, pkce)) }).toEqual({
        pkce,
        code: null,
        error: 'invalid_request',
      });
});

describe('who is let off', () => {
  test('no public client', async () => {
    const settings = { pkce: 'optional' } as const;
    for (const type of ['spa', 'native'] as const)
      await expect(seed.client({ type, settings })).rejects.toThrow('A public client');
    const client = await seed.client({ type: 'spa' });
    await expect(seed.updateClient(client.clientId, settings)).rejects.toThrow('A public client');
  });

  test('no FAPI client, whichever of the two is said first', async () => {
    await expect(seed.updateClient(legacy.clientId, { profile: 'fapi2' })).rejects.toMatchObject({
      code: 'invalid_client',
    });
    await expect(
      seed.client({ settings: { profile: 'fapi2', pkce: 'optional' } }),
    ).rejects.toMatchObject({ code: 'invalid_client' });
  });

  test('whoever is no longer', async () => {
    const client = await seed.client({ settings: { pkce: 'optional' } });
    await seed.updateClient(client.clientId, { pkce: 'required' });
    expect((await authorize(client, {})).error).toBe('invalid_request');
  });
});
