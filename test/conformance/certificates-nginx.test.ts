import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { NewClient } from '../../src/client/client.ts';
import { type Certificate, certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { ask } from '../support/mutual-tls.ts';
import { runNginx } from '../support/nginx.ts';
import { freePort } from '../support/process.ts';
import { Seed } from '../support/protocol.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';

/** The nginx of docs/operations.md that tells of clients' certificates, as it stands there. */

const api = 'https://api.example.com';
const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-nginx-'));
const authority = certificate({ subject: [['CN', 'Authority of servers']], ca: true });
const clients = certificate({ subject: [['CN', 'Authority of clients']], ca: true });
const own = certificate({ issuer: authority, names: { dns: 'localhost' } });
const mine = certificate();
let database: TestDatabase;
let seed: Seed;
let server: ServerProcess;
let port: number;
let nginx: Awaited<ReturnType<typeof runNginx>>;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  await seed.api(api);
  for (const [name, text] of [
    ['clients.crt', clients.cert],
    ['id.crt', own.cert],
    ['id.key', own.key],
  ] as const)
    writeFileSync(join(folder, name), text);
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
  nginx = await runNginx(folder, sites, () =>
    through('id.example.com', undefined, {}).then(Boolean, () => false),
  );
});

afterAll(async () => {
  await nginx.stop();
  await server.stop();
  await database.drop();
  rmSync(folder, { recursive: true });
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
      await outcome(through('mtls.id.example.com', wrong, form, { 'x-client-verify': 'SUCCESS' })),
    ).toBe('invalid_client');
});
