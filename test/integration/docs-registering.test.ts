import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { connectMcp, McpClientState, waitOnLoopback } from '../support/mcp.ts';
import { Browser } from '../support/browser.ts';
import { freePort, until } from '../support/process.ts';
import { enterPassword } from '../support/relying-party.ts';
import { metadataKeys } from '../../src/client-registration/metadata.ts';
import { readDocument } from '../../src/client-registration/document.ts';
import { testMasterKey } from '../support/server-process.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { snippetsOf } from '../support/snippets.ts';

/** docs/registering-clients.md and docs/mcp.md: their snippets run as they are on the pages. */

const root = join(import.meta.dirname, '../..');
let database: TestDatabase;
let server: TestServer;
let folder: string;
let notes: ChildProcess | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServer(database, { CLIENT_REGISTRATION: 'open' });
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-docs-'));
});

afterAll(async () => {
  notes?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
  await server.close();
  await database.drop();
});

/** Runs a command of a page in a clone; gives the JSON that it prints. */
async function run(command: string, env: Record<string, string> = {}) {
  const { PATH = '', HOME = '/' } = process.env;
  const { stdout } = await promisify(execFile)('sh', ['-ec', command], {
    cwd: root,
    env: {
      PATH,
      HOME,
      DATABASE_URL: database.url,
      MASTER_KEY: testMasterKey.toString('base64'),
      ISSUER: server.issuer,
      ...env,
    },
  });
  return (stdout.trimStart().startsWith('{') ? JSON.parse(stdout) : {}) as Record<string, string>;
}

test('registering clients: each command does what the page says', async () => {
  const page = await snippetsOf('registering-clients.md');
  const snippet = (name: string) => page.get(name) as string;
  expect(await run(snippet('create.sh'))).toMatchObject({ client_id: expect.any(String) });
  await run(snippet('api.sh'));
  const { token } = await run(snippet('token.sh'));
  // The server hears of the API within two seconds.
  await until(async () => {
    const resource = encodeURIComponent('https://notes.example.com');
    return (await fetch(`${server.issuer}/resource-metadata?resource=${resource}`)).status === 200;
  });
  const byToken = await run(snippet('register.sh'), { TOKEN: token as string });
  expect(byToken.scope).toBe('openid profile email offline_access notes:read notes:write');
  const plain = snippet('register.sh').replace(/-H "Authorization[^"]*" /, '');
  const byAnybody = await run(plain);
  const told = JSON.parse(snippet('answer.json')) as Record<string, unknown>;
  expect(Object.keys(byAnybody)).toEqual(expect.arrayContaining(Object.keys(told)));
  for (const [name, value] of Object.entries(told))
    if (!JSON.stringify(value).includes('…'))
      expect([name, byAnybody[name]]).toEqual([name, value]);
  const { registration_client_uri: uri, registration_access_token: management } = byAnybody;
  const read = await run(snippet('manage.sh'), {
    REGISTRATION_CLIENT_URI: uri as string,
    REGISTRATION_ACCESS_TOKEN: management as string,
  });
  expect(read).toMatchObject({ client_id: byAnybody.client_id });
  expect(read).not.toHaveProperty('client_secret');
  const rotated = await Promise.all(
    snippet('rotate.sh')
      .trim()
      .split('\n')
      .map((line) =>
        run(line, {
          REGISTRATION_CLIENT_URI: uri as string,
          REGISTRATION_ACCESS_TOKEN: management as string,
        }),
      ),
  );
  expect(rotated).toMatchObject([
    { client_secret: expect.stringMatching(/^vs_cs_/) },
    { registration_access_token: expect.stringMatching(/^vs_ra_/), registration_client_uri: uri },
  ]);
  const document = snippet('document.json');
  expect(readDocument('https://app.example.com/oauth.json', document).name).toBe('Quillet');
});

test('registering clients: the table names every key that is read, and no other', async () => {
  const page = await readFile(join(root, 'docs/registering-clients.md'), 'utf8');
  const [, table = ''] = /\| metadata \| \|\n\|---\|---\|\n(.*?)\n\n/s.exec(page) ?? [];
  const named = [...table.matchAll(/^\| (.*?) \|/gm)].flatMap(([, keys = '']) =>
    [...keys.matchAll(/`(\w+)`/g)].map(([, key]) => key),
  );
  expect(new Set(named)).toEqual(new Set(metadataKeys));
});

/** As `npm install` of the package would, without the time that packing takes (test/conformance/package.test.ts). */
async function installLibrary(): Promise<void> {
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, 'vouchsafe'), { recursive: true });
  const exports = { './resource-server': './resource-server/index.ts' };
  await writeFile(
    join(modules, 'vouchsafe/package.json'),
    JSON.stringify({ name: 'vouchsafe', type: 'module', exports }),
  );
  await symlink(join(root, 'resource-server'), join(modules, 'vouchsafe/resource-server'));
  for (const name of ['express', '@modelcontextprotocol'])
    await symlink(join(root, 'node_modules', name), join(modules, name));
}

test('MCP: the server of the page is one that a client completes with', async () => {
  const page = await snippetsOf('mcp.md');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  const made = await run(page.get('api.sh') as string, { MCP_URL: url });
  const { introspection } = made as unknown as {
    introspection: { client_id: string; client_secret: string };
  };
  await installLibrary();
  await writeFile(join(folder, 'server.mjs'), page.get('server.mjs') as string);
  notes = spawn(process.execPath, ['server.mjs'], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      ISSUER: server.issuer,
      MCP_URL: url,
      API_CLIENT_ID: introspection.client_id,
      API_CLIENT_SECRET: introspection.client_secret,
      PORT: String(port),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const own = `http://127.0.0.1:${port}/.well-known/oauth-protected-resource/mcp`;
  await until(() =>
    fetch(own).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  // The API was made by the command line, in a process of its own: the server hears of it within two seconds.
  let told: Record<string, unknown> = {};
  await until(async () => {
    told = (await run(page.get('metadata.sh') as string, { MCP_URL: url })) as typeof told;
    return told.resource === url;
  });
  expect(await (await fetch(own)).json()).toMatchObject(told);

  const app = await waitOnLoopback();
  const state = new McpClientState({ client_name: 'Quillet', redirect_uris: [app.redirectUri] });
  const first = await connectMcp(url, state);
  await expect(first.connected).rejects.toThrow('Unauthorized');
  const account = await server.createAccount();
  const browser = new Browser();
  const consent = await enterPassword(
    browser,
    await browser.get((state.authorizationUrl as URL).href),
    account,
  );
  expect(consent.text).toContain('the notes that you keep here');
  const back = await browser.submit(consent, {}, 'allow');
  await app.stop();
  await first.transport.finishAuth(back.params.get('code') as string);
  const client = await (await connectMcp(url, state)).connected;
  expect(await client.callTool({ name: 'list_notes' })).toMatchObject({
    content: [{ type: 'text', text: `Notes of ${account.id}` }],
  });
  await client.close();
});
