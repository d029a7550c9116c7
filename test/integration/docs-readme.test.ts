import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Browser } from '../support/browser.ts';
import { freePort, MainProcess } from '../support/process.ts';
import { enterPassword } from '../support/relying-party.ts';
import { snippetsOf } from '../support/snippets.ts';

/** README.md: its First steps are pasted as one block, beside a server that is still starting. */

const root = join(import.meta.dirname, '../..');
let folder: string;
let issuer: string;
let settings: Record<string, string>;
let server: MainProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-readme-'));
  const port = String(await freePort());
  issuer = `http://localhost:${port}`;
  settings = { PORT: port, DATA_DIR: folder };
  server = new MainProcess(settings);
});

afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/**
 * Gives bash the block on its standard input, as a terminal does: what a command reads from there is missing in the rest
 * of the block. The session of its own keeps an interactive bash from taking over the terminal of the tests.
 */
async function paste(block: string): Promise<{ stdout: string; stderr: string }> {
  const { PATH = '', HOME = '/' } = process.env;
  const bash = spawn('bash', ['--norc', '--noprofile', '--noediting', '-i'], {
    cwd: root,
    detached: true,
    env: { PATH, HOME, PS1: '', PS2: '', ...settings },
  });
  bash.stdin.end(block);
  const [stdout, stderr] = await Promise.all([
    text(bash.stdout),
    text(bash.stderr),
    once(bash, 'close'),
  ]);
  return { stdout, stderr };
}

test('the first steps work when they are pasted as one block', async () => {
  const block = (await snippetsOf('../README.md')).get('first-steps.sh') as string;
  const { stdout, stderr } = await paste(block);
  // bash itself reports the missing terminal, and the end of the input.
  const errors = stderr
    .split('\n')
    .filter((line) => !/^(bash: .*job control.*|bash: .*terminal.*|exit|)$/.test(line));
  expect(errors).toEqual([]);
  const [, answer = '{}'] = /^(\{.*\})$/m.exec(stdout) ?? [];
  expect(JSON.parse(answer)).toMatchObject({
    active: true,
    aud: 'https://invoices.example.com',
    iss: issuer,
    scope: 'invoices:read',
  });
  const [, page = '', email = '', password = ''] =
    /^Sign in at (\S+) as (\S+) with the password (\S+)$/m.exec(stdout) ?? [];
  expect([page, email]).toEqual([`${issuer}/account`, 'ann@example.com']);
  const browser = new Browser();
  const signedIn = await enterPassword(browser, await browser.get(page), { email, password });
  expect(signedIn.title).toContain('Your account');
}, 300_000);
