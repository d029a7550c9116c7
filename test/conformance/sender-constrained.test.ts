import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NewClient } from '../../src/client/client.ts';
import { type Certificate, certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ask } from '../support/mutual-tls.ts';
import { freePort, until } from '../support/process.ts';
import { type Credentials, post, Seed } from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';

/** Every command and program of docs/sender-constrained.md, and the nginx of docs/operations.md, as they stand there. */

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const api = 'https://api.example.com';
const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-keys-'));
const authority = certificate({ subject: [['CN', 'Authority of servers']], ca: true });
const clients = certificate({ subject: [['CN', 'Authority of clients']], ca: true });
const own = certificate({ issuer: authority, names: { dns: 'localhost' } });
const mine = certificate();
let database: TestDatabase;
let seed: Seed;
let apiClient: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  apiClient = await seed.api(api);
  for (const [name, text] of [
    ['authority.crt', authority.cert],
    ['clients.crt', clients.cert],
    ['id.crt', own.cert],
    ['id.key', own.key],
    ['client.crt', mine.cert],
    ['client.key', mine.key],
  ] as const)
    writeFileSync(join(folder, name), text);
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
});

afterAll(async () => {
  await database.drop();
  rmSync(folder, { recursive: true });
});

describe('docs/sender-constrained.md', () => {
  const used = new Set<string>();
  let snippets: Map<string, string>;
  let server: ServerProcess;
  let issuer: string;
  let mtls: string;

  beforeAll(async () => {
    snippets = await snippetsOf('sender-constrained.md');
    const [port, mtlsPort] = [await freePort(), await freePort()];
    issuer = `https://localhost:${port}`;
    mtls = `https://localhost:${mtlsPort}`;
    server = await startServerProcess(database, issuer, {
      PORT: String(port),
      HOST: '127.0.0.1',
      MTLS_PORT: String(mtlsPort),
      TLS_CERT_FILE: join(folder, 'id.crt'),
      TLS_KEY_FILE: join(folder, 'id.key'),
      TLS_CLIENT_CA_FILE: join(folder, 'clients.crt'),
    });
  });

  afterAll(() => server.stop());

  interface Registered {
    readonly client_id: string;
    readonly client_secret?: string;
  }

  const snippet = (name: string) => {
    used.add(name);
    return snippets.get(name) ?? '';
  };

  /** In the clone of the server. */
  async function shell<Output>(name: string, env: Record<string, string> = {}): Promise<Output> {
    const { stdout } = await run('sh', ['-euc', snippet(name)], {
      cwd: root,
      env: {
        PATH: process.env.PATH,
        CURL_CA_BUNDLE: join(folder, 'authority.crt'),
        DATABASE_URL: database.url,
        MASTER_KEY: testMasterKey.toString('base64'),
        ISSUER: issuer,
        KEYS: folder,
        MTLS: mtls,
        ...env,
      },
    });
    return JSON.parse(stdout) as Output;
  }

  /** In the folder of the client. */
  async function program(name: string, env: Record<string, string> = {}): Promise<string> {
    writeFileSync(join(folder, name), snippet(name));
    const { stdout } = await run(process.execPath, [name], {
      cwd: folder,
      env: { ISSUER: issuer, NODE_EXTRA_CA_CERTS: join(folder, 'authority.crt'), ...env },
    });
    return stdout;
  }

  interface Token {
    readonly access_token: string;
    readonly token_type: string;
  }

  /** What the API is told of it, at another process that speaks plain HTTP. */
  async function told({ access_token: token }: Token) {
    const plain = await startServerProcess(database, issuer);
    try {
      return (await post(plain.url, '/introspect', apiClient, { token })).body;
    } finally {
      await plain.stop();
    }
  }

  test('a signed assertion', async () => {
    await program('make-key.mjs');
    const { client_id: id, client_secret: secret } = await shell<Registered>('register-key.sh');
    expect(secret).toBeUndefined();
    const token = JSON.parse(await program('token-by-key.mjs', { CLIENT_ID: id })) as Token;
    expect(await told(token)).toMatchObject({ active: true, client_id: id });
    const fapi = await shell<Registered>('register-fapi.sh');
    expect(fapi.client_secret).toBeUndefined();
  }, 60_000);

  test('DPoP', async () => {
    const { client_id: id, client_secret: secret = '' } =
      await shell<Registered>('register-dpop.sh');
    const token = JSON.parse(
      await program('token-with-dpop.mjs', { CLIENT_ID: id, CLIENT_SECRET: secret }),
    ) as Token;
    expect(token.token_type).toBe('dpop');
    const { cnf } = await told(token);
    expect(cnf).toEqual({ jkt: expect.stringMatching(/^[\w-]{43}$/) });
  }, 60_000);

  test('a certificate', async () => {
    const { client_id: id } = await shell<Registered>('register-certificate.sh');
    const token = await shell<Token>('token-by-certificate.sh', { CLIENT_ID: id });
    const { cnf } = await told(token);
    expect(cnf).toEqual({ 'x5t#S256': expect.stringMatching(/^[\w-]{43}$/) });
    const named = await shell<Registered>('register-name.sh');
    const row = await database.db.kysely
      .selectFrom('clients')
      .select('metadata')
      .where('id', '=', named.client_id)
      .executeTakeFirstOrThrow();
    expect(row.metadata).toMatchObject({
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_subject_dn: 'CN=nightly,O=Example\\, Inc,C=DE',
      tls_client_certificate_bound_access_tokens: true,
    });
  }, 60_000);

  test('no snippet is left out', () => {
    expect([...snippets.keys()].filter((name) => !used.has(name))).toEqual([]);
  });
});

