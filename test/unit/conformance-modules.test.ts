import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** modules.md of the OpenID Foundation's suite: every module is told of, and every test that is named is there. */

const folder = join(import.meta.dirname, '../conformance/openid-foundation');
const page = readFileSync(join(folder, 'modules.md'), 'utf8');
const modules = JSON.parse(readFileSync(join(folder, 'modules.json'), 'utf8')) as Record<
  string,
  string[]
>;
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')), text]),
);

/** The modules of a section's rows, by their whole names. */
function named(section: string): string[] {
  const prefix = /^Prefix `([^`]+)`/m.exec(section)?.[1] ?? '';
  return rowsOf(section).flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) =>
      `${name}-` === prefix ? name : `${prefix}${name}`,
    ),
  );
}

const rowsOf = (section: string) =>
  section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| module'));

/** A test is named by its file and its words. */
const proofs = [...page.matchAll(/\[[^\]]+\]\(([^)]+\.test\.ts)\)\s“([^”]+)”/g)].map(
  ([, file = '', words = '']) => ({ file, words }),
);

/** Whether the words begin a string of the file. */
function isThere({ file, words }: (typeof proofs)[number]): boolean {
  const text = readFileSync(join(folder, file), 'utf8');
  return ["'", '"', '`'].some((quote) => text.includes(`${quote}${words}`));
}

describe('modules.md', () => {
  test('has a section for each plan, and no other', () => {
    expect([...sections.keys()]).toEqual(Object.keys(modules));
  });

  test.each(Object.entries(modules))('%s: tells of each module, once', (plan, names) => {
    expect(named(sections.get(plan) ?? '').toSorted()).toEqual(names.toSorted());
  });

  test('each module has a proof, but for those that are not run', () => {
    const without = [...sections.values()]
      .flatMap(rowsOf)
      .filter((row) => !row.includes('.test.ts) “') && !row.includes('| not run: '));
    expect(without).toEqual([]);
  });

  test('the tests that it names are there', () => {
    expect(proofs.length).toBeGreaterThan(100);
    expect(proofs.filter((proof) => !isThere(proof))).toEqual([]);
    expect(page.match(/\.test\.ts\)/g)).toHaveLength(proofs.length);
  });
});
