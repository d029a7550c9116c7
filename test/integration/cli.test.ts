import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'otplib';
import { Sealer } from '../../src/lib/seal.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { openSubjects } from '../../src/keys/subject-keys.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type CliResult,
  type Environment,
  freePort,
  MainProcess,
  runCli,
  until,
} from '../support/process.ts';
import { Seed } from '../support/protocol.ts';

const password = 'quiet otters paint the harbour';
const masterKey = Buffer.alloc(32, 9).toString('base64');

let database: TestDatabase;
let env: Environment;

const cli = (args: readonly string[], input?: string) => runCli(args, env, input);

/** The object that `--json` prints: the only thing on standard output, on one line. */
async function json(args: readonly string[], input?: string): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await cli([...args, '--json'], input);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^\{.*\}\n$/);
  return JSON.parse(stdout) as Record<string, unknown>;
}

function expectRefused(result: CliResult, reason: RegExp): void {
  expect(result.status).toBe(1);
  expect(result.stdout).toBe('');
  expect(result.stderr).toMatch(reason);
  expect(result.stderr).not.toMatch(/ {4}at |Error:/);
}

function expectMisuse(result: CliResult, ...hints: RegExp[]): void {
  expect(result.status).toBe(2);
  expect(result.stdout).toBe('');
  expect(result.stderr).toMatch(/^Usage: npm run -s cli -- /m);
  for (const hint of hints) expect(result.stderr).toMatch(hint);
}

async function auditOf(
  type: string,
): Promise<{ actor: string | null; client_id: string | null; account_id: string | null }[]> {
  return await database.db.kysely
    .selectFrom('audit_events')
    .select(['actor', 'client_id', 'account_id'])
    .where('type', '=', type as never)
    .orderBy('at')
    .execute();
}

beforeAll(async () => {
  database = await createTestDatabase();
  env = { DATABASE_URL: database.url, MASTER_KEY: masterKey };
});

afterAll(() => database.drop());

