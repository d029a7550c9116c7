import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');
let tree: string;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'vouchsafe-imports-'));
});

afterEach(() => {
  rmSync(tree, { recursive: true, force: true });
});

function run(script: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd: tree,
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

/** Writes a tree of files, each with the lines given, and checks it. */
function check(files: Record<string, string[]>) {
  for (const [file, lines] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), `${lines.join('\n')}\n`);
  }
  return run('bin/check-imports.mjs', tree);
}

function lint(files: Record<string, string[]>) {
  check(files);
  copyFileSync(join(root, '.oxlintrc.json'), join(tree, '.oxlintrc.json'));
  return run('node_modules/oxlint/bin/oxlint', '--format=unix');
}

const lawful = {
  'src/main.ts': [`import { createServer } from './server.ts';`, `createServer();`],
  'src/server.ts': [
    `import { routes } from './client/client.routes.ts';`,
    `import { createProvider } from './oidc/provider.ts';`,
    `export const createServer = () => [routes, createProvider];`,
  ],
  'src/config.ts': [`export const port = process.env['PORT'];`],
  'src/db/database.ts': [`import { port } from '../config.ts';`, `export const db = port;`],
  'src/client/client.ts': [`export type Client = { id: string };`],
  'src/client/client.routes.ts': [
    `import type { db } from '../db/database.ts';`,
    `import { find } from './client.service.ts';`,
    `export const routes = (it: typeof db) => [it, find];`,
  ],
  'src/client/client.service.ts': [
    `import { read } from './client.store.ts';`,
    `import type { Account } from '../account/account.ts';`,
    `export const find = (account: Account) => [account, read];`,
  ],
  'src/client/client.store.ts': [
    `import { db } from '../db/database.ts';`,
    `export const read = () => db;`,
  ],
  'src/account/account.ts': [`export type Account = { id: string };`],
  'src/account/account.store.ts': [`export const load = () => 1;`],
  'src/oidc/provider.ts': [
    `import Provider from 'oidc-provider';`,
    `export const createProvider = () => Provider;`,
  ],
  'migrations/0001-first.ts': [`import { sql } from 'kysely';`, `export const up = () => sql;`],
  'resource-server/index.ts': [
    `import { createHash } from 'node:crypto';`,
    `import { jwtVerify } from 'jose';`,
    `export { Auth } from './auth.ts';`,
    `export const verify = [createHash, jwtVerify];`,
  ],
};

