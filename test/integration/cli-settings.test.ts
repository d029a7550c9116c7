import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runCli } from '../support/process.ts';
import { Seed } from '../support/protocol.ts';

/** How tokens are made, as an operator says it on the command line. */

const api = 'https://api.example.com';

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-settings-'));
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await database.drop();
});

const cli = (line: string, ...rest: string[]) =>
  runCli([...line.split(' '), ...rest], {
    DATABASE_URL: database.url,
    MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
  });

async function json(line: string, ...rest: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await cli(line, ...rest, '--json');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}

const apiRow = () =>
  database.db.kysely
    .selectFrom('resource_servers')
    .selectAll()
    .where('identifier', '=', api)
    .executeTakeFirstOrThrow();

const clientRow = (id: unknown) =>
  database.db.kysely
    .selectFrom('clients')
    .select(['name', 'settings', 'metadata'])
    .where('id', '=', id as string)
    .executeTakeFirstOrThrow();

test('an API is created and changed; what is not said stays as it is', async () => {
  await json(
    `api create --identifier ${api} --name Invoices --scope read --token-format jwt --token-typ JWT --signing-alg PS256`,
  );
  expect(await apiRow()).toMatchObject({
    token_format: 'jwt',
    token_typ: 'JWT',
    signing_alg: 'PS256',
    access_token_ttl: 3_600,
  });
  await json(`api update --identifier ${api} --signing-alg EdDSA --access-token-ttl 120`);
  expect(await apiRow()).toMatchObject({
    name: 'Invoices',
    token_format: 'jwt',
    token_typ: 'JWT',
    signing_alg: 'EdDSA',
    access_token_ttl: 120,
  });
});

test('an API is changed to nothing that there is not, and one that is not there is not changed', async () => {
  const before = await apiRow();
  for (const wrong of [
    '--signing-alg HS256',
    '--signing-alg none',
    '--token-typ jwt+at',
    '--access-token-ttl 59',
    '--access-token-ttl 86401',
    '--access-token-ttl 1e3',
  ]) {
    const { status, stderr } = await cli(`api update --identifier ${api} ${wrong}`);
    expect({ wrong, status }).toEqual({ wrong, status: 2 });
    expect(stderr).toContain(wrong.split(' ')[0]);
  }
  expect(await apiRow()).toEqual(before);
  const { status, stderr } = await cli('api update --identifier https://none.example.com --name N');
  expect({ status, said: stderr.includes('There is no API') }).toEqual({ status: 1, said: true });
});

test('a client is created and changed; what is not said stays as it is', async () => {
  const file = join(folder, 'jwks.json');
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file, JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }));
  const { client_id: id } = await json(
    'client create --name M --type web --redirect-uri https://app.example.com/cb --access-token-ttl 300 --id-token-alg ES256',
    '--api',
    `${api} read`,
  );
  expect(await clientRow(id)).toMatchObject({
    settings: { accessTokenTtl: 300 },
    metadata: { id_token_signed_response_alg: 'ES256' },
  });
  await json(
    `client update --client-id ${String(id)} --refresh-grace 0 --refresh-rotation keep --family-ttl 600 --default-resource ${api} --introspection-encryption-alg ECDH-ES --jwks ${file}`,
  );
  expect(await clientRow(id)).toMatchObject({
    name: 'M',
    settings: {
      accessTokenTtl: 300,
      refreshGrace: 0,
      refreshRotation: 'keep',
      familyTtl: 600,
      defaultResource: api,
    },
    metadata: {
      id_token_signed_response_alg: 'ES256',
      introspection_encrypted_response_alg: 'ECDH-ES',
      jwks: { keys: [{ kty: 'EC' }] },
      redirect_uris: ['https://app.example.com/cb'],
    },
  });
  const before = await clientRow(id);
  writeFileSync(file, JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }));
  for (const [wrong, status] of [
    [`--jwks ${file}`, 2],
    ['--jwks /no/such/file', 2],
    ['--refresh-grace 121', 2],
    ['--family-ttl 299', 2],
    ['--default-resource https://none.example.com', 1],
  ] as const) {
    const refused = await cli(`client update --client-id ${String(id)} ${wrong}`);
    expect({ wrong, status: refused.status }).toEqual({ wrong, status });
    expect(refused.stderr).not.toContain('"d"');
  }
  expect(await clientRow(id)).toEqual(before);
  const audit = await database.db.kysely
    .selectFrom('audit_events')
    .select(['actor', 'data'])
    .where('type', '=', 'client.changed')
    .execute();
  expect(audit).toEqual([
    {
      actor: 'cli',
      data: {
        changed: [
          'familyTtl',
          'refreshGrace',
          'refreshRotation',
          'defaultResource',
          'introspectionEncryptionAlg',
          'jwks',
        ],
      },
    },
  ]);
});

