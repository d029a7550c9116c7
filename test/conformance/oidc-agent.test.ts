import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { freePort, until } from '../support/process.ts';
import { type Person, Walker } from '../support/walk.ts';

/** Debian's oidc-agent, which we did not write: it keeps an account of ours, and gives programs access tokens of it. */

const daemon = process.env.OIDC_AGENT ?? '/usr/bin/oidc-agent';
let server: HttpsServer;
let person: Person;
let env: Record<string, string>;
let passwordFile: string;
let agent: Program;

/** One of oidc-agent's programs, without a terminal. */
class Program {
  said = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(program: string, args: readonly string[]) {
    this.child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.said += chunk.toString()));
    this.ended = once(this.child, 'close').then(([code]) => code as number | null);
  }
}

const begin = (name: string, ...args: string[]) => new Program(join(dirname(daemon), name), args);

/** What it says, once it has ended well. */
async function ask(name: string, ...args: string[]): Promise<string> {
  const program = begin(name, ...args);
  expect([await program.ended, program.said]).toEqual([0, expect.any(String)]);
  return program.said.trim();
}

beforeAll(async () => {
  server = await startHttpsServer({ env: { CLIENT_REGISTRATION: 'open' } });
  person = await server.person();
  const home = join(server.folder, 'home');
  const accounts = join(home, '.oidc-agent');
  mkdirSync(accounts, { recursive: true, mode: 0o700 });
  passwordFile = join(home, 'password');
  writeFileSync(passwordFile, 'a password of the account files\n', { mode: 0o600 });
  const socket = join(server.folder, 'agent');
  const { PATH = '' } = process.env;
  env = { PATH, HOME: home, OIDC_CONFIG_DIR: accounts, OIDC_SOCK: socket };
  agent = new Program(daemon, ['--console', '--socket-path', socket]);
  await until(() => existsSync(socket));
});

afterAll(async () => {
  agent.child.kill();
  await agent.ended;
  await server.stop();
});

/** The account that the tokens are of. */
async function subjectOf(token: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${server.issuer}/userinfo`, { headers });
  return answer.status === 200
    ? ((await answer.json()) as { sub: string }).sub
    : [answer.status, answer.headers.get('www-authenticate')];
}

const families = (clientId: string) =>
  server.database.db.kysely
    .selectFrom('grants')
    .select(['account_id', 'offline', 'revoked_at'])
    .where('client_id', '=', clientId)
    .execute();

/** Sets an account up: somebody opens the address that it gives in a browser, and it does the rest. */
async function setUp(account: string, ...args: string[]): Promise<void> {
  const program = begin(
    'oidc-gen',
    `--iss=${server.issuer}`,
    `--cp=${server.authorityFile}`,
    `--pw-file=${passwordFile}`,
    '--scope=openid profile offline_access',
    '--prompt=none',
    '--confirm-default',
    '--no-url-call',
    ...args,
    account,
  );
  const address = () => /https:\S+/.exec(program.said)?.[0];
  await Promise.race([until(() => address() !== undefined), program.ended]);
  if (address() === undefined) throw new Error(program.said);
  const walker = new Walker(server.issuer, person);
  const page = await walker.go(address() as string);
  if (args.includes('--flow=device')) {
    const code = /[A-Z]{4}-[A-Z]{4}/.exec(program.said)?.[0];
    await walker.submit(page, { code });
  }
  expect([await program.ended, program.said]).toEqual([
    0,
    expect.stringContaining('Everything setup correctly!'),
  ]);
}

test('COMPATIBILITY 21: signs in by its own web server, refreshes, is loaded again, and revokes', async () => {
  const redirectUri = `http://localhost:${await freePort()}/`;
  const { clientId, clientSecret = '' } = await server.seed.client({ redirectUris: [redirectUri] });
  const registered = ['--client-id', clientId, '--client-secret', clientSecret];
  await setUp('code', ...registered, '--redirect-uri', redirectUri, '--flow=code');

  const first = await ask('oidc-token', 'code');
  expect(await subjectOf(first)).toBe(person.id);
  expect(await ask('oidc-token', 'code')).toBe(first);
  const refreshed = await ask('oidc-token', '--force-new', 'code');
  expect(refreshed).not.toBe(first);
  expect(await subjectOf(refreshed)).toBe(person.id);
  // What it wrote to its file is the successor of the refresh token that it was given first.
  await ask('oidc-add', '--remove', 'code');
  await ask('oidc-add', '--pw-file', passwordFile, 'code');
  expect(await subjectOf(await ask('oidc-token', 'code'))).toBe(person.id);
  expect(await families(clientId)).toEqual([
    { account_id: person.id, offline: true, revoked_at: null },
  ]);

  await ask('oidc-gen', '--delete', '--confirm-yes', '--pw-file', passwordFile, 'code');
  expect(await families(clientId)).toEqual([
    { account_id: person.id, offline: true, revoked_at: expect.any(Date) },
  ]);
  expect(await subjectOf(refreshed)).toEqual([401, expect.stringContaining('invalid_token')]);
});

test('COMPATIBILITY 21: signs in by a code that is entered elsewhere', async () => {
  const { clientId, clientSecret = '' } = await server.seed.client({
    redirectUris: [],
    grantTypes: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
  });
  await setUp('device', '--client-id', clientId, '--client-secret', clientSecret, '--flow=device');
  expect(await subjectOf(await ask('oidc-token', 'device'))).toBe(person.id);
  expect(await subjectOf(await ask('oidc-token', '--force-new', 'device'))).toBe(person.id);
  expect(await families(clientId)).toEqual([
    { account_id: person.id, offline: true, revoked_at: null },
  ]);
});

test('COMPATIBILITY 18 and 21: registers itself, and signs in', async () => {
  const redirectUri = `http://localhost:${await freePort()}/`;
  await setUp('registered', '--redirect-uri', redirectUri, '--no-scheme', '--flow=code');
  expect(await subjectOf(await ask('oidc-token', 'registered'))).toBe(person.id);
});
