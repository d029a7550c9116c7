import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { freePort } from '../support/process.ts';
import { type Credentials, post, Seed } from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';

/** Every command and program of docs/sender-constrained.md, as it stands there. */

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
  });

  test('DPoP', async () => {
    const { client_id: id, client_secret: secret = '' } =
      await shell<Registered>('register-dpop.sh');
    const token = JSON.parse(
      await program('token-with-dpop.mjs', { CLIENT_ID: id, CLIENT_SECRET: secret }),
    ) as Token;
    expect(token.token_type).toBe('dpop');
    const { cnf } = await told(token);
    expect(cnf).toEqual({ jkt: expect.stringMatching(/^[\w-]{43}$/) });
  });

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
  });

  test('no snippet is left out', () => {
    expect([...snippets.keys()].filter((name) => !used.has(name))).toEqual([]);
  });
});
