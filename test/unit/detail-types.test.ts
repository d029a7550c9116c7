import { describe, expect, test } from '@jest/globals';
import { findDetailProblem, isWithin } from '../../src/resource-server/detail-types.service.ts';
import { findWordsProblem } from '../../src/resource-server/detail-types.ts';
import { newDetailTypeSchema } from '../../src/resource-server/resource-server.ts';

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: { type: { type: 'string' }, account: { type: 'string' } },
};
const words = { en: { verb: 'read', text: '{account}' } };

/** The schema with one more field. */
const having = (field: object) => ({
  ...schema,
  properties: { ...schema.properties, field },
});

const problem = (change: object) => {
  const { error } = newDetailTypeSchema.safeParse({ type: 'a', schema, words, ...change });
  return error?.issues.map(({ message }) => message).join('; ') ?? '';
};

describe('a schema', () => {
  test('that is closed and refers to nothing else is taken', () => {
    expect(problem({})).toBe('');
    const amount = { type: 'string', pattern: '^[0-9]+$', format: 'date' };
    const properties = { ...schema.properties, amount: { $ref: '#/$defs/amount' } };
    expect(problem({ schema: { ...schema, $defs: { amount }, properties } })).toBe('');
  });

  test.each([
    ['an open one', { ...schema, additionalProperties: true }, 'refuse fields'],
    ['one that says nothing of it', { type: 'object', properties: schema.properties }, 'refuse'],
    ['no object', { type: 'string' }, 'of an object'],
    ['one without its type', { ...schema, properties: {} }, 'know the field type'],
    [
      'a foreign reference',
      { ...schema, $defs: { a: { $ref: 'https://evil.example' } } },
      'itself',
    ],
    ['a file', { ...schema, $defs: { a: { $ref: 'file:///etc/passwd' } } }, 'itself'],
    ['an id', { ...schema, $id: 'https://a.example/b' }, 'itself'],
    ['a reference to nothing', having({ $ref: '#/$defs/b' }), 'compile'],
    ['an unknown keyword', { ...schema, requried: ['account'] }, 'compile'],
    ['an unknown format', having({ type: 'string', format: 'x' }), 'compile'],
    ['a look-ahead', having({ type: 'string', pattern: '(?=a)' }), 'compile'],
    ['a back-reference', having({ type: 'string', pattern: '(a)\\1' }), 'compile'],
    ['a named prototype', having(JSON.parse('{"__proto__":{"a":1}}') as object), '__proto__'],
    ['a list', [schema], 'object'],
  ])('%s is refused', (_name, given, reason) => {
    expect(problem({ schema: given })).toContain(reason);
  });

  test('that is too large or too deep is refused', () => {
    const deep = Array.from({ length: 30 }).reduce((inner) => ({ not: inner }), {});
    expect(problem({ schema: { ...schema, $defs: { a: deep } } })).toContain('deeper');
    const many = Object.fromEntries(Array.from({ length: 2_500 }, (_, at) => [`p${at}`, true]));
    expect(problem({ schema: { ...schema, properties: many } })).toContain('more than');
  });
});

describe('words', () => {
  test.each([
    ['no English', { de: words.en }, 'English'],
    ['a sentence for a verb', { en: { verb: 'read all of it please', text: 'x' } }, ''],
    ['markup for a verb', { en: { verb: '<b>', text: 'x' } }, 'a word'],
    ['stray braces', { en: { verb: 'a', text: 'a {{account}} }' } }, 'single braces'],
    ['two lines', { en: { verb: 'a', text: 'a\nb' } }, 'one line'],
    ['text that turns around', { en: { verb: 'a', text: 'a\u202eb' } }, 'one line'],
    ['something else', { en: { verb: 'a', text: 'b', html: 'c' } }, ''],
    ['no language', { '<script>': words.en, en: words.en }, ''],
  ])('%s: refused', (_name, given, reason) => {
    const found = problem({ words: given });
    expect(found).not.toBe('');
    expect(found).toContain(reason);
  });

  test('name only what the schema knows', () => {
    const wide = {
      ...schema,
      $defs: { sum: { type: 'object', properties: { value: { type: 'string' } } } },
      properties: {
        ...schema.properties,
        sum: { $ref: '#/$defs/sum' },
        list: { type: 'array', items: { type: 'string' } },
        sums: { type: 'array', items: { $ref: '#/$defs/sum' } },
        either: { oneOf: [{ type: 'string' }, { type: 'object' }] },
      },
    };
    const unknown = (text: string) =>
      findWordsProblem({ schema: wide, words: { en: { verb: 'a', text, facts: [] } } });
    expect(unknown('{account} {sum.value} {list} {list.0} {sums.0.value} {either.x}')).toBe(
      undefined,
    );
    for (const name of [
      'acount',
      'sum',
      'sum.valu',
      'sums',
      'sums.value',
      'account.a',
      '__proto__',
    ])
      expect(unknown(`{${name}}`)).toContain(`{${name}}`);
  });
});

describe('a detail', () => {
  const type = {
    type: 'a',
    api: 'https://api.example.com',
    schema,
    words: { en: { verb: 'read', text: '{account}', facts: [] } },
    remember: false,
    machines: false,
    version: 1,
  };

  test('is checked by each pattern of its schema, and by the newest version of it', () => {
    const patterns = {
      ...type,
      schema: {
        ...schema,
        properties: {
          type: { type: 'string' },
          one: { type: 'string', pattern: '^a+$' },
          two: { type: 'string', pattern: '^b+$' },
        },
      },
    };
    expect(findDetailProblem(patterns, { type: 'a', one: 'aa', two: 'bb' })).toBeUndefined();
    expect(findDetailProblem(patterns, { type: 'a', one: 'bb' })).toContain('one must match');
    expect(findDetailProblem(patterns, { type: 'a', two: 'aa' })).toContain('two must match');
    expect(findDetailProblem(type, { type: 'a', one: 'bb' })).toContain('additional properties');
    expect(findDetailProblem({ ...patterns, version: 2 }, { type: 'a', one: 'a' })).toBeUndefined();
  });

  test('hostile text takes no time', () => {
    const slow = {
      ...type,
      schema: {
        ...schema,
        properties: { type: { type: 'string' }, account: { type: 'string', pattern: '^(a+)+$' } },
      },
    };
    // A backtracking engine would not come back from this one.
    expect(findDetailProblem(slow, { type: 'a', account: `${'a'.repeat(999)}!` })).toContain(
      'must match',
    );
  });

  test('asks for less with fewer of its sets, and for something else otherwise', () => {
    const granted = { type: 'a', account: 'x', actions: ['a', 'b'], privileges: ['p'] };
    expect(isWithin(granted, granted)).toBe(true);
    expect(isWithin({ ...granted, actions: ['b'] }, granted)).toBe(true);
    for (const other of [
      { ...granted, actions: ['c'] },
      { ...granted, actions: ['a', 'b', 'c'] },
      { ...granted, actions: [] },
      { ...granted, account: 'y' },
      { ...granted, datatypes: ['d'] },
      { type: 'a', account: 'x', actions: ['a', 'b'] },
      { ...granted, actions: 'a' },
    ])
      expect(isWithin(other, granted)).toBe(false);
    expect(isWithin({ ...granted, actions: [] }, { ...granted, actions: [] })).toBe(true);
  });
});
