import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { basicOf, type GatewayApi, gatewayApi } from '../support/gateway.ts';
import { type CliResult, type Environment, runCli, until } from '../support/process.ts';
import { Seed } from '../support/protocol.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { send } from '../support/wire.ts';

/** Rules and roles, as an operator sets them while servers run. */

const root = join(import.meta.dirname, '../..');
const identifier = 'https://invoices.example.com';
let database: TestDatabase;
let servers: ServerProcess[];
let api: GatewayApi;
let env: Environment;
const email = 'ann@example.com';
let id: string;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await gatewayApi(new Seed(database.db), identifier, []);
  env = { DATABASE_URL: database.url, MASTER_KEY: testMasterKey.toString('base64') };
  const created = await runCli(
    ['account', 'create', '--email', email, '--password-stdin', '--verified', '--json'],
    env,
    'quiet otters paint the harbour\n',
  );
  ({ id } = JSON.parse(created.stdout) as { id: string });
  servers = await Promise.all(
    [1, 2].map(() => startServerProcess(database, 'http://localhost:3000')),
  );
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await database.drop();
});

const cli = (...args: string[]) => runCli(args, env);

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await cli(...args, '--json');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}

const add = async (...args: string[]) =>
  (await json('gateway', 'add-rule', '--api', identifier, ...args)).id as string;

const list = async () =>
  (await json('gateway', 'list-rules', '--api', identifier)).rules as Record<string, unknown>[];

const audit = (type: string) =>
  database.db.kysely
    .selectFrom('audit_events')
    .select(['actor', 'account_id', 'data'])
    .where('type', '=', type as never)
    .orderBy('at')
    .execute();

/** What both servers say of a request without a token. */
async function asked(method: string, path: string): Promise<number[]> {
  const answers = await Promise.all(
    servers.map((server) =>
      send(server.url, `/gateway/${api.id}/nginx`, {
        headers: {
          'x-gateway-authorization': api.basic,
          'x-original-method': method,
          'x-original-uri': path,
        },
      }),
    ),
  );
  return answers.map(({ status }) => status);
}

const becomes = (method: string, path: string, status: number) =>
  until(async () => (await asked(method, path)).every((one) => one === status));

test('rules are added in their place, shown, and removed; running servers learn of it, and so does the audit', async () => {
  expect(await list()).toEqual([]);
  expect((await cli('gateway', 'list-rules', '--api', identifier)).stdout).toMatch(/no rules/);
  expect(await asked('GET', '/status')).toEqual([403, 403]);

  const all = await add('--method', 'any', '--path', '/**', '--scope', 'read');
  await becomes('GET', '/status', 401);
  const open = await add('--method', 'GET', '--path', '/status', '--public', '--place', '1');
  await becomes('GET', '/status', 200);
  expect(await asked('HEAD', '/status/')).toEqual([200, 200]);
  expect(await asked('POST', '/status')).toEqual([401, 401]);
  const middle = await add(
    ...'--method PUT --method DELETE --path /status/:id/* --place 2'.split(' '),
    ...'--scope read --scope write --role billing --role a:b'.split(' '),
  );
  const last = await add('--method', 'GET', '--path', '/never', '--place', '99');
  expect(await list()).toEqual([
    { id: open, methods: ['GET'], path: '/status', scopes: [], roles: [], public: true },
    {
      id: middle,
      methods: ['PUT', 'DELETE'],
      path: '/status/:id/*',
      scopes: ['read', 'write'],
      roles: ['billing', 'a:b'],
      public: false,
    },
    { id: all, methods: [], path: '/**', scopes: ['read'], roles: [], public: false },
    { id: last, methods: ['GET'], path: '/never', scopes: [], roles: [], public: false },
  ]);
  const { stdout } = await cli('gateway', 'list-rules', '--api', identifier);
  expect(stdout.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | '))).toEqual([
    `1 | ${open} | GET /status | public`,
    `2 | ${middle} | PUT, DELETE /status/:id/* | scopes read write, one of the roles billing a:b`,
    `3 | ${all} | any method /** | scopes read`,
    `4 | ${last} | GET /never | any token for the API`,
    '',
  ]);

  expect(await json('gateway', 'remove-rule', '--rule', open)).toEqual({ id: open });
  await becomes('GET', '/status', 401);
  const again = await add('--method', 'GET', '--path', '/again', '--place', '2');
  expect((await list()).map(({ id }) => id)).toEqual([middle, again, all, last]);

  const added = await audit('gateway.rule_added');
  expect(added.map(({ actor }) => actor)).toEqual(Array.from({ length: 5 }, () => 'cli'));
  expect(added[1]?.data).toMatchObject({
    resource_server: api.id,
    place: 1,
    id: open,
    path: '/status',
    public: true,
  });
  expect(await audit('gateway.rule_removed')).toEqual([
    {
      actor: 'cli',
      account_id: null,
      data: {
        resource_server: api.id,
        id: open,
        methods: ['GET'],
        path: '/status',
        scopes: [],
        roles: [],
        public: true,
      },
    },
  ]);
});

