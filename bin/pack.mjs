// What `npm pack` runs before and after: `prepack` and `postpack` in package.json.
// Before, it emits `vouchsafe/resource-server` into dist/, and puts in the place of package.json the one that is packed:
// the export has no part in what the server depends on, least of all in the Node.js and the PostgreSQL that come along
// with it. After, the whole package.json is back; where packing was broken off, the next one, or `npm run postpack`, puts
// it back.
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
const whole = 'dist/whole-package.json';

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

/** @param {string} file @param {string} text */
function replace(file, text) {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function restore() {
  if (!existsSync(whole)) return;
  const text = readFileSync(whole, 'utf8');
  // Where it is another one by now, somebody has put theirs there.
  if (readFileSync(manifest, 'utf8') === slim(text)) replace(manifest, text);
  rmSync(whole);
}

restore();
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
  copyFileSync(manifest, whole);
  replace(manifest, slim(readFileSync(manifest, 'utf8')));
}