describe('how it is called', () => {
  test('--help and --version go to standard output, and need no database', async () => {
    const nowhere = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' };
    const all = await runCli(['--help'], nowhere);
    expect(all).toMatchObject({ status: 0, stderr: '' });
    for (const words of [
      'account create',
      'account reset-factor',
      'account disable',
      'account enable',
      'client create',
      'client add-secret',
      'client disable',
      'client enable',
      'client revoke-tokens',
      'account sign-out',
      'consent remove',
      'family list',
      'family revoke',
      'token revoke',
      'api create',
      'api list',
      'client list',
      'client show',
      'setup-link',
      'keys list',
      'keys rotate',
      'keys remove',
      'migrate up',
      'migrate status',
      'config check',
    ]) {
      expect(all.stdout).toMatch(new RegExp(`^  ${words} `, 'm'));
    }
    const one = await runCli(['client', 'create', '--help'], nowhere);
    expect(one).toMatchObject({ status: 0, stderr: '' });
    expect(one.stdout).toMatch(/--redirect-uri U {2,}\S/);
    const topic = await runCli(['keys', '--help'], nowhere);
    expect(topic).toMatchObject({ status: 0, stderr: '' });
    expect(topic.stdout).toContain('keys rotate');
    expect(topic.stdout).not.toContain('client create');
    const { version } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
    ) as { version: string };
    expect(await runCli(['--version'], nowhere)).toEqual({
      status: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  });

  test('wrong usage ends with 2, and the right usage on standard error', async () => {
    expect.hasAssertions();
    expectMisuse(await cli([]), /account create/);
    expectMisuse(await cli(['nonsense']), /^Unknown command "nonsense"\.$/m, /account create/);
    expectMisuse(await cli(['constructor']), /^Unknown command "constructor"\.$/m);
    expectMisuse(await cli(['client']), /^Missing command after "client"\.$/m, /client create/);
    expectMisuse(
      await cli(['client', 'destroy']),
      /^Unknown command "client destroy"\.$/m,
      /client create/,
    );
    expectMisuse(await cli(['client', 'create', '--name', 'A', '--json']), /Missing: --type/);
    expectMisuse(
      await cli(['client', 'update', '--client-id', 'c_1']),
      /There is nothing to change/,
    );
    expectMisuse(
      await cli(['api', 'update', '--identifier', 'https://api.example.com']),
      /There is nothing to change/,
    );
    expectMisuse(
      await cli(['account', 'sign-out', 'ann@example.com']),
      /Write each value after its option/,
    );
    expectMisuse(
      await cli(['client', 'create', '--name', 'A', '--type', 'toaster']),
      /--type: expected one of web, spa, native, machine, device$/m,
    );
    expectMisuse(
      await cli(['client', 'create', '--name', 'A', '--type', 'web', '--colour', 'red']),
      /Unknown option '--colour'/,
    );
    expectMisuse(
      await cli(['client', 'create', '--name', 'A', '--type', 'web', '--scope', 'openid world']),
      /--scope/,
    );
    expectMisuse(
      await cli([
        'client',
        'create',
        '--name',
        'A',
        '--type',
        'machine',
        '--api',
        'https://api.example.com',
      ]),
      /--api/,
    );
    expectMisuse(
      await cli(['api', 'create', '--identifier', 'not a uri', '--name', 'A', '--scope', 'read']),
      /--identifier: expected an absolute URI/,
    );
    expectMisuse(
      await cli([
        'api',
        'create',
        '--identifier',
        'https://a.example',
        '--name',
        'A',
        '--scope',
        'ok',
        '--scope',
        'openid',
      ]),
      /--scope \(number 2\)/,
    );
    expectMisuse(
      await cli([
        'api',
        'create',
        '--identifier',
        'https://a.example',
        '--name',
        'A',
        '--scope',
        'ok',
        '--access-token-ttl',
        '1h',
      ]),
      /--access-token-ttl: expected a number of seconds/,
    );
    expectMisuse(
      await cli(['account', 'create', '--email', 'a@example.com'], password),
      /Missing: --password-stdin/,
    );
  });

  test('an argument that may be a secret is not repeated', async () => {
    const result = await cli([
      'account',
      'create',
      '--email',
      'a@example.com',
      '--password-stdin',
      'hunter2hunter2',
    ]);
    expectMisuse(result);
    expect(result.stderr).not.toContain('hunter2');
    const misplaced = await cli(['account', 'hunter2hunter2']);
    expectMisuse(misplaced, /^Unknown command\.$/m, /account create/);
    expect(misplaced.stderr).not.toContain('hunter2');
  });
});

describe('accounts', () => {
  test('are created with a password from the first line of standard input', async () => {
    const account = await json(
      [
        'account',
        'create',
        '--email',
        'Ann@Example.com',
        '--password-stdin',
        '--name',
        'Ann Ames',
        '--verified',
      ],
      `${password}\nsecond line\n`,
    );
    expect(account).toEqual({ id: expect.stringMatching(/^u_[\w-]+$/), email: 'Ann@example.com' });
    const row = await database.db.kysely
      .selectFrom('accounts')
      .selectAll()
      .where('id', '=', account.id as string)
      .executeTakeFirstOrThrow();
    expect(row).toMatchObject({
      name: 'Ann Ames',
      admin: false,
      email_verified_at: expect.any(Date),
    });
    expect(row.password_hash).toMatch(/^\$argon2id\$/);
    expect((await auditOf('account.created')).at(-1)).toEqual({
      actor: 'cli',
      client_id: null,
      account_id: account.id,
    });

    const again = await cli(
      ['account', 'create', '--email', 'ann@EXAMPLE.com', '--password-stdin', '--json'],
      password,
    );
    expectRefused(again, /already/);
  });

  test('14: account create --locale sets the language of emails and of the claim locale', async () => {
    const create = ['account', 'create', '--password-stdin', '--email'];
    const { id } = await json([...create, 'rosa@example.com', '--locale', 'de'], password);
    const { locale } = await database.db.kysely
      .selectFrom('accounts')
      .select('locale')
      .where('id', '=', id as string)
      .executeTakeFirstOrThrow();
    expect(locale).toBe('de');
    expectMisuse(await cli([...create, 'e@example.com', '--locale', 'xx'], password), /--locale/);
  });

  test('with --totp the factor is active at once, and its key is printed', async () => {
    const { id, email, totp } = await json(
      ['account', 'create', '--email', 'bea@example.com', '--password-stdin', '--totp'],
      password,
    );
    expect(email).toBe('bea@example.com');
    const { secret, uri } = totp as { secret: string; uri: string };
    expect(secret).toMatch(/^[A-Z2-7]{32}$/);
    expect(new URL(uri).searchParams.get('secret')).toBe(secret);
    expect(await generate({ secret })).toMatch(/^\d{6}$/);
    const factors = await database.db.kysely
      .selectFrom('authenticators')
      .selectAll()
      .where('account_id', '=', id as string)
      .execute();
    expect(factors).toHaveLength(1);
    expect(factors[0]?.secret_sealed.toString('latin1')).not.toContain(secret);

    expect(await json(['account', 'reset-factor', '--email', 'bea@example.com'])).toEqual({
      id,
      email,
    });
    expect(await database.db.kysely.selectFrom('authenticators').selectAll().execute()).toEqual([]);
    expect((await auditOf('account.factor_reset')).at(-1)).toMatchObject({
      actor: 'cli',
      account_id: id,
    });
  });

  test('the password policy applies, and a refusal changes nothing', async () => {
    const create = ['account', 'create', '--email', 'cleo@example.com', '--password-stdin'];
    expectRefused(await cli(create, 'short'), /too short.*15/);
    expectRefused(await cli(create, ''), /password/i);
    expectRefused(await cli(create, 'cleo@example.com cleo'), /too close/);
    const bad = await cli(
      ['account', 'create', '--email', 'not an email', '--password-stdin'],
      password,
    );
    expectRefused(bad, /email/);
    expect(bad.stderr).not.toContain(password);
    expect(
      await database.db.kysely
        .selectFrom('accounts')
        .select('id')
        .where('email_key', 'like', 'cleo%')
        .execute(),
    ).toEqual([]);
  });

  test('are disabled and enabled; the last administrator stays', async () => {
    const { id } = await json(
      ['account', 'create', '--email', 'dora@example.com', '--password-stdin'],
      password,
    );
    expect(await json(['account', 'disable', '--email', 'dora@example.com'])).toEqual({
      id,
      email: 'dora@example.com',
      disabled: true,
    });
    expect(await json(['account', 'enable', '--email', 'dora@example.com'])).toEqual({
      id,
      email: 'dora@example.com',
      disabled: false,
    });
    expectRefused(await cli(['account', 'disable', '--email', 'nobody@example.com']), /no account/);
    expectRefused(
      await cli(['account', 'reset-factor', '--email', 'nobody@example.com']),
      /no account/,
    );

    const first = await cli(['setup-link']);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    expect(first.stdout).toMatch(/^http:\/\/localhost:3000\/setup\/[\w-]{43}\n$/);
    const second = await json(['setup-link']);
    expect(second).toEqual({
      url: expect.stringMatching(/^http:\/\/localhost:3000\/setup\/[\w-]{43}$/),
    });
    expect(`${second.url as string}\n`).not.toBe(first.stdout);
    await json(
      [
        'account',
        'create',
        '--email',
        'root@example.com',
        '--password-stdin',
        '--admin',
        '--verified',
      ],
      password,
    );
    expectRefused(await cli(['setup-link', '--json']), /administrator already/);
    expectRefused(
      await cli(['account', 'disable', '--email', 'root@example.com']),
      /last administrator/,
    );
  });
});

describe('APIs and clients', () => {
  test('an API comes with the credentials that it introspects with', async () => {
    const api = await json([
      'api',
      'create',
      '--identifier',
      'https://api.example.com',
      '--name',
      'Invoices',
      '--scope',
      'read=see: your invoices = all of them: yours',
      '--scope',
      'write',
      '--token-format',
      'jwt',
      '--access-token-ttl',
      '600',
    ]);
    expect(api).toEqual({
      id: expect.stringMatching(/^api_/),
      introspection: {
        client_id: expect.stringMatching(/^r_/),
        client_secret: expect.stringMatching(/^vs_cs_/),
      },
      consent: [
        { scope: 'read', reads: 'see your invoices = all of them: yours' },
        { scope: 'write', reads: 'use write' },
      ],
    });
    const row = await database.db.kysely
      .selectFrom('resource_servers')
      .selectAll()
      .where('id', '=', api.id as string)
      .executeTakeFirstOrThrow();
    expect(row).toMatchObject({ token_format: 'jwt', access_token_ttl: 600 });
    const scopes = await database.db.kysely
      .selectFrom('resource_server_scopes')
      .select(['scope', 'verb', 'description'])
      .orderBy('position')
      .execute();
    expect(scopes).toEqual([
      { scope: 'read', verb: 'see', description: 'your invoices = all of them: yours' },
      { scope: 'write', verb: null, description: '' },
    ]);
    expectRefused(
      await cli([
        'api',
        'create',
        '--identifier',
        'https://api.example.com',
        '--name',
        'Again',
        '--scope',
        'read',
      ]),
      /already/,
    );
  });

  test('a client of each type is created; only confidential ones have a secret', async () => {
    const web = await json([
      'client',
      'create',
      '--name',
      'Quillet',
      '--type',
      'web',
      '--redirect-uri',
      'http://localhost:4000/callback',
      '--redirect-uri',
      'https://quillet.example/callback',
      '--post-logout-redirect-uri',
      'https://quillet.example/',
      '--scope',
      'openid email',
      '--api',
      'https://api.example.com read write',
      '--first-party',
      '--verified',
      '--developer',
      'Quillet GmbH',
    ]);
    expect(web).toEqual({
      client_id: expect.stringMatching(/^c_/),
      client_secret: expect.stringMatching(/^vs_cs_/),
    });
    const row = await database.db.kysely
      .selectFrom('clients')
      .selectAll()
      .where('id', '=', web.client_id as string)
      .executeTakeFirstOrThrow();
    expect(row).toMatchObject({
      name: 'Quillet',
      type: 'web',
      first_party: true,
      verified: true,
      developer: 'Quillet GmbH',
      metadata: {
        redirect_uris: ['http://localhost:4000/callback', 'https://quillet.example/callback'],
        post_logout_redirect_uris: ['https://quillet.example/'],
        scope: 'openid email',
      },
    });
    const allowed = await database.db.kysely
      .selectFrom('client_scopes')
      .select('scope')
      .where('client_id', '=', web.client_id as string)
      .orderBy('scope')
      .execute();
    expect(allowed.map(({ scope }) => scope)).toEqual(['read', 'write']);
    expect((await auditOf('client.created')).at(-1)).toEqual({
      actor: 'cli',
      client_id: web.client_id,
      account_id: null,
    });

    for (const [type, ...more] of [
      ['spa', '--redirect-uri', 'https://spa.example/'],
      ['native', '--redirect-uri', 'com.example.app:/callback'],
      ['device'],
    ] as const) {
      expect(await json(['client', 'create', '--name', type, '--type', type, ...more])).toEqual({
        client_id: expect.any(String),
      });
    }
    expect(
      await json([
        'client',
        'create',
        '--name',
        'Robot',
        '--type',
        'machine',
        '--api',
        'https://api.example.com read',
      ]),
    ).toHaveProperty('client_secret');
  });

  test('what would be unsafe is refused', async () => {
    expect.hasAssertions();
    const create = ['client', 'create', '--name', 'A', '--type'];
    expectRefused(await cli([...create, 'web']), /redirect URI/);
    expectRefused(await cli([...create, 'web', '--redirect-uri', 'http://example.com/']), /https/);
    expectRefused(
      await cli([...create, 'spa', '--redirect-uri', 'https://a.example/', '--first-party']),
      /first-party/,
    );
    expectRefused(
      await cli([...create, 'machine', '--api', 'https://nowhere.example read']),
      /no API/,
    );
    expectRefused(
      await cli([...create, 'machine', '--api', 'https://api.example.com fly']),
      /no scope fly/,
    );
  });

  test('secrets are added, two live at once; clients are disabled and enabled', async () => {
    const { client_id, client_secret } = await json([
      'client',
      'create',
      '--name',
      'Rotating',
      '--type',
      'machine',
    ]);
    const added = await json(['client', 'add-secret', '--client-id', client_id as string]);
    expect(added).toEqual({ client_id, client_secret: expect.stringMatching(/^vs_cs_/) });
    expect(added.client_secret).not.toBe(client_secret);
    await json(['client', 'add-secret', '--client-id', client_id as string]);
    expect(
      await database.db.kysely
        .selectFrom('client_secrets')
        .select('id')
        .where('client_id', '=', client_id as string)
        .execute(),
    ).toHaveLength(2);
    expect(await json(['client', 'disable', '--client-id', client_id as string])).toEqual({
      client_id,
      disabled: true,
    });
    expect(await json(['client', 'enable', '--client-id', client_id as string])).toEqual({
      client_id,
      disabled: false,
    });
    for (const command of ['add-secret', 'disable', 'enable'])
      expectRefused(
        await cli(['client', command, '--client-id', 'c_nobody']),
        /no client c_nobody/,
      );
    const { client_id: spa } = await json([
      'client',
      'create',
      '--name',
      'Public',
      '--type',
      'spa',
      '--redirect-uri',
      'https://a.example/',
    ]);
    expectRefused(await cli(['client', 'add-secret', '--client-id', spa as string]), /public/);
  });

  test('a person reads the same in words', async () => {
    const { status, stdout, stderr } = await cli([
      'client',
      'create',
      '--name',
      'Words',
      '--type',
      'machine',
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(
      /The client Words was created\.[^]*client id +c_\S+\n[^]*client secret +vs_cs_\S+\n[^]*shown only once/,
    );
  });
});

describe('operating', () => {
  test('config check tells mistakes on standard error, and opens nothing', async () => {
    const right = await runCli(['config', 'check'], {
      DATABASE_URL: 'postgres://user:hunter2@127.0.0.1:1/none',
      MASTER_KEY: masterKey,
    });
    expect(right).toMatchObject({ status: 0, stderr: '' });
    expect(right.stdout).not.toContain('hunter2');
    expect(right.stdout).not.toContain(masterKey);
    expect(right.stdout).toMatch(/^ {2}client certificates +not accepted$/m);
    const wrong = await runCli(['config', 'check', '--json'], { PORT: 'x', MASTER_KEY: 'hunter2' });
    expectRefused(wrong, /PORT: expected[^]*MASTER_KEY: expected/);
    expect(wrong.stderr).not.toContain('hunter2');
  });

  test('a database that is not migrated is left alone until somebody says so', async () => {
    const fresh = await createTestDatabase();
    try {
      await fresh.db.pool.query('drop schema public cascade; create schema public');
      const freshEnv = { DATABASE_URL: fresh.url, MASTER_KEY: masterKey };
      expectRefused(await runCli(['keys', 'list'], freshEnv), /migrate up/);
      const status = await runCli(['migrate', 'status', '--json'], freshEnv);
      const { migrations } = JSON.parse(status.stdout) as {
        migrations: { name: string; applied_at: string | null }[];
      };
      expect(migrations.length).toBeGreaterThan(0);
      expect(migrations.every(({ applied_at }) => applied_at === null)).toBe(true);
      const up = await runCli(['migrate', 'up', '--json'], freshEnv);
      expect(JSON.parse(up.stdout)).toEqual({ applied: migrations.map(({ name }) => name) });
      expect(JSON.parse((await runCli(['migrate', 'up', '--json'], freshEnv)).stdout)).toEqual({
        applied: [],
      });
      expect(await runCli(['keys', 'list', '--json'], freshEnv)).toEqual({
        status: 0,
        stdout: '{"keys":[],"cookie_keys":[]}\n',
        stderr: '',
      });
    } finally {
      await fresh.drop();
    }
  });

  test('a database that is not there, and a master key that is not its own, are told in words', async () => {
    const away = await runCli(['keys', 'list'], {
      DATABASE_URL: `postgres://user:hunter2@127.0.0.1:${await freePort()}/none`,
    });
    expectRefused(away, /ECONNREFUSED/);
    expect(away.stderr).not.toContain('hunter2');
    const other = Buffer.alloc(32, 1).toString('base64');
    const foreign = await runCli(['keys', 'list'], { ...env, MASTER_KEY: other });
    expectRefused(foreign, /MASTER_KEY is not the key/);
    expect(foreign.stderr).not.toContain(other);
  });
});

/** A server, and the command line beside it on the same database. */
async function besideServer(shared: Environment): Promise<void> {
  const port = await freePort();
  const env = { ...shared, PORT: String(port) };
  const main = await new MainProcess(env).ready();
  try {
    const run = async (args: readonly string[], input?: string) => {
      const { status, stdout, stderr } = await runCli([...args, '--json'], env, input);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    await run([
      'api',
      'create',
      '--identifier',
      'https://live.example',
      '--name',
      'Live',
      '--scope',
      'read',
    ]);
    const { client_id, client_secret } = await run([
      'client',
      'create',
      '--name',
      'Robot',
      '--type',
      'machine',
      '--api',
      'https://live.example read',
    ]);
    const token = () =>
      fetch(`http://localhost:${port}/token`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${client_id as string}:${client_secret as string}`).toString('base64')}`,
        },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          resource: 'https://live.example',
          scope: 'read',
        }),
      }).then((response) => response.status);
    // What the command line changes is seen by a running server within two seconds.
    await until(async () => (await token()) === 200);
    await run(['client', 'disable', '--client-id', client_id as string]);
    await until(async () => (await token()) === 401);
    await run(['client', 'enable', '--client-id', client_id as string]);
    await until(async () => (await token()) === 200);
    const kids = async () =>
      (
        (await (await fetch(`http://localhost:${port}/jwks`)).json()) as { keys: { kid: string }[] }
      ).keys.map(({ kid }) => kid);
    const before = await kids();
    const { keys } = (await run(['keys', 'rotate'])) as { keys: { kid: string; state: string }[] };
    const states = keys.map(({ state }) => state).sort();
    expect(states).toEqual([...Array(4).fill('current'), ...Array(4).fill('next')]);
    await until(async () => (await kids()).length === 8);
    expect(await kids()).toEqual(expect.arrayContaining(before));
    expect(await run(['keys', 'list'])).toEqual({ keys, cookie_keys: [expect.anything()] });
    await run(['account', 'create', '--email', 'live@example.com', '--password-stdin'], password);
    expect((await fetch(`http://localhost:${port}/readyz`)).status).toBe(200);
  } finally {
    expect(await main.stop()).toBe(0);
  }
}

