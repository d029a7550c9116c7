import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { get as getByTls } from 'node:https';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Handler, Listener } from '../../src/http/listener.ts';
import type { TlsOptions } from '../../src/http/tls.ts';
import { certificate } from '../support/certificates.ts';

const root = join(import.meta.dirname, '../..');
const both = ['127.0.0.1', '::1'];
const answer: Handler = (_request, response) => response.end('here');

let folder: string;
let tls: TlsOptions;
const listeners = new Set<Listener>();

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-listener-'));
  const { cert, key } = certificate({ names: { dns: 'id.example.com' } });
  const [certFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  tls = { certFile, keyFile, onProblem: () => undefined };
});

afterEach(async () => {
  await Promise.all([...listeners].map((listener) => listener.close(0)));
  listeners.clear();
});

afterAll(() => rmSync(folder, { recursive: true }));

async function listen(hosts: string | string[], options?: TlsOptions, handler = answer) {
  const listener = new Listener({ tls: options });
  listeners.add(listener);
  return { listener, port: await listener.listen(0, hosts, handler) };
}

async function statusOf(host: string, port: number, options?: TlsOptions): Promise<number> {
  const ask = options === undefined ? get : getByTls;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    ask({ host, port, agent: false, rejectUnauthorized: false }, resolve).on('error', reject);
  });
  response.resume();
  await once(response, 'end');
  return response.statusCode ?? 0;
}

describe('26: several addresses', () => {
  test.each([['HTTP'], ['TLS']])('answer alike, by %s', async (kind) => {
    const options = kind === 'TLS' ? tls : undefined;
    const { listener, port } = await listen(both, options);
    for (const host of [...both, 'localhost'])
      expect(await statusOf(host, port, options)).toBe(200);
    await listener.close(0);
    for (const host of both)
      await expect(statusOf(host, port, options)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('drain alike: what is under way is answered, idle connections do not hold up the end', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { listener, port } = await listen(both, undefined, async (request, response) => {
      if (request.url === '/slow') {
        arrive();
        await released;
      }
      response.end('whole');
    });
    const agent = new Agent({ keepAlive: true });
    const ask = (path: string) =>
      new Promise<IncomingMessage>((resolve, reject) => {
        get({ host: '::1', port, path, agent }, resolve).on('error', reject);
      });
    const idle = await ask('/');
    idle.resume();
    await once(idle, 'end');
    const slow = ask('/slow');
    await arrived;
    const closed = listener.close(60_000);
    release();
    const response = await slow;
    expect((await response.toArray()).join('')).toBe('whole');
    await closed;
    agent.destroy();
  });

  test('that this machine does not have are left out, but not the first', async () => {
    const { port } = await listen(['127.0.0.1', '2001:db8::1']);
    expect(await statusOf('127.0.0.1', port)).toBe(200);
    await expect(listen(['2001:db8::1', '127.0.0.1'])).rejects.toMatchObject({
      code: 'cannot_listen',
    });
  });

  test('of which one is taken are refused, since somebody else would answer there', async () => {
    const other = createServer().listen(0, '::1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const listener = new Listener();
    listeners.add(listener);
    await expect(listener.listen(port, both, answer)).rejects.toMatchObject({
      code: 'port_in_use',
      message: expect.stringContaining(`Port ${port} on ::1 is in use already`),
    });
    other.close();
  });
});

describe('26: the health check of the image', () => {
  const check = async (env: Record<string, string>) => {
    const child = spawn(process.execPath, ['bin/healthcheck.mjs'], { cwd: root, env });
    const [code] = (await once(child, 'close')) as [number];
    return code;
  };

  test('asks over TLS where the server ends TLS, and over HTTP otherwise', async () => {
    const file = { TLS_CERT_FILE: join(folder, 'tls.crt') };
    const cases = [
      { HOST: '0.0.0.0', ...file },
      { HOST: '::', ...file },
      { HOST: '0.0.0.0', TLS_CERT_FILE: '' },
      { HOST: '127.0.0.1', TLS_CERT_FILE: '' },
    ];
    const outcomes = cases.map(async (env) => {
      const { port, listener } = await listen(env.HOST, env.TLS_CERT_FILE !== '' ? tls : undefined);
      const up = await check({ ...env, PORT: String(port) });
      await listener.close(0);
      return [up, await check({ ...env, PORT: String(port) })];
    });
    expect(await Promise.all(outcomes)).toEqual(cases.map(() => [0, 1]));
    const { port } = await listen('127.0.0.1', undefined, (_request, response) =>
      response.writeHead(503).end(),
    );
    expect(await check({ PORT: String(port) })).toBe(1);
  });

  test('and the command line are in the image: every file that they need is copied', () => {
    const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
    const kept = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
    expect(dockerfile).toContain('CMD ["node", "bin/healthcheck.mjs"]');
    for (const file of ['bin/healthcheck.mjs', 'bin/node24', 'bin/require-node-24.mjs']) {
      expect(dockerfile).toMatch(new RegExp(`^COPY .*${file}.* \\./bin/$`, 'm'));
      expect(kept).toContain(`!${file}`);
    }
  });
});
