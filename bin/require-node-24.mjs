// Loaded with --import before everything else. It is plain JavaScript that Node 18 can still read, so that an
// old Node is told what is missing instead of failing on the first type annotation.
import module from 'node:module';
import { fileURLToPath } from 'node:url';

const major = Number(process.versions.node.split('.', 1)[0]);

if (major < 24) {
  process.stderr.write(
    `Vouchsafe needs Node.js 24 or newer; this is ${process.version} (${process.execPath}).\n` +
      'On Linux x64 and arm64, run `npm ci` and start it through npm (`npm start`, `npm test`, `npm run cli`):\n' +
      'Node.js 24 is installed with the dependencies. Elsewhere install Node.js 24 from https://nodejs.org.\n',
  );
  process.exit(1);
}

// Compiled code is kept between starts, beside the dependencies and never in a shared temporary folder, where
// another user could plant it. Where that folder can't be written, Node goes on without.
module.enableCompileCache(
  fileURLToPath(new URL('../node_modules/.cache/compile', import.meta.url)),
);
