import { existsSync } from 'node:fs';

// One embedded PostgreSQL serves all test files of a run, if the two files that start and stop it are there.
const whenPresent = (key, file) =>
  existsSync(new URL(file, import.meta.url)) ? { [key]: `<rootDir>/${file}` } : {};

export default {
  ...whenPresent('globalSetup', 'test/support/global-setup.ts'),
  ...whenPresent('globalTeardown', 'test/support/global-teardown.ts'),
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts', '!**/test/benchmark/**'],
  modulePathIgnorePatterns: ['<rootDir>/data/', '<rootDir>/test-results/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '<rootDir>/test/support/strip-types.cjs' },
  // No test waits for time; this only ends one that hangs, also on a machine that is busy with something else.
  testTimeout: 120_000,
};
