import { expect, test } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { variableHelp } from '../../src/config-variables.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const operations = readFileSync(join(root, 'docs/operations.md'), 'utf8');
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

test('README.md leads to files that are there, and names a test for every specification', () => {
  const links = [...readme.matchAll(/(?:\]\(|src=")([^)#:"]+)(#[^)]*)?[)"]/g)].map(
    ([, path = '']) => path,
  );
  expect(links).toContain('docs/images/consent.png');
  expect(links.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const [, table = ''] = readme.split('| specification | state | proved by |\n|---|---|---|\n');
  const specifications = table.split('\n\n', 1)[0]?.split('\n') ?? [];
  expect(specifications.length).toBeGreaterThan(30);
  expect(specifications.filter((row) => !/\.test\.ts\)/.test(row))).toEqual([]);
});

test('no two pages create an API with the same identifier', () => {
  const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  const created = ['README.md', ...pages.map((name) => `docs/${name}`)].flatMap((page) => {
    const commands = readFileSync(join(root, page), 'utf8').replaceAll('\\\n', ' ');
    const found = commands.matchAll(/\bapi create\b[^\n]*? --identifier "?([^\s"]+)/g);
    return [...new Set([...found].map(([, identifier]) => identifier))].map(
      (identifier) => `${identifier} ${page}`,
    );
  });
  const identifiers = created.map((line) => line.split(' ', 1)[0]);
  expect(created.length).toBeGreaterThan(4);
  expect(created.filter((_, at) => identifiers.indexOf(identifiers[at]) !== at)).toEqual([]);
});

/** The anchors of a page's headings, as GitHub makes them. */
function headingsOf(page: string): Set<string> {
  const prose = readFileSync(page, 'utf8').replaceAll(/^```.*?^```$/gms, '');
  const headings = [...prose.matchAll(/^#+ (.+)$/gm)].map(([, text = '']) => text);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

test('links between pages lead to pages and headings that are there', () => {
  const pages = ['.', 'docs', 'docs/decisions'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(root, folder, name)),
  );
  const broken = pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = '', heading] = link.split('#');
        const target = path === '' ? page : join(dirname(page), path);
        if (!existsSync(target)) return true;
        return heading !== undefined && !headingsOf(target).has(heading);
      })
      .map((link) => `${page.slice(root.length + 1)}: ${link}`),
  );
  expect(broken).toEqual([]);
});
