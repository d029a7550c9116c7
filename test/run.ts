// What `npm test` runs: every test but the benchmarks, once. Arguments go on to jest (`npm test -- test/unit`).
// The exit code is jest's; the figures are left in test-results/jest.json.
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
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

/** The program that the environment names, or the first of these names that is installed. */
function findProgram(variable: string, names: readonly string[]): string | undefined {
  const named = process.env[variable];
  if (named !== undefined && named !== '') return isExecutable(named) ? named : undefined;
  const folders = ['/usr/bin', '/usr/sbin', ...(process.env['PATH'] ?? '').split(delimiter)];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

const leftOut: string[] = [];

const chromium = findProgram('CHROMIUM', [
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
]);
if (chromium === undefined) {
  const missing =
    'No Chromium was found (looked at CHROMIUM, and for chromium, chromium-browser and google-chrome).\n' +
    'To get one on Debian or Ubuntu: apt-get install chromium. Elsewhere set CHROMIUM to its path.\n';
  if (process.env['REQUIRE_BROWSER'] === '1') {
    process.stderr.write(
      `${missing}REQUIRE_BROWSER=1 asks for the browser tests, so this run has failed.\n`,
    );
    process.exit(1);
  }
  process.stderr.write(`${missing}The browser tests (test/e2e) are left out of this run.\n\n`);
  leftOut.push('<rootDir>/test/e2e/');
}

const nginx = findProgram('NGINX', ['nginx']);
if (nginx === undefined) {
  const missing =
    'No nginx was found (looked at NGINX, and for nginx).\n' +
    'To get one on Debian or Ubuntu: apt-get install nginx-light. Elsewhere set NGINX to its path.\n';
  if (process.env['REQUIRE_NGINX'] === '1') {
    process.stderr.write(
      `${missing}REQUIRE_NGINX=1 asks for the tests with it, so this run has failed.\n`,
    );
    process.exit(1);
  }
  process.stderr.write(
    `${missing}The tests with it (those in *-nginx.test.ts) are left out of this run.\n\n`,
  );
  leftOut.push('/[^/]*-nginx\\.test\\.ts$');
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
    env: {
      ...process.env,
      ...(chromium === undefined ? {} : { CHROMIUM: chromium }),
      ...(nginx === undefined ? {} : { NGINX: nginx }),
    },
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