describe('docs/operations.md: a real nginx', () => {
  let server: ServerProcess;
  let port: number;
  let stop: () => Promise<void>;

  beforeAll(async () => {
    server = await startServerProcess(database, 'https://id.example.com', {
      TRUST_PROXY: '1',
      CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
      CLIENT_CERTIFICATE_VERIFIED_HEADER: 'X-Client-Verify',
      CLIENT_CERTIFICATE_PROXIES: '127.0.0.1',
    });
    port = await freePort();
    const documented = (await snippetsOf('operations.md')).get('mtls.conf') ?? '';
    const sites = documented
      .replaceAll('/etc/nginx', folder)
      .replaceAll('http://127.0.0.1:3000', server.url)
      .replaceAll('listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off;\nmaster_process off;\npid ${folder}/nginx.pid;\nevents {}\nhttp {\naccess_log off;\n${temporary
        .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
        .join('\n')}\n${sites}\n}\n`,
    );
    const child = spawn(
      process.env.NGINX ?? '/usr/sbin/nginx',
      ['-p', folder, '-c', file, '-e', join(folder, 'error.log')],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    child.unref();
    const ended = once(child, 'exit');
    stop = async () => {
      child.kill('SIGTERM');
      await ended;
    };
    await until(() => through('id.example.com', undefined, {}).then(Boolean, () => false));
  });

  afterAll(async () => {
    await stop();
    await server.stop();
  });

  const through = (
    host: string,
    with_: Certificate | undefined,
    form: Record<string, string>,
    headers: Record<string, string> = {},
  ) =>
    ask(
      { url: `https://127.0.0.1:${port}/token`, ca: authority.cert, certificate: with_, host },
      { form, headers: { host, ...headers } },
    );

  const outcome = async (answer: ReturnType<typeof through>) => {
    const { status, body } = await answer;
    return body.error ?? status;
  };

  async function machine(input: Partial<NewClient>) {
    const { clientId } = await seed.client({
      type: 'machine',
      apis: [{ identifier: api, scopes: ['read'] }],
      ...input,
    });
    return { client_id: clientId, grant_type: 'client_credentials', resource: api };
  }

  test('passes certificates on, and nothing that anybody sends in their place', async () => {
    const { d: _, ...key } = mine.privateKey.export({ format: 'jwk' });
    const form = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: { keys: [{ ...key, x5c: [mine.der.toString('base64')] }] },
    });
    const forged = {
      'x-client-certificate': encodeURIComponent(mine.cert),
      'x-client-verify': 'SUCCESS',
      'x-forwarded-for': '127.0.0.1',
    };
    expect(await outcome(through('mtls.id.example.com', mine, form))).toBe(200);
    for (const host of ['mtls.id.example.com', 'id.example.com'])
      for (const other of [undefined, certificate()])
        expect(await outcome(through(host, other, form, forged))).toBe('invalid_client');
    expect(await outcome(through('id.example.com', mine, form, forged))).toBe('invalid_client');
  });

  test('says which of them an authority has issued', async () => {
    const form = await machine({
      authMethod: 'tls_client_auth',
      certificateName: { kind: 'san_dns', name: 'client.example.com' },
    });
    const names = { dns: 'client.example.com' };
    const right = certificate({ issuer: clients, names });
    expect(await outcome(through('mtls.id.example.com', right, form))).toBe(200);
    for (const wrong of [certificate({ names }), certificate({ issuer: authority, names })])
      expect(
        await outcome(
          through('mtls.id.example.com', wrong, form, { 'x-client-verify': 'SUCCESS' }),
        ),
      ).toBe('invalid_client');
  });
});
