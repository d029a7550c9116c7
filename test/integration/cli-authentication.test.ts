import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runCli } from '../support/process.ts';
import { jwksOf, newKey } from '../support/proofs.ts';

/** How clients authenticate and what their tokens are bound to, as an operator says it on the command line. */

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-authentication-'));
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await database.drop();
});

const cli = (args: readonly string[]) =>
  runCli([...args], {
    DATABASE_URL: database.url,
    MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
  });

async function json(...args: string[]): Promise<Record<string, string>> {
  const { status, stdout, stderr } = await cli([...args, '--json']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, string>;
}

async function file(name: string, content: string): Promise<string> {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

const row = (id: string | undefined) =>
  database.db.kysely
    .selectFrom('clients')
    .select(['settings', 'metadata'])
    .where('id', '=', id as string)
    .executeTakeFirstOrThrow();

const secrets = async (id: string | undefined) =>
  (
    await database.db.kysely
      .selectFrom('client_secrets')
      .select('id')
      .where('client_id', '=', id as string)
      .execute()
  ).length;

test('a client changes to a key, to a certificate, and back to a secret', async () => {
  const jwks = await file('jwks.json', JSON.stringify(jwksOf(await newKey())));
  const pem = await file('client.crt', certificate().cert);
  const created = await json('client', 'create', '--name', 'M', '--type', 'machine');
  const { client_id: id = '' } = created;
  const update = (...args: string[]) => json('client', 'update', '--client-id', id, ...args);
  expect(await secrets(id)).toBe(1);

  await update('--auth-method', 'private_key_jwt', '--auth-signing-alg', 'ES256', '--jwks', jwks);
  expect((await row(id)).metadata).toMatchObject({
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
  });
  expect(await secrets(id)).toBe(0);
  const { status, stderr } = await cli(['client', 'add-secret', '--client-id', id]);
  expect({ status, said: stderr.includes('has no secret') }).toEqual({ status: 1, said: true });

  await update(
    '--auth-method',
    'self_signed_tls_client_auth',
    '--certificate',
    pem,
    '--bound',
    'mtls',
  );
  expect((await row(id)).metadata).toMatchObject({
    token_endpoint_auth_method: 'self_signed_tls_client_auth',
    tls_client_certificate_bound_access_tokens: true,
    jwks: { keys: [{ kty: 'EC', x5c: [expect.any(String)] }] },
  });
  expect((await row(id)).metadata).not.toHaveProperty('token_endpoint_auth_signing_alg');

  await update(
    '--auth-method',
    'tls_client_auth',
    '--certificate-name',
    'san-dns=client.example.com',
  );
  await update(
    '--certificate-name',
    'subject-dn=CN=a=b,C=DE',
    '--bound',
    'dpop',
    '--dpop-nonce',
    'required',
  );
  const { metadata, settings } = await row(id);
  expect(metadata).toMatchObject({
    tls_client_auth_subject_dn: 'CN=a=b,C=DE',
    dpop_bound_access_tokens: true,
  });
  expect(metadata).not.toHaveProperty('tls_client_auth_san_dns');
  expect(metadata).not.toHaveProperty('tls_client_certificate_bound_access_tokens');
  expect(settings).toEqual({ dpopNonce: 'required' });

  await update('--auth-method', 'client_secret_post', '--bound', 'none');
  const back = (await row(id)).metadata;
  expect(back).not.toHaveProperty('tls_client_auth_subject_dn');
  expect(back).not.toHaveProperty('dpop_bound_access_tokens');
  await json('client', 'add-secret', '--client-id', id);
  expect(await secrets(id)).toBe(1);
});

test('a FAPI client is registered in one line, and stays one', async () => {
  const jwks = await file('fapi.json', JSON.stringify(jwksOf(await newKey('PS256'))));
  const words =
    'client create --name B --type machine --profile fapi2 --auth-method private_key_jwt';
  const { client_id: id = '', client_secret: secret } = await json(
    ...words.split(' '),
    '--jwks',
    jwks,
    '--bound',
    'dpop',
  );
  expect(secret).toBeUndefined();
  expect((await row(id)).settings).toEqual({ profile: 'fapi2', refreshRotation: 'keep' });
  const before = await row(id);
  for (const wrong of [
    ['--auth-method', 'client_secret_basic'],
    ['--bound', 'none'],
    ['--refresh-rotation', 'rotate'],
    ['--id-token-alg', 'RS256'],
    ['--auth-signing-alg', 'RS256'],
    ['--jwks', await file('es.json', JSON.stringify(jwksOf(await newKey('ES384'))))],
  ]) {
    const { status, stderr } = await cli(['client', 'update', '--client-id', id, ...wrong]);
    expect({ wrong, status }).toEqual({ wrong, status: 1 });
    expect(stderr).toMatch(/FAPI|private_key_jwt/);
  }
  expect(await row(id)).toEqual(before);
});

test('how a client asks for authorization, and is answered', async () => {
  const jwks = await file('requests.json', JSON.stringify(jwksOf(await newKey('PS256'))));
  const words = 'client create --name R --type web --redirect-uri https://app.example.com/cb';
  const { client_id: id = '' } = await json(
    ...words.split(' '),
    '--jwks',
    jwks,
    ...'--require-pushed true --require-signed-request true --request-object-alg PS256'.split(' '),
    '--response-modes',
    'query, jwt,jwt',
    '--authorization-signing-alg',
    'ES256',
  );
  const update = (...options: string[]) => cli(['client', 'update', '--client-id', id, ...options]);
  expect((await row(id)).metadata).toMatchObject({
    require_pushed_authorization_requests: true,
    require_signed_request_object: true,
    request_object_signing_alg: 'PS256',
    response_modes: ['query', 'jwt'],
    authorization_signed_response_alg: 'ES256',
  });
  const uri = 'https://app.example.com/keys';
  expect((await update('--require-signed-request', 'false', '--jwks-uri', uri)).status).toBe(0);
  const { metadata } = await row(id);
  expect(metadata).toMatchObject({ require_signed_request_object: false, jwks_uri: uri });
  expect(metadata).not.toHaveProperty('jwks');
  for (const wrong of [
    ['--jwks-uri', 'http://app.example.com/keys'],
    ['--jwks-uri', 'https://10.0.0.1/keys'],
    // Its requests would be signed by nobody.
    ['--jwks-uri', 'none'],
  ]) {
    const { status, stderr } = await update(...wrong);
    expect({ wrong, status }).toEqual({ wrong, status: 1 });
    expect(stderr).toMatch(/keys|key of the client/);
  }
  expect((await update('--jwks', jwks)).status).toBe(0);
  expect((await row(id)).metadata).not.toHaveProperty('jwks_uri');
});

test('message signing is said in one line, too', async () => {
  const jwks = await file('signing.json', JSON.stringify(jwksOf(await newKey('ES256'))));
  const words =
    'client create --name B --type web --redirect-uri https://bank.example.com/cb --profile fapi2-message-signing --auth-method private_key_jwt --bound dpop';
  const { client_id: id = '' } = await json(...words.split(' '), '--jwks', jwks);
  expect((await row(id)).metadata).toMatchObject({
    require_pushed_authorization_requests: true,
    require_signed_request_object: true,
    response_modes: ['jwt', 'query.jwt', 'fragment.jwt', 'form_post.jwt'],
    authorization_signed_response_alg: 'ES256',
  });
  const { status } = await cli([
    'client',
    'update',
    '--client-id',
    id,
    '--response-modes',
    'query',
  ]);
  expect(status).toBe(1);
});

test('what is said wrongly is told in words', async () => {
  for (const [wrong, said] of [
    [['--auth-method', 'none'], '--auth-method: expected one of'],
    [['--auth-method', 'client_secret_jwt'], '--auth-method: expected one of'],
    [
      ['--certificate', '/no/such/file'],
      '--certificate: expected a file that contains a certificate',
    ],
    [['--certificate-name', 'client.example.com'], '--certificate-name: expected KIND=NAME'],
    [['--certificate-name', 'san_dns=client.example.com'], 'one of subject-dn, san-dns,'],
    [['--jwks', await file('empty.json', '{}')], '--jwks: expected a JWK Set'],
    [['--jwks', await file('list.json', '[]')], '--jwks: expected a JWK Set'],
    [['--jwks', await file('none.json', '{"keys":[]}')], '--jwks: expected a JWK Set'],
    [['--jwks', await file('text.json', '{"keys":["x"]}')], '--jwks: expected a JWK Set'],
    [['--certificate-name', 'san-dns='], '--certificate-name: '],
    [['--bound', 'mac'], '--bound: expected one of'],
    [['--profile', 'fapi1'], '--profile: expected one of'],
    [['--response-modes', 'query,web_message'], '--response-modes'],
    [['--request-object-alg', 'HS256'], '--request-object-alg: expected one of'],
  ] as const) {
    const words = 'client create --name M --type machine'.split(' ');
    const { status, stderr } = await cli([...words, ...wrong]);
    expect({ wrong, status }).toEqual({ wrong, status: 2 });
    expect(stderr).toContain(said);
  }
  const { status, stderr } = await cli(
    'client create --name S --type native --redirect-uri http://127.0.0.1/cb --auth-method private_key_jwt'.split(
      ' ',
    ),
  );
  expect({ status, said: stderr.includes('A public client does not authenticate') }).toEqual({
    status: 1,
    said: true,
  });
});
