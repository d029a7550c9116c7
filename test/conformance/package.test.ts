import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type IncomingMessage, request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { certificateHeader, certificateToken, dpopToken } from '../support/bound-tokens.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { freePort, until } from '../support/process.ts';
import { newKey, proof } from '../support/proofs.ts';
import { type Credentials, exchange, revoke, Seed } from '../support/protocol.ts';
import { selfSigned } from '../support/certificates.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { testMasterKey } from '../support/server-process.ts';
import { snippetsOf } from '../support/snippets.ts';

/**
 * The package as an API team gets it: packed, installed in an empty folder, and used there by every snippet of
 * docs/protecting-an-api.md, on the Node.js of the machine, against the server.
 */

const root = join(import.meta.dirname, '../..');
const audience = 'https://api.example.com';
const run = promisify(execFile);

/** As it is outside of npm's scripts: the machine's own Node.js, and no settings of the npm that runs the tests. */
const environment = {
  PATH: (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.includes('node_modules'))
    .join(delimiter),
  HOME: process.env['HOME'] ?? '/',
};

let folder: string;
/** What an API team begins with. */
let team: string;
let snippets: Map<string, string>;
const used = new Set<string>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vouchsafe-package-'));
  snippets = await snippetsOf('protecting-an-api.md');
  team = join(folder, 'team');
  await mkdir(team);
  await copyRepository(join(folder, 'clone'));
  await run('npm', ['run', '--silent', 'package'], {
    cwd: join(folder, 'clone'),
    env: environment,
  });
  // jose comes from here, and nothing from anywhere else: whatever more was needed would be missed.
  const jose = join(root, 'node_modules/jose');
  const packing = ['pack', '--ignore-scripts', '--pack-destination', folder, jose];
  await run('npm', packing, { cwd: folder, env: environment });
  const tarballs = await Promise.all([tarballIn(folder), tarballIn(join(folder, 'clone'))]);
  const installing = ['install', '--offline', '--no-audit', '--no-fund', ...tarballs];
  await run('npm', installing, { cwd: team, env: environment });
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** What packing takes of a clone; its package.json is another one for a moment. */
async function copyRepository(to: string): Promise<void> {
  const files = [
    'package.json',
    '.npmrc',
    'README.md',
    'LICENSE',
    'docs/protecting-an-api.md',
    'tsconfig.json',
    'bin',
    'resource-server',
  ];
  for (const file of files) await cp(join(root, file), join(to, file), { recursive: true });
  await symlink(join(root, 'node_modules'), join(to, 'node_modules'));
}

async function tarballIn(at: string): Promise<string> {
  const tarballs = (await readdir(at)).filter((file) => file.endsWith('.tgz'));
  expect(tarballs).toHaveLength(1);
  return join(at, tarballs[0] ?? '');
}

const readJson = async (file: string) =>
  JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;

