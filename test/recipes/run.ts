// What `npm run recipes` runs: each recipe of docs/recipes.md with the real library or product, against a server of its own.
// It writes docs/recipes-results.md. Names after `--` choose recipes; the rows of the others stay as they are.
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { inspect } from 'node:util';
import { type Recipe, recipes } from './recipes.ts';
import { World } from './world.ts';

const page = join(import.meta.dirname, '../../docs/recipes-results.md');
const head = `# Results of the recipes

\`npm run recipes\` writes this page: it runs the blocks of [recipes](recipes.md) with the real programs against a server of its
own and signs a user in.

| recipe | date | versions | result |
|---|---|---|---|
`;

function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function rowOf(recipe: Recipe, folder: string): Promise<{ row: string; failed: boolean }> {
  const date = new Date().toISOString().slice(0, 10);
  const row = (versions: string, result: string) =>
    `| ${recipe.name} | ${date} | ${versions} | ${result} |\n`;
  const missing = recipe.needs.filter((program) => !isInstalled(program));
  if (missing.length > 0)
    return { row: row('', `not run: needs ${missing.join(', ')}`), failed: false };
  let world: World | undefined;
  try {
    world = await World.start(folder);
    const { versions, result } = await recipe.run(world);
    return { row: row(versions, result), failed: false };
  } catch (error) {
    process.stderr.write(`${inspect(error)}\n`);
    return { row: row('', 'failed'), failed: true };
  } finally {
    await world?.stop();
  }
}

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !recipes.some((recipe) => recipe.name === name));
if (unknown.length > 0)
  throw new TypeError(
    `Unknown recipe ${unknown.join(', ')}. Recipes: ${recipes.map(({ name }) => name).join(', ')}`,
  );
const before = await readFile(page, 'utf8').catch(() => '');
const rows: string[] = [];
for (const recipe of recipes) {
  if (chosen.length > 0 && !chosen.includes(recipe.name)) {
    rows.push(before.match(new RegExp(`^\\| ${recipe.name} \\|.*\\n`, 'm'))?.[0] ?? '');
    continue;
  }
  const folder = await mkdtemp(join(tmpdir(), 'vouchsafe-recipe-'));
  const { row, failed } = await rowOf(recipe, folder);
  process.stdout.write(row);
  if (failed) process.exitCode = 1;
  rows.push(row);
  await rm(folder, { recursive: true, force: true });
}
const grafana = '| Grafana | | | not run: no package of it in reach |\n';
await writeFile(page, head + rows.join('') + grafana);