describe('what can not be meant is refused, and changes nothing', () => {
  const refused = async (result: Promise<CliResult>, status: number, reason: RegExp) => {
    const before = await api.rules.list(identifier);
    const { status: code, stdout, stderr } = await result;
    expect({ code, stdout }).toEqual({ code: status, stdout: '' });
    expect(stderr).toMatch(reason);
    expect(await api.rules.list(identifier)).toEqual(before);
  };
  const adding = (...args: string[]) => cli('gateway', 'add-rule', '--api', identifier, ...args);

  test.each([
    [2, /Missing: --method/, ['--path', '/x']],
    [2, /--method: expected a method in capitals/, ['--method', 'get', '--path', '/x']],
    [2, /--method/, ['--method', 'any', '--method', 'GET', '--path', '/x']],
    [2, /--path: expected a path/, ['--method', 'GET', '--path', 'x']],
    [2, /--path: expected a path/, ['--method', 'GET', '--path', '/a/../b']],
    [2, /--path: expected a path/, ['--method', 'GET', '--path', '/a/**/b']],
    [2, /--role: expected a role/, ['--method', 'GET', '--path', '/x', '--role', 'Two Words']],
    [2, /--place/, ['--method', 'GET', '--path', '/x', '--place', '0']],
    [
      2,
      /--public: a public rule/,
      ['--method', 'GET', '--path', '/x', '--public', '--scope', 'read'],
    ],
    [1, /no scope nonsense/, ['--method', 'GET', '--path', '/x', '--scope', 'nonsense']],
  ])('status %i, %s', async (status, reason, args) => {
    await refused(adding(...args), status, reason);
  });

  test('an API or a rule that is not there', async () => {
    const nowhere = ['--api', 'https://nowhere.example.com'];
    await refused(
      cli('gateway', 'add-rule', ...nowhere, '--method', 'GET', '--path', '/x'),
      1,
      /no API/,
    );
    await refused(cli('gateway', 'list-rules', ...nowhere), 1, /no API/);
    await refused(cli('gateway', 'remove-rule', '--rule', 'rule_none'), 1, /no rule rule_none/);
  });
});

test('many at once: every rule has its place, and none is lost', async () => {
  const other = 'https://ledgers.example.com';
  const { rules } = await gatewayApi(new Seed(database.db), other, []);
  await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      rules.add(
        other,
        { methods: ['GET'], path: `/p${index}`, scopes: [], roles: [], public: false, place: 1 },
        'test',
      ),
    ),
  );
  const rows = await database.db.kysely
    .selectFrom('gateway_rules')
    .innerJoin('resource_servers', 'resource_servers.id', 'gateway_rules.resource_server_id')
    .select('position')
    .where('identifier', '=', other)
    .orderBy('position')
    .execute();
  expect(rows.map(({ position }) => position)).toEqual(
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
});

test('the commands of docs/gateways.md work as they stand there', async () => {
  const text = await readFile(join(root, 'docs/gateways.md'), 'utf8');
  const seed = new Seed(database.db);
  const credentials = await seed.api('https://docs.example.com', 'opaque', [
    'invoices:read',
    'invoices:write',
  ]);
  const commands = [...text.matchAll(/npm run -s cli -- ([^`\n]+)/g)].map(([, words = '']) =>
    [...words.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) =>
      (quoted ?? plain ?? '').replace(identifier, 'https://docs.example.com'),
    ),
  );
  expect(commands.map(([topic, word]) => `${topic} ${word}`)).toEqual([
    ...Array.from({ length: 5 }, () => 'gateway add-rule'),
    'gateway list-rules',
    'account set-roles',
  ]);
  for (const words of commands) {
    const { status, stderr } = await cli(...words);
    expect({ words, status, stderr }).toEqual({ words, status: 0, stderr: '' });
  }
  const [command = ''] = /^ {4}(printf .*)$/m.exec(text)?.slice(1) ?? [];
  const printed = execFileSync('bash', ['-c', command], {
    env: {
      CLIENT_ID: credentials.clientId,
      CLIENT_SECRET: credentials.clientSecret,
      PATH: '/usr/bin:/bin',
    },
    encoding: 'utf8',
  });
  expect(printed).toBe(`${basicOf(credentials)}\n`);
});

test('roles are set whole, counted once, and stand in the audit', async () => {
  const set = (...roles: string[]) =>
    json('account', 'set-roles', '--email', email, ...roles.flatMap((role) => ['--role', role]));
  expect(await set('support', 'billing', 'support')).toEqual({
    id,
    email,
    roles: ['billing', 'support'],
  });
  expect(await set()).toEqual({ id, email, roles: [] });
  expect(await set('invoices:admin')).toEqual({ id, email, roles: ['invoices:admin'] });
  const row = await database.db.kysely
    .selectFrom('accounts')
    .select('roles')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  expect(row.roles).toEqual(['invoices:admin']);
  expect((await audit('account.roles_changed')).slice(-3)).toEqual(
    [['billing', 'support'], [], ['invoices:admin']].map((roles) => ({
      actor: 'cli',
      account_id: id,
      data: { roles },
    })),
  );
  for (const role of ['Admin', 'a b', 'a,b', '', 'é', 'a\nb', `x${'y'.repeat(64)}`]) {
    const { status, stderr } = await cli('account', 'set-roles', '--email', email, '--role', role);
    expect({ role, status }).toEqual({ role, status: 2 });
    expect(stderr).toMatch(/--role: expected a role/);
  }
  const nobody = await cli('account', 'set-roles', '--email', 'no@example.com', '--role', 'a');
  expect(nobody).toMatchObject({ status: 1, stdout: '' });
});
