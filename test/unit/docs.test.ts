import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { variableHelp } from '../../src/config.ts';

const operations = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8');
const rows = operations
  .split('\n')
  .map((line) => /^\| `([A-Z_]+)`(\*?) \| (.+) \| (.+) \|$/.exec(line))
  .flatMap((found) => (found === null ? [] : [found.slice(1)]));

test('docs/operations.md has a row for every variable, and for no other', () => {
  expect(rows.map(([name]) => name)).toEqual(variableHelp.map(({ name }) => name));
});

test.each(variableHelp)('docs/operations.md is right about $name', (variable) => {
  const [, star, unset, expected] = rows.find(([name]) => name === variable.name) ?? [];
  expect(star).toBe(variable.secret ? '*' : '');
  expect(expected).toBe(variable.expected);
  expect(unset).toContain(variable.default === undefined ? '' : `\`${variable.default}\``);
});
