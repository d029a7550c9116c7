import { expect, test } from '@jest/globals';
import { type Command, parseOptions, UsageError } from '../../src/cli/command.ts';

const command: Command = {
  words: 'keys remove',
  summary: 'removes a key',
  options: {
    kid: { value: 'KID', required: true, help: 'the key' },
    scope: { value: 'SCOPE', multiple: true, help: 'a scope' },
    now: { help: 'at once' },
  },
  run: () => Promise.reject(new Error('not run here')),
};

test.each([
  ['-XYZ', ['--kid', '-XYZ', '--now']],
  ['--XYZ', ['--now', '--kid', '--XYZ']],
  ['-', ['--kid', '-', '--now']],
  ['-n', ['--kid=-n', '--now']],
  ['-a=b', ['--kid', '-a=b', '--now']],
])('a value may begin with a hyphen: %s', (kid, args) => {
  expect(parseOptions(command, args).values).toEqual({ kid, now: true });
});

test('each of several values may', () => {
  const { values } = parseOptions(command, ['--kid', 'A', '--scope', '-a', '--scope', 'b']);
  expect(values).toEqual({ kid: 'A', scope: ['-a', 'b'] });
});

test.each([
  ['the next option', ['--kid', '--now']],
  ['the next option with its value', ['--kid', '--scope=a']],
  ['the help', ['--kid', '--help']],
  ['nothing', ['--now', '--kid']],
])('a value that is left out is missed, and not taken from %s', (_name, args) => {
  expect(() => parseOptions(command, args)).toThrow(UsageError);
  expect(() => parseOptions(command, args)).toThrow(/'--kid/);
});

test('an option that there is not is refused where no value is due', () => {
  expect(() => parseOptions(command, ['--kid', 'A', '--colour', 'red'])).toThrow(
    "Unknown option '--colour'",
  );
});
