import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runCli } from '../support/process.ts';

/** What is registered, as an operator looks it up. */

const api = 'https://api.example.com';
/** An escape that clears the screen, its one-byte twin, a line of its own, and one that turns what follows around. */
const hostile = 'A\u001b[2J\u009b2J\nc_forged \u202eB';
const shown = 'A\\u001b[2J\\u009b2J\\u000ac_forged \\u202eB';
/** What a terminal acts on, but for the ends of lines. */
const active = /(?!\n)[\p{Cc}\p{Bidi_Control}]/u;

let database: TestDatabase;
let apiId: string;
let apiClient: { client_id: string; client_secret: string };
let app: { client_id: string; client_secret: string };
let secondSecret: string;

const cli = (...args: string[]) =>
  runCli(args, {
    DATABASE_URL: database.url,
    MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
  });

/** What a command prints; with `--json` it is one object on one line. */
async function said(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await cli(...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).not.toMatch(active);
  return stdout;
}

async function json<T>(...args: string[]): Promise<T> {
  const stdout = await said(...args, '--json');
  expect(stdout).toMatch(/^\{.*\}\n$/);
  return JSON.parse(stdout) as T;
}

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(() => database.drop());

test('where nothing is registered, the lists are empty', async () => {
  expect(await json('api', 'list')).toEqual({ apis: [] });
  expect(await json('client', 'list')).toEqual({ clients: [] });
  expect(await said('api', 'list')).toBe('There are no APIs yet.\n');
  expect(await said('client', 'list')).toBe('There are no clients yet.\n');
});

test('api list shows how tokens are made, and the client id that the API introspects with', async () => {
  const scopes = ['--scope', 'read=see: your invoices', '--scope', 'write'];
  const tokens = ['--token-format', 'jwt', '--access-token-ttl', '120'];
  const created = await json<{ id: string; introspection: typeof apiClient }>(
    ...['api', 'create', '--identifier', api, '--name', 'Invoices'].concat(scopes, tokens),
  );
  ({ id: apiId, introspection: apiClient } = created);
  expect(await json('api', 'list')).toEqual({
    apis: [
      {
        id: apiId,
        identifier: api,
        name: 'Invoices',
        token_format: 'jwt',
        token_typ: 'at+jwt',
        signing_alg: 'ES256',
        access_token_ttl: 120,
        scopes: [
          { scope: 'read', verb: 'see', description: 'your invoices' },
          { scope: 'write', verb: null, description: '' },
        ],
        open_scopes: [],
        introspection: { client_id: apiClient.client_id },
      },
    ],
  });
  const text = await said('api', 'list');
  for (const part of [apiId, api, apiClient.client_id, 'jwt, at+jwt, ES256', '120 s'])
    expect(text).toContain(part);
  expect(text).toContain('read=see: your invoices');
});

test('client list shows every client, the credentials of APIs among them', async () => {
  const who = ['--name', 'Books', '--type', 'web', '--first-party', '--developer', 'Example Ltd'];
  const what = ['--redirect-uri', 'https://app.example.com/cb', '--api', `${api} write read`];
  app = await json('client', 'create', ...who, ...what, '--access-token-ttl', '300');
  await json('client', 'disable', '--client-id', apiClient.client_id);
  expect(await json('client', 'list')).toEqual({
    clients: [
      {
        client_id: app.client_id,
        name: 'Books',
        type: 'web',
        disabled: false,
        first_party: true,
        registered_by: 'operator',
      },
      {
        client_id: apiClient.client_id,
        name: 'Invoices',
        type: 'resource_server',
        disabled: true,
        first_party: false,
        registered_by: 'operator',
      },
    ],
  });
  const lines = (await said('client', 'list')).split('\n');
  expect(lines[0]).toMatch(new RegExp(`^ {2}${app.client_id} +web +first-party +Books$`));
  expect(lines[1]).toMatch(/ resource_server +disabled +Invoices$/);
});