describe('the import rules', () => {
  test('a lawful tree passes', () => {
    expect(check(lawful)).toEqual({ status: 0, output: '' });
    expect(lint(lawful)).toMatchObject({ status: 0 });
  });

  test.each([
    [
      'a feature reaches into the store of another',
      'src/client/client.service.ts',
      `import { load } from '../account/account.store.ts';`,
      'reached through its *.service.ts or its types (src/account/account.ts)',
    ],
    [
      'for a type alone it is no better',
      'src/client/client.service.ts',
      `import type { load } from '../account/account.store.ts';`,
      'reached through its *.service.ts or its types (src/account/account.ts)',
    ],
    [
      'an import over several lines, and by re-export',
      'src/client/client.service.ts',
      `export {\n  load,\n} from '../account/account.store.ts';`,
      'reached through its *.service.ts',
    ],
    [
      'an import inside a function',
      'src/client/client.service.ts',
      `export const late = () => import('../account/account.store.ts');`,
      'reached through its *.service.ts',
    ],
    [
      'a command reaches into a store',
      'src/cli/clients.ts',
      `import { read } from '../client/client.store.ts';`,
      'reached through its *.service.ts',
    ],
    [
      'routes pass by their service',
      'src/client/client.routes.ts',
      `import { read } from './client.store.ts';`,
      'routes never import store',
    ],
    [
      'routes ask the database',
      'src/client/client.routes.ts',
      `import { db } from '../db/database.ts';`,
      'only `import type` from src/db',
    ],
    [
      'a service knows its routes',
      'src/client/client.service.ts',
      `import { routes } from './client.routes.ts';`,
      'service never import routes',
    ],
    [
      'a store knows its service',
      'src/client/client.store.ts',
      `import { find } from './client.service.ts';`,
      'store never import service',
    ],
    [
      'types know the store',
      'src/client/client.ts',
      `import { read } from './client.store.ts';`,
      'types never import store',
    ],
    ...['src/pages/render.ts', 'src/lib/hash.ts', 'src/db/retry.ts', 'src/errors.ts'].map(
      (file) => [
        `${file} knows a feature`,
        file,
        `import type { Client } from '${file === 'src/errors.ts' ? '.' : '..'}/client/client.ts';`,
        'serves every feature and imports none',
      ],
    ),
    [
      'a feature knows the composition root',
      'src/client/client.routes.ts',
      `import { createServer } from '../server.ts';`,
      'none knows it',
    ],
    [
      'src leans on the tests',
      'src/lib/hash.ts',
      `import { fake } from '../../test/support/fake.ts';`,
      'src runs without test/',
    ],
    [
      'src leans on the export',
      'src/client/client.service.ts',
      `import { createResourceServer } from '../../resource-server/index.ts';`,
      'src runs without resource-server/',
    ],
    [
      'the export leans on the server',
      'resource-server/index.ts',
      `export type { Client } from '../src/client/client.ts';`,
      'it is packed without it',
    ],
    [
      'the export leans on another package',
      'resource-server/index.ts',
      `import { z } from 'zod';`,
      'imports zod: it is packed without it',
    ],
    [
      'a feature knows the migrations',
      'src/client/client.store.ts',
      `import { up } from '../../migrations/0001-first.ts';`,
      'only src/db knows the migrations',
    ],
    [
      'two folders import each other',
      'src/account/account.ts',
      `import type { Client } from '../client/client.ts';`,
      'import each other:\n    src/',
    ],
  ])('%s', (_, file, line, complaint) => {
    const { status, output } = check({ ...lawful, [file]: [line] });
    expect(output).toContain(complaint);
    expect(output).toContain(`${file}:1 imports `);
    expect(status).toBe(1);
  });

  test('three folders in a ring are named with the way around', () => {
    const { status, output } = check({
      'src/a/a.ts': [`import type { B } from '../b/b.ts';`],
      'src/b/b.ts': ['', `import type { C } from '../c/c.ts';`],
      'src/c/c.ts': [`import type { A } from '../a/a.ts';`],
    });
    expect(output).toBe(
      'src/a, src/b, src/c import each other:\n' +
        '    src/a/a.ts:1 imports src/b/b.ts\n' +
        '    src/b/b.ts:2 imports src/c/c.ts\n' +
        '    src/c/c.ts:1 imports src/a/a.ts\n' +
        'A circle of files: src/b/b.ts → src/c/c.ts → src/a/a.ts → src/b/b.ts\n',
    );
    expect(status).toBe(1);
  });

  test('a circle of files in one folder is named, for types too', () => {
    const { status, output } = check({
      'src/a/one.ts': [`import type { Two } from './two.ts';`],
      'src/a/two.ts': [`import { one } from './one.ts';`],
    });
    expect(output).toBe('A circle of files: src/a/two.ts → src/a/one.ts → src/a/two.ts\n');
    expect(status).toBe(1);
  });

  test('the unit of work imports the types of features and none of their services', () => {
    const types = [`import type { Client } from '../client/client.ts';`];
    expect(check({ ...lawful, 'src/unit-of-work/commit.ts': types })).toEqual({
      status: 0,
      output: '',
    });
    const service = [`import { find } from '../client/client.service.ts';`];
    const { status, output } = check({ ...lawful, 'src/unit-of-work/commit.ts': service });
    expect(output).toContain('knows the types of features, and none of their services');
    expect(status).toBe(1);
  });

  test.each(['src/oidc/things/one.ts', 'src/oidc/grants/deep/one.ts'])(
    'src/oidc has no place for %s',
    (file) => {
      const { status, output } = check({ ...lawful, [file]: ['export const one = 1;'] });
      expect(output).toContain(`${file}: src/oidc has the folders adapter,`);
      expect(status).toBe(1);
    },
  );

  test.each([
    ['src/client/client.store.ts', `import Provider from 'oidc-provider';`],
    ['src/client/client.ts', `import type { Client } from 'oidc-provider';`],
    ['src/client/client.ts', `import grants from 'oidc-provider/lib/helpers/grants.js';`],
    ['src/oidc/provider.ts', `import '../main.ts';`],
    ['src/cli.ts', `import './main.ts';`],
    ['test/unit/a.test.ts', `import '../../src/main.ts';`],
    ['migrations/0001-first.ts', `import { db } from '../src/db/database.ts';`],
    ['src/oidc/provider.ts', `import { env } from 'node:process';`],
  ])('oxlint refuses in %s: %s', (file, line) => {
    const { status, output } = lint({ ...lawful, [file]: [line] });
    expect(output).toMatch(new RegExp(`${file.replaceAll('.', '\\.')}.*no-restricted-imports`));
    expect(status).toBe(1);
  });

  test('oxlint lets only the configuration read the environment', () => {
    const { status, output } = lint({
      ...lawful,
      'src/pages/render.ts': [`export const theme = process.env['THEME'];`],
    });
    expect(output).toMatch(/src\/pages\/render\.ts.*no-process-env/);
    expect(status).toBe(1);
  });

  test('oxlint names files that import each other', () => {
    const { status, output } = lint({
      'src/client/a.ts': [`import { b } from './b.ts';`, `export const a = () => b;`],
      'src/client/b.ts': [`import { a } from './a.ts';`, `export const b = () => a;`],
    });
    expect(output).toMatch(/src\/client\/[ab]\.ts.*no-cycle/);
    expect(status).toBe(1);
  });
});