describe('the package', () => {
  test('brings the export, and jose alone: nothing of the server, nor what it needs', async () => {
    const installed = (await readdir(join(team, 'node_modules'))).filter(
      (name) => !name.startsWith('.'),
    );
    expect(installed.sort()).toEqual(['jose', 'vouchsafe']);
    const here = join(team, 'node_modules/vouchsafe');
    const manifest = await readJson(join(here, 'package.json'));
    const { version, dependencies } = await readJson(join(root, 'package.json'));
    expect(manifest).toMatchObject({
      name: 'vouchsafe',
      version,
      dependencies: { jose: `^${(dependencies as Record<string, string>)['jose']}` },
    });
    for (const field of [
      'scripts',
      'optionalDependencies',
      'devDependencies',
      'overrides',
      'private',
    ])
      expect(manifest).not.toHaveProperty(field);
    const files = await readdir(here, { recursive: true });
    expect(files.filter((file) => !file.startsWith('dist')).sort()).toEqual([
      'LICENSE',
      'README.md',
      'package.json',
    ]);
    const readme = await readFile(join(here, 'README.md'), 'utf8');
    expect(readme).toMatch(/^# Protecting an API\n/);
    const links = [...readme.matchAll(/\]\(([^)]*)\)/g)].map(([, target = '']) => target);
    expect(links.length).toBeGreaterThan(0);
    expect(links.filter((target) => !/^(#|https:)/.test(target))).toEqual([]);
    const sources = (await readdir(join(root, 'resource-server'))).filter((file) =>
      file.endsWith('.ts'),
    );
    const emitted = sources.flatMap((file) => [
      file.replace(/\.ts$/, '.js'),
      file.replace(/\.ts$/, '.d.ts'),
    ]);
    expect((await readdir(join(here, 'dist/resource-server'))).sort()).toEqual(emitted.sort());
    for (const file of emitted)
      expect(await readFile(join(here, 'dist/resource-server', file), 'utf8')).not.toMatch(
        /from '\.[^']*\.ts'/,
      );
  });

  test('leaves package.json and README.md as they were, and heals them where packing was broken off', async () => {
    const clone = join(folder, 'clone');
    const file = join(clone, 'package.json');
    const whole = await readFile(join(root, 'package.json'), 'utf8');
    const read = () => readFile(file, 'utf8');
    const script = (name: string) =>
      run('npm', ['run', '--silent', name], { cwd: clone, env: environment });
    expect(await read()).toBe(whole);
    const readme = () => readFile(join(clone, 'README.md'), 'utf8');
    const wholeReadme = await readFile(join(root, 'README.md'), 'utf8');
    expect(await readme()).toBe(wholeReadme);
    const pack = (step: string) =>
      run('node', ['bin/pack.mjs', step], { cwd: clone, env: environment });
    await pack('prepack');
    const slim = await read();
    expect(slim).not.toBe(whole);
    expect(await readme()).not.toBe(wholeReadme);
    // Broken off here: once more from the start gives the same package.
    await pack('prepack');
    expect(await read()).toBe(slim);
    await pack('postpack');
    expect(await read()).toBe(whole);
    expect(await readme()).toBe(wholeReadme);
    // Broken off, and put right by hand: that is not undone.
    await pack('prepack');
    const edited = whole.replace('"version": "', '"version": "9');
    await writeFile(file, edited);
    await pack('postpack');
    expect(await read()).toBe(edited);
    await writeFile(file, whole);
    await script('postpack');
    expect(await read()).toBe(whole);
  });
});

describe('docs/protecting-an-api.md', () => {
  let database: TestDatabase;
  let server: TestServer;
  let seed: Seed;
  let settings: Record<string, string>;
  let app: Credentials;
  let opaqueApi: Credentials;
  const stops: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    for (const name of ['koa', '@koa', 'express'])
      await symlink(join(root, 'node_modules', name), join(team, 'node_modules', name));
    for (const [name, code] of snippets) await writeFile(join(team, name), code);
    database = await createTestDatabase();
    server = await startServer(database, certificateHeader);
    seed = new Seed(database.db);
    const { introspection } = await shell<{ introspection: Printed }>('register.sh');
    settings = {
      ISSUER: server.issuer,
      API_CLIENT_ID: introspection.client_id,
      API_CLIENT_SECRET: introspection.client_secret,
    };
    opaqueApi = await seed.api('https://opaque.example.com', 'opaque', ['read']);
    app = await seed.client({
      apis: [
        { identifier: audience, scopes: ['invoices:read', 'invoices:write'] },
        { identifier: 'https://opaque.example.com', scopes: ['read'] },
      ],
    });
  });

  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });

  afterAll(async () => {
    await server.close();
    await database.drop();
  });

  interface Printed {
    readonly client_id: string;
    readonly client_secret: string;
  }

  /** A block of shell, in the clone of the server; gives what it prints. */
  async function shell<Output>(name: string, env: Record<string, string> = {}): Promise<Output> {
    used.add(name);
    return JSON.parse(await cli(snippets.get(name) ?? 'exit 1', env)) as Output;
  }

  async function cli(script: string, env: Record<string, string> = {}): Promise<string> {
    const { stdout } = await run('sh', ['-euc', script], {
      cwd: root,
      env: {
        ...environment,
        DATABASE_URL: database.url,
        MASTER_KEY: testMasterKey.toString('base64'),
        ISSUER: server.issuer,
        ...env,
      },
    });
    return stdout;
  }

  /** A person's token; how well the person was authenticated can be said. */
  async function tokenOf(scope: string, twoFactors = false, resource = audience): Promise<string> {
    const accountId = await seed.account();
    await seed.consent(accountId, app.clientId, { [resource]: scope.split(' ') });
    const browser = await seed.signIn(accountId);
    if (twoFactors) {
      const payload = {
        loginTs: Math.floor(Date.now() / 1_000),
        amr: ['pwd', 'otp', 'mfa'],
        acr: 'urn:vouchsafe:acr:2fa',
      };
      await database.db.kysely
        .updateTable('sessions')
        .set({ payload: JSON.stringify(payload) })
        .where('uid', '=', browser.sessionUid)
        .execute();
    }
    const code = await browser.authorize(server.issuer, app, {
      scope: `openid ${scope}`,
      resource,
    });
    return (await exchange(server.issuer, app, code)).body.access_token;
  }

  /** A snippet that listens, on the machine's Node.js; gives its port when it does. */
  async function listening(name: string, env: Record<string, string> = {}): Promise<number> {
    used.add(name);
    const port = await freePort();
    const child = spawn('node', [name], {
      cwd: team,
      env: { ...environment, ...settings, PORT: String(port), ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    const exited = once(child, 'exit');
    stops.push(async () => {
      child.kill();
      await exited;
    });
    await until(async () => {
      if (child.exitCode !== null) throw new Error(complaint);
      const probe = connect(port, '127.0.0.1');
      return once(probe, 'connect')
        .then(
          () => true,
          () => false,
        )
        .finally(() => probe.destroy());
    });
    return port;
  }

  interface Answer {
    readonly status: number;
    readonly challenge: string;
    readonly headers: IncomingMessage['headers'];
    readonly text: string;
  }

  async function call(
    url: string,
    headers: Record<string, string> = {},
    method = 'GET',
    tls?: object,
  ): Promise<Answer> {
    const options = { method, headers, agent: false };
    const sent =
      tls === undefined
        ? plainRequest(url, options)
        : tlsRequest(url, { ...options, ...tls, rejectUnauthorized: false });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
    const challenge = response.headers['www-authenticate'] ?? '';
    return { status: response.statusCode ?? 0, challenge, headers: response.headers, text };
  }

  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  test('an API and a program are registered, and the program gets a token', async () => {
    const { client_id: CLIENT_ID, client_secret: CLIENT_SECRET } =
      await shell<Printed>('client.sh');
    const { access_token: token } = await shell<{ access_token: string }>('token.sh', {
      CLIENT_ID,
      CLIENT_SECRET,
    });
    const port = await listening('node.mjs');
    const answer = await call(`http://127.0.0.1:${port}/`, bearer(token));
    expect([answer.status, JSON.parse(answer.text)]).toEqual([200, { sub: CLIENT_ID }]);
    expect((await call(`http://127.0.0.1:${port}/`)).challenge).toBe('Bearer');
    expect((await call(`http://127.0.0.1:${port}/`, bearer('x'))).status).toBe(401);
  });

  test('koa.mjs: a token is taken until it is revoked', async () => {
    const url = `http://127.0.0.1:${await listening('koa.mjs')}/`;
    const token = await tokenOf('invoices:read');
    const answer = await call(url, bearer(token));
    expect(JSON.parse(answer.text)).toMatchObject({
      sub: expect.stringMatching(/^u_/),
      clientId: app.clientId,
      scopes: ['invoices:read'],
    });
    expect((await call(url)).challenge).toBe('Bearer');
    await revoke(server.issuer, app, token);
    await until(async () => (await call(url, bearer(token))).status === 401);
  });

  test('koa.mjs again: the same code takes opaque tokens, when the API is changed to them', async () => {
    const change = async (format: string) => {
      const script = `npm run -s cli -- api update --identifier ${audience} --token-format ${format} --json`;
      await cli(script);
      await until(
        async () => (await tokenOf('invoices:read')).includes('.') === (format === 'jwt'),
      );
    };
    const url = `http://127.0.0.1:${await listening('koa.mjs')}/`;
    await change('opaque');
    const token = await tokenOf('invoices:read');
    expect((await call(url, bearer(token))).status).toBe(200);
    await revoke(server.issuer, app, token);
    await until(async () => (await call(url, bearer(token))).status === 401);
    await change('jwt');
  });

  test('express.mjs', async () => {
    const url = `http://127.0.0.1:${await listening('express.mjs')}/invoices`;
    const token = await tokenOf('invoices:read');
    expect((await call(url, bearer(token))).status).toBe(200);
    const refused = await call(url, bearer(token), 'POST');
    expect([refused.status, refused.challenge]).toEqual([
      403,
      expect.stringContaining('scope="invoices:write"'),
    ]);
    const writer = await tokenOf('invoices:read invoices:write');
    expect((await call(url, bearer(writer), 'POST')).status).toBe(201);
  });

  test('fetch.mjs, which ends by itself when nothing is left to do', async () => {
    used.add('fetch.mjs');
    await writeFile(
      join(team, 'call-fetch.mjs'),
      `import { GET } from './fetch.mjs';
      const call = async (headers) => (await GET(new Request('https://api.example.com/', { headers }))).status;
      console.log(JSON.stringify([await call({}), await call({ authorization: 'Bearer ' + process.env.TOKEN })]));`,
    );
    const env = { ...environment, ...settings, TOKEN: await tokenOf('invoices:read') };
    const { stdout } = await run('node', ['call-fetch.mjs'], { cwd: team, env });
    expect(JSON.parse(stdout)).toEqual([401, 200]);
  });

  test('typed.ts: the declarations', async () => {
    used.add('typed.ts');
    const options =
      '--noEmit --strict --exactOptionalPropertyTypes --target es2022 --module nodenext';
    const types = `--types node --typeRoots ${join(root, 'node_modules/@types')}`;
    const compile = (file: string) =>
      run(
        process.execPath,
        [
          join(root, 'node_modules/typescript/bin/tsc'),
          ...`${options} ${types} ${file}`.split(' '),
        ],
        { cwd: team },
      );
    await compile('typed.ts');
    // What is wrong is seen: the declarations are not read as `any`.
    await writeFile(
      join(team, 'mistyped.ts'),
      `${snippets.get('typed.ts')}\nconst wrong: number = api.close; api.fetch({ scope: 'x' }, () => new Response());`,
    );
    await expect(compile('mistyped.ts')).rejects.toMatchObject({
      stdout: expect.stringMatching(/TS2322[^]*'scope' does not exist/),
    });
  });

  test('requirements.mjs: scopes and step-up', async () => {
    const url = `http://127.0.0.1:${await listening('requirements.mjs')}`;
    const [reader, writer] = [
      await tokenOf('invoices:read'),
      await tokenOf('invoices:read invoices:write', true),
    ];
    expect((await call(`${url}/me`, bearer(reader))).status).toBe(200);
    expect((await call(`${url}/invoices`, bearer(reader), 'POST')).status).toBe(403);
    expect((await call(`${url}/invoices`, bearer(writer), 'POST')).status).toBe(200);
    const weak = await call(`${url}/payments`, bearer(reader), 'POST');
    expect([weak.status, weak.challenge]).toEqual([
      401,
      'Bearer error="insufficient_user_authentication", error_description="the person must sign in with stronger proof", acr_values="urn:vouchsafe:acr:2fa phr", max_age="300"',
    ]);
    expect((await call(`${url}/payments`, bearer(writer), 'POST')).text).toBe('paid');
  });

  test('dpop.mjs: a bound token, a proof for each call, a nonce in each proof', async () => {
    const publicUrl = 'https://gateway.example.com/ledger';
    const port = await listening('dpop.mjs', {
      PUBLIC_URL: publicUrl,
      DPOP_NONCE_SECRET: 'a secret of at least thirty-two bytes',
    });
    const url = `http://127.0.0.1:${port}/invoices`;
    const key = await newKey();
    const client = await seed.client({
      type: 'machine',
      apis: [{ identifier: audience, scopes: ['invoices:read'] }],
    });
    const wanted = { resource: audience, scope: 'invoices:read' };
    const token = await dpopToken(server.issuer, client, wanted, key);
    const headers = async (nonce?: string, htu = `${publicUrl}/invoices`) => ({
      authorization: `DPoP ${token}`,
      dpop: await proof(key, { htu, htm: 'GET', token, nonce }),
    });
    const first = await call(url, await headers());
    expect([first.status, first.challenge]).toEqual([
      401,
      expect.stringContaining('use_dpop_nonce'),
    ]);
    const nonce = first.headers['dpop-nonce'] as string;
    const sent = await headers(nonce);
    const answer = await call(url, sent);
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      200,
      { sub: client.clientId, binding: 'dpop' },
    ]);
    expect((await call(url, sent)).challenge).toContain('invalid_dpop_proof');
    expect((await call(url, await headers(nonce, url))).challenge).toContain('invalid_dpop_proof');
    expect((await call(url, bearer(token))).status).toBe(401);
    expect((await call(url, bearer(await tokenOf('invoices:read')))).status).toBe(401);
  });

  test('mtls.mjs, mtls-proxy.mjs: a bound token, and the certificate', async () => {
    const [mine, other] = [selfSigned('mine'), selfSigned('other')];
    const client = await seed.client({
      type: 'machine',
      bound: 'mtls',
      apis: [{ identifier: audience, scopes: ['invoices:read'] }],
    });
    const wanted = { resource: audience, scope: 'invoices:read' };
    const token = await certificateToken(server.issuer, client, wanted, mine.cert);
    const own = selfSigned();
    await writeFile(join(team, 'key.pem'), own.key);
    await writeFile(join(team, 'cert.pem'), own.cert);
    const direct = await listening('mtls.mjs', { TLS_KEY: 'key.pem', TLS_CERT: 'cert.pem' });
    const url = `https://127.0.0.1:${direct}/`;
    expect((await call(url, bearer(token), 'GET', mine)).text).toBe('mtls');
    expect((await call(url, bearer(token), 'GET', other)).status).toBe(401);
    expect((await call(url, bearer(token), 'GET', {})).status).toBe(401);
    expect((await call(url, bearer(await tokenOf('invoices:read')), 'GET', mine)).status).toBe(401);
    const proxied = `http://127.0.0.1:${await listening('mtls-proxy.mjs')}/`;
    const by = (cert: string) => ({ ...bearer(token), 'x-client-cert': encodeURIComponent(cert) });
    expect((await call(proxied, by(mine.cert))).text).toBe('mtls');
    expect((await call(proxied, by(other.cert))).status).toBe(401);
    expect((await call(proxied, bearer(token))).status).toBe(401);
  });

  test('metadata.mjs', async () => {
    const url = `http://127.0.0.1:${await listening('metadata.mjs')}`;
    const { text } = await call(`${url}/.well-known/oauth-protected-resource/v1`);
    expect(JSON.parse(text)).toMatchObject({
      resource: 'https://api.example.com/v1',
      authorization_servers: [server.issuer],
      resource_name: 'Ledger',
      scopes_supported: ['invoices:read', 'invoices:write'],
    });
    expect((await call(`${url}/v1`)).challenge).toBe(
      'Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/v1"',
    );
  });

  test('introspect.sh, verify.mjs: without the library', async () => {
    const token = await tokenOf('invoices:read');
    const ask = (env: Record<string, string>) =>
      shell<Record<string, unknown>>('introspect.sh', { ...settings, TOKEN: token, ...env });
    expect(await ask({})).toMatchObject({ active: true, aud: audience, token_type: 'Bearer' });
    const other = {
      API_CLIENT_ID: opaqueApi.clientId,
      API_CLIENT_SECRET: opaqueApi.clientSecret ?? '',
    };
    expect(await ask(other)).toEqual({ active: false });
    used.add('verify.mjs');
    const verify = (TOKEN: string) =>
      run('node', ['verify.mjs'], { cwd: team, env: { ...environment, ...settings, TOKEN } });
    expect((await verify(token)).stdout).toMatch(/^u_\S+ invoices:read\n$/);
    await expect(
      verify(await tokenOf('read', false, 'https://opaque.example.com')),
    ).rejects.toThrow();
    await revoke(server.issuer, app, token);
    await until(async () => {
      const said = await verify(token).then(
        ({ stdout }) => stdout,
        (error: Error) => error.message,
      );
      return said.includes('Error: revoked');
    });
    expect(await ask({})).toEqual({ active: false });
  });

  test('no snippet is left out', () => {
    expect([...snippets.keys()].filter((name) => !used.has(name))).toEqual([]);
  });
});