test('a master key is rotated: with both keys everything is sealed anew, then the old one can go', async () => {
  const own = await createTestDatabase();
  const [older, newer] = [Buffer.alloc(32, 3), Buffer.alloc(32, 4)];
  const under = (...keys: Buffer[]) => ({
    DATABASE_URL: own.url,
    MASTER_KEY: keys.map((key) => key.toString('base64')).join(','),
  });
  const run = async (args: readonly string[], env: Environment, input?: string) => {
    const { status, stdout, stderr } = await runCli([...args, '--json'], env, input);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  try {
    await new KeyService(own.db, new Sealer([older])).ensure();
    await openSubjects(own.db, new Sealer([older]));
    const create = [
      'account',
      'create',
      '--email',
      'kim@example.com',
      '--password-stdin',
      '--totp',
    ];
    await run(create, under(older), password);
    await own.db.kysely
      .insertInto('action_links')
      .values({
        id_hash: Buffer.alloc(32, 1),
        token_hash: Buffer.alloc(32, 2),
        purpose: 'register',
        account_id: null,
        email: null,
        code_mac: null,
        payload_sealed: new Sealer([older]).seal('{}', `action_links:${'01'.repeat(32)}`),
        expires_at: new Date(Date.now() + 3_600_000),
        used_at: null,
      })
      .execute();
    const { clientId } = await new Seed(own.db).client({ type: 'device', redirectUris: [] });
    await own.db.kysely
      .insertInto('polled_requests')
      .values({
        id: 'waiting',
        kind: 'device',
        id_hash: Buffer.alloc(32, 5),
        client_id: clientId,
        payload: '{}',
        payload_sealed: new Sealer([older]).seal('{}', 'polled_requests:waiting'),
        expires_at: new Date(Date.now() + 600_000),
      })
      .execute();
    expectRefused(await runCli(['keys', 'list'], under(newer)), /MASTER_KEY is not the key/);
    const { resealed, earlier_keys_until } = await run(['keys', 'reseal'], under(newer, older));
    expect(resealed).toBeGreaterThanOrEqual(5);
    expect(earlier_keys_until).toBeNull();
    expect(await run(['keys', 'reseal'], under(newer, older))).toMatchObject({ resealed: 0 });

    // Every sealed column there is, whoever has added it.
    const { rows: columns } = await own.db.pool.query<{ table: string; column: string }>(
      `select table_name as table, column_name as column from information_schema.columns where column_name like '%\\_sealed' and table_schema = 'public'`,
    );
    expect(columns.length).toBeGreaterThanOrEqual(5);
    const keyId = Buffer.from(new Sealer([newer]).keyId, 'hex');
    for (const { table, column } of columns) {
      const { rows } = await own.db.pool.query<{ id: Buffer }>(
        `select substring(${column} from 2 for 8) as id from ${table} where ${column} is not null`,
      );
      expect({ table, rows: rows.length > 0 }).toEqual({ table, rows: true });
      for (const { id } of rows) expect({ table, id }).toEqual({ table, id: keyId });
    }
    await run(['keys', 'rotate'], under(newer));
    expectRefused(await runCli(['keys', 'list'], under(older)), /MASTER_KEY is not the key/);
  } finally {
    await own.drop();
  }
});

test('while a server runs on the same database', async () => {
  expect.hasAssertions();
  await besideServer(env);
});

test('while a server runs on the same embedded database, and without one', async () => {
  const DATA_DIR = `/tmp/vouchsafe-test-${randomBytes(6).toString('hex')}`;
  try {
    // From nothing: the command line makes the database, brings it up to date, and makes the master key.
    const created = await runCli(
      [
        'account',
        'create',
        '--email',
        'first@example.com',
        '--password-stdin',
        '--totp',
        '--admin',
        '--json',
      ],
      { DATA_DIR },
      password,
    );
    expect(created).toMatchObject({ status: 0, stderr: '' });
    await besideServer({ DATA_DIR });
    expectRefused(await runCli(['setup-link'], { DATA_DIR }), /administrator already/);
  } finally {
    rmSync(DATA_DIR, { recursive: true, force: true });
  }
});
