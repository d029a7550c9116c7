// What `npm test` runs: every test but the benchmarks, once. Arguments go on to jest (`npm test -- test/unit`).
// The exit code is jest's; the figures are left in test-results/jest.json.
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What some tests need besides Node: where it is not, they are left out, or the run fails if it is asked for them. */
interface Needed {
  /** The environment may name the program by this, and is told by it which one was found. */
  readonly variable: string;
  readonly names: readonly string[];
  /** Files that must be there as well. */
  readonly files?: readonly string[];
  readonly what: string;
  /** How to get it. */
  readonly how: string;
  /** With this set to 1, a run without it fails. */
  readonly required: string;
  readonly tests: string;
  /** Their files, as jest takes patterns. */
  readonly patterns: readonly string[];
}

const debian = (packages: string) =>
  `apt-get install ${packages} on Debian or Ubuntu; elsewhere set the variable to its path`;

const needed: readonly Needed[] = [
  {
    variable: 'CHROMIUM',
    names: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    what: 'Chromium',
    how: debian('chromium'),
    required: 'REQUIRE_BROWSER',
    tests: 'test/e2e, *-browser.test.ts and mcp.test.ts',
    patterns: ['<rootDir>/test/e2e/', '/([^/]*-browser|mcp)\\.test\\.ts$'],
  },
  {
    variable: 'NGINX',
    names: ['nginx'],
    what: 'nginx',
    how: debian('nginx-light'),
    required: 'REQUIRE_NGINX',
    tests: '*-nginx.test.ts',
    patterns: ['/[^/]*-nginx\\.test\\.ts$'],
  },
  {
    variable: 'APACHE',
    names: ['apache2'],
    files: ['/usr/lib/apache2/modules/mod_auth_openidc.so'],
    what: 'Apache with mod_auth_openidc',
    how: debian('apache2 libapache2-mod-auth-openidc'),
    required: 'REQUIRE_APACHE',
    tests: '*-apache.test.ts',
    patterns: ['/[^/]*-apache\\.test\\.ts$'],
  },
  {
    variable: 'HAPROXY',
    names: ['haproxy'],
    what: 'HAProxy',
    how: debian('haproxy'),
    required: 'REQUIRE_HAPROXY',
    tests: '*-haproxy.test.ts',
    patterns: ['/[^/]*-haproxy\\.test\\.ts$'],
  },
  {
    variable: 'PGBOUNCER',
    names: ['pgbouncer'],
    what: 'PgBouncer',
    how: debian('pgbouncer'),
    required: 'REQUIRE_PGBOUNCER',
    tests: '*-pgbouncer.test.ts',
    patterns: ['/[^/]*-pgbouncer\\.test\\.ts$'],
  },
  {
    variable: 'OIDC_AGENT',
    names: ['oidc-agent'],
    what: 'oidc-agent',
    how: debian('oidc-agent-cli'),
    required: 'REQUIRE_OIDC_AGENT',
    tests: '*oidc-agent.test.ts',
    patterns: ['/[^/]*oidc-agent\\.test\\.ts$'],
  },
  {
    variable: 'MCP_PYTHON',
    names: [],
    what: 'Python with the MCP SDK',
    how: 'python3 -m venv V && V/bin/pip install -r test/support/mcp-requirements.txt, then MCP_PYTHON=V/bin/python',
    required: 'REQUIRE_MCP_PYTHON',
    tests: 'those named after it in mcp.test.ts',
    patterns: [],
  },
];

/** The program that the environment names, or the first of these names that is installed. */
function findProgram({ variable, names, files = [] }: Needed): string | undefined {
  if (!files.every((file) => existsSync(file))) return undefined;
  const named = process.env[variable];
  if (named !== undefined && named !== '') return isExecutable(named) ? named : undefined;
  const folders = ['/usr/bin', '/usr/sbin', ...(process.env['PATH'] ?? '').split(delimiter)];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

const leftOut: string[] = [];
const found: Record<string, string> = {};
for (const one of needed) {
  const program = findProgram(one);
  if (program !== undefined) {
    found[one.variable] = program;
    continue;
  }
  const missing =
    `No ${one.what} was found (looked at ${[one.variable, ...one.names].join(', ')}).\n` +
    `To get it: ${one.how}.\n`;
  if (process.env[one.required] === '1') {
    process.stderr.write(
      `${missing}${one.required}=1 asks for the tests with it, so this run has failed.\n`,
    );
    process.exit(1);
  }
  process.stderr.write(`${missing}The tests with it (${one.tests}) are left out of this run.\n\n`);
  leftOut.push(...one.patterns);
}

mkdirSync(join(root, 'test-results'), { recursive: true });

const jest = spawn(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    '--maxWorkers=2',
    '--json',
    '--outputFile=test-results/jest.json',
    ...process.argv.slice(2),
    ...(leftOut.length === 0 ? [] : ['--testPathIgnorePatterns', '/node_modules/', ...leftOut]),
  ],
  {
    cwd: root,
    // The figures go to the file; what `--json` also prints on stdout would only bury the report, which is on stderr.
    stdio: ['inherit', 'ignore', 'inherit'],
    env: { ...process.env, ...found },
  },
);

// Jest stops its workers and the database itself; a signal to us alone must reach it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => jest.kill(signal));
}

jest.on('error', (error) => {
  process.stderr.write(`Jest could not be started: ${error.message}\n`);
  process.exitCode = 1;
});
jest.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
