// What `npm pack` runs before and after: `prepack` and `postpack` in package.json.
// Before, it emits `vouchsafe/resource-server` into dist/, and puts in the place of package.json the one that is packed:
// the export has no part in what the server depends on, least of all in the Node.js and the PostgreSQL that come along
// with it. README.md becomes the page for those who protect an API. After, the whole package.json and the README.md of the
// repository are back; where packing was broken off, the next one, or `npm run postpack`, puts them back.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

process.chdir(join(import.meta.dirname, '..'));
const manifest = 'package.json';
const readme = 'README.md';

/** What is packed of the manifest. @param {string} text */
function slim(text) {
  const { name, version, license, type, engines, exports, files, dependencies } = JSON.parse(text);
  const packed = {
    name,
    version,
    description: 'Checks the access tokens of an API: vouchsafe/resource-server.',
    license,
    type,
    engines,
    sideEffects: false,
    exports,
    files,
    dependencies: { jose: `^${dependencies.jose}` },
  };
  return `${JSON.stringify(packed, undefined, 2)}\n`;
}

/** The page, its links to others of docs/, which are not packed, by their names. @param {string} page */
function standalone(page) {
  // The separators, which are kept, are the blocks of code: every second part.
  return page
    .split(/(^```.*?^```$)/ms)
    .map((part, at) =>
      at % 2 === 1
        ? part
        : part.replace(
            /\[([^\]]+)\]\((?!#|https?:)([^)#]+)[^)]*\)/g,
            '$1 (`docs/$2` of Vouchsafe)',
          ),
    )
    .join('');
}

/** @param {string} file @param {string} text */
function replace(file, text) {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

/** @param {string} file */
const kept = (file) => ({ whole: `dist/whole-${file}`, packed: `dist/packed-${file}` });

/** Puts what is packed in the place of the file. @param {string} file @param {string} text */
function swap(file, text) {
  const { whole, packed } = kept(file);
  writeFileSync(packed, text);
  copyFileSync(file, `${whole}.new`);
  renameSync(`${whole}.new`, whole);
  replace(file, text);
}

/** @param {string} file */
function restore(file) {
  const { whole, packed } = kept(file);
  if (!existsSync(whole)) return;
  // Where it is another one by now, somebody has put theirs there.
  if (readFileSync(file, 'utf8') === readFileSync(packed, 'utf8'))
    replace(file, readFileSync(whole, 'utf8'));
  rmSync(whole);
  rmSync(packed);
}

restore(manifest);
restore(readme);
if (process.argv[2] === 'prepack') {
  rmSync('dist', { recursive: true, force: true });
  const tsc = ['node_modules/typescript/bin/tsc', '-p', 'resource-server'];
  const { status } = spawnSync(process.execPath, tsc, { stdio: 'inherit' });
  if (status !== 0) process.exit(1);
  for (const name of readdirSync('dist/resource-server').filter((it) => it.endsWith('.d.ts'))) {
    const file = join('dist/resource-server', name);
    // TypeScript leaves the sources' names in declarations; not every version of it looks for `x.d.ts` by `x.ts`.
    const text = readFileSync(file, 'utf8').replace(/(\bfrom '\.\/[\w-]+)\.ts'/g, "$1.js'");
    writeFileSync(file, text);
  }
  swap(readme, standalone(readFileSync('docs/protecting-an-api.md', 'utf8')));
  swap(manifest, slim(readFileSync(manifest, 'utf8')));
}
