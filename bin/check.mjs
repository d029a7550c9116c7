// Runs the npm scripts named as arguments one after the other, all of them whatever fails, and says at the end which did.
import { spawnSync } from 'node:child_process';

const failed = process.argv.slice(2).filter((script) => {
  process.stdout.write(`\n> ${script}\n`);
  return spawnSync('npm', ['run', '--silent', script], { stdio: 'inherit' }).status !== 0;
});

process.stdout.write(
  failed.length === 0 ? '\nAll checks passed.\n' : `\nFailed: ${failed.join(', ')}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