test('a client that is not there is not changed', async () => {
  const { status, stderr } = await cli('client update --client-id c_none --refresh-grace 1');
  expect({ status, said: stderr.includes('There is no client') }).toEqual({
    status: 1,
    said: true,
  });
});

test('a client is given other grant types than those of its type, as far as they fit it', async () => {
  const { client_id: id } = await json(
    'client create --name Both --type web --redirect-uri https://app.example.com/cb --grant-types authorization_code,client_credentials',
    '--api',
    `${api} read`,
  );
  expect(await clientRow(id)).toMatchObject({
    metadata: {
      grant_types: ['authorization_code', 'client_credentials'],
      response_types: ['code'],
    },
  });
  await json(`client update --client-id ${String(id)} --grant-types authorization_code`);
  expect(await clientRow(id)).toMatchObject({ metadata: { grant_types: ['authorization_code'] } });
  const { client_id: machine } = await json(
    'client create --name Machine --type machine',
    '--api',
    `${api} read`,
  );
  const { client_id: spa } = await json(
    'client create --name Page --type spa --redirect-uri https://page.example.com/cb',
  );
  const before = await Promise.all([id, machine, spa].map(clientRow));
  for (const [client, types, status, said] of [
    [id, 'password', 2, 'grant-types'],
    [id, 'implicit', 2, 'grant-types'],
    [id, 'authorization_code,__proto__', 2, 'grant-types'],
    [id, 'client_credentials', 1, 'redirect URIs'],
    [machine, 'authorization_code', 1, 'redirect URI'],
    [spa, 'authorization_code,client_credentials', 1, 'public client'],
  ] as const) {
    const refused = await cli(`client update --client-id ${String(client)} --grant-types ${types}`);
    expect({ types, status: refused.status, said: refused.stderr.includes(said) }).toEqual({
      types,
      status,
      said: true,
    });
  }
  expect(await Promise.all([id, machine, spa].map(clientRow))).toEqual(before);
});

test('PKCE is let off, and subjects are pairwise, for clients that they fit', async () => {
  const { client_id: id } = await json(
    'client create --name Legacy --type web --redirect-uri https://app.example.com/cb --pkce optional --subject-type pairwise',
  );
  expect(await clientRow(id)).toMatchObject({
    settings: { pkce: 'optional', sector: 'app.example.com' },
    metadata: { subject_type: 'pairwise' },
  });
  await json(`client update --client-id ${String(id)} --pkce required --subject-type public`);
  const { settings, metadata } = await clientRow(id);
  expect(settings).toEqual({ pkce: 'required' });
  expect(metadata).not.toHaveProperty('subject_type');
  const seed = new Seed(database.db);
  await seed.consent(await seed.account(), id as string);
  const refused = await cli(`client update --client-id ${String(id)} --subject-type pairwise`);
  expect({ status: refused.status, said: refused.stderr.includes('--force') }).toEqual({
    status: 1,
    said: true,
  });
  await json(`client update --client-id ${String(id)} --subject-type pairwise --force`);
  expect(await clientRow(id)).toMatchObject({ settings: { sector: 'app.example.com' } });
  for (const wrong of ['--pkce none', '--subject-type private']) {
    const { status } = await cli(`client update --client-id ${String(id)} ${wrong}`);
    expect({ wrong, status }).toEqual({ wrong, status: 2 });
  }
});

test('5: a client and an API are changed after they were created, and the API is deleted by its name alone', async () => {
  const identifier = 'https://changing.example.com';
  await json(`api create --identifier ${identifier} --name Changing --scope read --scope write`);
  const { client_id: id } = await json(
    'client create --name C --type web --redirect-uri https://app.example.com/cb --developer Ann',
    '--api',
    `${identifier} read write`,
  );
  await json(
    `client update --client-id ${String(id)} --verified true --developer none --first-party true --scope`,
    'openid email',
    '--api',
    `${identifier} read`,
  );
  expect(await json(`client show --client-id ${String(id)}`)).toMatchObject({
    verified: true,
    developer: null,
    first_party: true,
    apis: [{ identifier, scopes: ['read'] }],
    metadata: { scope: 'openid email' },
  });
  await json(`api update --identifier ${identifier} --remove-scope write --scope list`);
  const { stops_working: rests, deleted } = await json(`api delete --identifier ${identifier}`);
  expect({ deleted, rests }).toMatchObject({
    deleted: false,
    rests: { scopes: ['read', 'list'], clients: [{ client_id: id, name: 'C' }] },
  });
  const wrong = await cli(`api delete --identifier ${identifier} --name Other`);
  expect({ status: wrong.status, said: wrong.stderr.includes('Nothing was deleted') }).toEqual({
    status: 1,
    said: true,
  });
  const { stdout } = await cli(`api delete --identifier ${identifier} --name Changing`);
  expect(stdout).toContain(`${String(id)} C`);
  expect((await cli(`api delete --identifier ${identifier}`)).status).toBe(1);
}, 120_000);
