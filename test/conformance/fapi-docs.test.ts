import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Browser } from '../support/browser.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { testMasterKey } from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';
import { type Person, walk } from '../support/walk.ts';

/** Every command and program of docs/fapi.md, as it stands there: openid-client gets through. */

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const callback = 'https://bank.example.com/callback';

describe('docs/fapi.md', () => {
  const used = new Set<string>();
  let snippets: Map<string, string>;
  let server: HttpsServer;
  let person: Person;

  beforeAll(async () => {
    snippets = await snippetsOf('fapi.md');
    server = await startHttpsServer();
    symlinkSync(join(root, 'node_modules'), join(server.folder, 'node_modules'));
    person = await server.person();
    write('make-key.mjs');
    await run(process.execPath, ['make-key.mjs'], { cwd: server.folder });
  });

  afterAll(() => server.stop());

  function write(name: string): void {
    used.add(name);
    writeFileSync(join(server.folder, name), snippets.get(name) ?? '');
  }

  async function register(name: string): Promise<string> {
    used.add(name);
    const { stdout } = await run('sh', ['-euc', snippets.get(name) ?? ''], {
      cwd: root,
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: server.database.url,
        MASTER_KEY: testMasterKey.toString('base64'),
        ISSUER: server.issuer,
        KEYS: server.folder,
      },
    });
    const { client_id: id, client_secret: secret } = JSON.parse(stdout) as {
      client_id: string;
      client_secret?: string;
    };
    expect(secret).toBeUndefined();
    return id;
  }

  /** The program asks, the person goes through our pages, and the program reads where the browser was sent to. */
  async function through(name: string, clientId: string) {
    write(name);
    const child = spawn(process.execPath, [name], {
      cwd: server.folder,
      env: {
        ISSUER: server.issuer,
        CLIENT_ID: clientId,
        NODE_EXTRA_CA_CERTS: server.authorityFile,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface(child.stdout);
    const [address] = (await once(lines, 'line')) as [string];
    expect([...new URL(address).searchParams.keys()].sort()).toEqual(['client_id', 'request_uri']);
    const back = await walk(new Browser(), address, person);
    expect(back.url.startsWith(callback)).toBe(true);
    const line = once(lines, 'line') as Promise<[string]>;
    child.stdin.end(`${back.url}\n`);
    const [told] = await line;
    return {
      answer: Object.fromEntries(back.params),
      told: JSON.parse(told) as Record<string, Record<string, unknown>>,
    };
  }

  test('a client of the Security Profile', async () => {
    const { answer, told } = await through('bank.mjs', await register('register-fapi.sh'));
    expect(answer).toEqual({
      code: expect.any(String),
      state: expect.any(String),
      iss: server.issuer,
    });
    expect(told.tokens).toMatchObject({ token_type: 'dpop', scope: 'openid email offline_access' });
    expect(told.again?.refresh_token).toBe(told.tokens?.refresh_token);
  });

  test('Message Signing', async () => {
    const id = await register('register-signing.sh');
    const { answer, told } = await through('signing-bank.mjs', id);
    expect(answer).toEqual({ response: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/) });
    expect(told.tokens).toMatchObject({ token_type: 'dpop', scope: 'openid email' });
  });

  test('no snippet is left out', () => {
    expect([...snippets.keys()].filter((name) => !used.has(name))).toEqual([]);
  });
});
