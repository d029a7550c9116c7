import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sha256 } from '../../src/lib/hash.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runCli } from '../support/process.ts';

/** Clients that register themselves, and the ends of clients, as an operator says it on the command line. */

const api = 'https://api.example.com';
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const cli = (...args: string[]) =>
  runCli(args, { DATABASE_URL: database.url, MASTER_KEY: Buffer.alloc(32, 9).toString('base64') });

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await cli(...args, '--json');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}

const openScopes = async () =>
  (
    await database.db.kysely
      .selectFrom('resource_server_scopes')
      .select('scope')
      .where('open', '=', true)
      .orderBy('scope')
      .execute()
  ).map(({ scope }) => scope);

test('an API opens scopes, others, and none', async () => {
  const create = ['api', 'create', '--identifier', api, '--name', 'Notes'];
  const scopes = ['--scope', 'read', '--scope', 'write', '--scope', 'erase'];
  const refused = await cli(...create, ...scopes, '--open-scopes', 'read raed');
  expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('no scope raed')]);
  await json(...create, ...scopes, '--open-scopes', 'read write');
  expect(await openScopes()).toEqual(['read', 'write']);
  await json('api', 'update', '--identifier', api, '--name', 'Notes 2');
  expect(await openScopes()).toEqual(['read', 'write']);
  await json('api', 'update', '--identifier', api, '--open-scopes', 'erase');
  expect(await openScopes()).toEqual(['erase']);
  await json('api', 'update', '--identifier', api, '--open-scopes', 'none');
  expect(await openScopes()).toEqual([]);
});

test('initial access tokens are made, shown and ended; only hashes are kept', async () => {
  const made = await json(
    'registration',
    'create-token',
    '--name',
    'CI',
    '--uses',
    '3',
    '--days',
    '2',
    '--api',
    `${api} read`,
  );
  expect(made.token).toMatch(/^vs_ia_[\w-]{43}$/);
  const row = await database.db.kysely
    .selectFrom('initial_access_tokens')
    .selectAll()
    .executeTakeFirstOrThrow();
  expect(row).toMatchObject({ name: 'CI', uses_left: 3, apis: { [api]: ['read'] } });
  expect(row.token_hash.equals(sha256(made.token as string))).toBe(true);
  const listed = await json('registration', 'list-tokens');
  expect(listed).toEqual({
    tokens: [
      {
        id: made.id,
        name: 'CI',
        uses_left: 3,
        apis: { [api]: ['read'] },
        expires_at: made.expires_at,
      },
    ],
  });
  expect(JSON.stringify(listed)).not.toContain(made.token);
  await json('registration', 'revoke-token', '--id', made.id as string);
  expect(await json('registration', 'list-tokens')).toEqual({ tokens: [] });
  for (const wrong of [
    ['--uses', '0'],
    ['--days', '1000'],
    ['--api', 'https://other.example.com read'],
    ['--api', `${api} raed`],
  ]) {
    const { status } = await cli('registration', 'create-token', '--name', 'CI', ...wrong);
    expect([wrong, status === 0]).toEqual([wrong, false]);
  }
  expect((await cli('registration', 'revoke-token', '--id', 'none')).status).toBe(1);
});

test('redirect URIs change by the rules of new ones', async () => {
  const { client_id: id } = await json(
    'client',
    'create',
    '--name',
    'Books',
    '--type',
    'web',
    '--redirect-uri',
    'https://books.example.com/a',
    '--post-logout-redirect-uri',
    'https://books.example.com/',
  );
  const update = (...args: string[]) =>
    cli('client', 'update', '--client-id', id as string, ...args);
  const metadata = async () =>
    (
      await database.db.kysely
        .selectFrom('clients')
        .select('metadata')
        .where('id', '=', id as string)
        .executeTakeFirstOrThrow()
    ).metadata;
  const before = await metadata();
  for (const uri of ['http://books.example.com/b', 'cursor://books/b', 'com.example.books:/b'])
    expect([uri, (await update('--redirect-uri', uri)).status]).toEqual([uri, 1]);
  expect((await update('--post-logout-redirect-uri', 'javascript:alert(1)')).status).toBe(1);
  expect(await metadata()).toEqual(before);
  await update(
    '--redirect-uri',
    'https://books.example.com/b',
    '--redirect-uri',
    'http://localhost/c',
    '--post-logout-redirect-uri',
    'none',
  );
  expect(await metadata()).toEqual({
    ...before,
    redirect_uris: ['https://books.example.com/b', 'http://localhost/c'],
    post_logout_redirect_uris: [],
  });
});

test('a client is deleted by its id and its name, and stays deleted', async () => {
  const { client_id: id } = await json('client', 'create', '--name', 'Gone', '--type', 'machine');
  const byId = ['--client-id', id as string];
  const wrong = await cli('client', 'delete', ...byId, '--name', 'gone');
  expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('another name')]);
  await json('client', 'delete', ...byId, '--name', 'Gone');
  const row = await database.db.kysely
    .selectFrom('clients')
    .select(['deleted_at', 'disabled_at', 'tokens_since'])
    .where('id', '=', id as string)
    .executeTakeFirstOrThrow();
  expect(Object.values(row).every((at) => at instanceof Date)).toBe(true);
  for (const words of ['show', 'enable', 'add-secret', 'revoke-tokens'])
    expect([words, (await cli('client', words, ...byId)).status]).toEqual([words, 1]);
  const { clients } = await json('client', 'list');
  expect(JSON.stringify(clients)).not.toContain(id);
  const ofApi = (clients as { client_id: string; name: string; type: string }[]).find(
    ({ type }) => type === 'resource_server',
  );
  const kept = await cli(
    'client',
    'delete',
    '--client-id',
    ofApi?.client_id as string,
    '--name',
    ofApi?.name as string,
  );
  expect([kept.status, kept.stderr]).toEqual([1, expect.stringContaining('credentials of an API')]);
});