test('client show tells everything but the secrets', async () => {
  const again = await json<typeof app>('client', 'add-secret', '--client-id', app.client_id);
  secondSecret = again.client_secret;
  const arguments_ = ['client', 'show', '--client-id', app.client_id];
  const client = await json<Record<string, unknown>>(...arguments_);
  const time = expect.stringMatching(/^\d{4}-.*Z$/);
  const secret = (value: string) => ({
    last_four: value.slice(-4),
    created_at: time,
    expires_at: null,
  });
  expect(client).toEqual({
    client_id: app.client_id,
    name: 'Books',
    type: 'web',
    disabled: false,
    first_party: true,
    verified: false,
    developer: 'Example Ltd',
    created_at: time,
    apis: [{ identifier: api, scopes: ['read', 'write'] }],
    settings: {
      access_token_ttl: 300,
      family_ttl: 1_209_600,
      refresh_grace: 120,
      refresh_rotation: 'rotate',
      profile: 'none',
      authorization_details_types: [],
      id_token_claims: 'standard',
      id_token_on_refresh: 'always',
      offline_access: 'asked',
      pkce: 'required',
      dpop_nonce: 'optional',
    },
    metadata: expect.objectContaining({
      redirect_uris: ['https://app.example.com/cb'],
      token_endpoint_auth_method: 'client_secret_basic',
    }),
    secrets: [secret(app.client_secret), secret(secondSecret)],
  });
  const hashes = await database.db.kysely
    .selectFrom('client_secrets')
    .select('secret_hash')
    .where('client_id', '=', app.client_id)
    .execute();
  expect(hashes).toHaveLength(2);
  const text = await said(...arguments_);
  for (const output of [text, JSON.stringify(client)]) {
    for (const value of [app.client_secret, secondSecret]) {
      expect(output).not.toContain(value);
      expect(output).not.toContain(value.slice(-5));
    }
    for (const { secret_hash: hash } of hashes)
      for (const encoding of ['hex', 'base64', 'base64url'] as const)
        expect(output).not.toContain(hash.toString(encoding));
    expect(output).toContain(secondSecret.slice(-4));
  }
  expect(text).toMatch(/^ {2}https:\/\/api\.example\.com +read write$/m);
  expect(text).toMatch(/^ {2}redirect_uris +\["https:\/\/app\.example\.com\/cb"\]$/m);
  expect(text).toMatch(/^ {2}family_ttl +1209600$/m);
});

test("client show tells whose an API's credentials are, and refuses what is not there", async () => {
  expect(await json('client', 'show', '--client-id', apiClient.client_id)).toMatchObject({
    type: 'resource_server',
    disabled: true,
    introspects_for: api,
    apis: [],
    secrets: [{ last_four: apiClient.client_secret.slice(-4) }],
  });
  for (const id of ['c_none', 'ü']) {
    const { status, stdout, stderr } = await cli('client', 'show', '--client-id', id);
    expect({ id, status, stdout }).toEqual({ id, status: 1, stdout: '' });
    expect(stderr).toContain('There is no client');
  }
  expect((await cli('client', 'show')).status).toBe(2);
});

test('nothing in a name, a scope or metadata reaches the terminal as a command, and JSON keeps it', async () => {
  await database.db.kysely
    .updateTable('clients')
    .set({ name: hostile, developer: hostile, metadata: JSON.stringify({ scope: hostile }) })
    .where('id', '=', app.client_id)
    .execute();
  await database.db.kysely
    .updateTable('resource_servers')
    .set({ name: hostile })
    .where('id', '=', apiId)
    .execute();
  await database.db.kysely
    .updateTable('resource_server_scopes')
    .set({ description: hostile })
    .where('resource_server_id', '=', apiId)
    .execute();
  const show = ['client', 'show', '--client-id', app.client_id];
  for (const command of [['api', 'list'], ['client', 'list'], show]) {
    const text = await said(...command);
    expect(text).toContain(shown);
    expect(text).not.toMatch(/^c_forged/m);
    expect(await json(...command)).toBeDefined();
  }
  expect(await json(...show)).toMatchObject({
    name: hostile,
    developer: hostile,
    metadata: { scope: hostile },
  });
});
