// Fails when a file of ours is longer than 400 lines: past 300 it is worth asking whether it is two things.
// Row types, and the catalogue of messages, are lists; they may be as long as what they list.
// With an argument it checks the tree in that folder instead of its own.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const most = 400;
const written = ['src', 'resource-server', 'views', 'bin', 'demo'].map(
  (folder) => `${folder}/**/*.{ts,mjs,js,eta,css}`,
);
const lists = /^src\/(db\/schema\.ts|pages\/messages(\.ts$|[-/]))/;

process.chdir(process.argv[2] ?? join(import.meta.dirname, '..'));
const found = globSync(written)
  .filter((file) => !lists.test(file))
  .map((file) => ({ file, lines: readFileSync(file, 'utf8').split('\n').length - 1 }))
  .filter(({ lines }) => lines > most);

for (const { file, lines } of found) {
  process.stdout.write(`${file}: ${lines} lines; ${most} is the most. Is it two things?\n`);
}
process.exitCode = found.length === 0 ? 0 : 1;
