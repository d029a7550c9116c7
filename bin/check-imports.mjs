// Checks which folder of src may import which: the rules that speak of two folders, or of a file's place in its
// feature. Rules about one module by its name (oidc-provider, src/main.ts, process.env) stand in .oxlintrc.json.
// With an argument it checks the tree in that folder instead of its own.
import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

/**
 * @typedef {{ from: string, to: string, line: number, typeOnly: boolean }} Import
 * @typedef {(it: Import) => string | false | undefined} Rule  gives what is wrong with an import
 */

/** What every feature stands on. They import no feature; only the unit of work names the features' types. */
const baseFolders = ['src/db', 'src/http', 'src/lib', 'src/pages', 'src/unit-of-work'];
const namesTypes = 'src/unit-of-work';
/** The folders of src/oidc: its own top level, and no deeper. */
const engineFolders = ['adapter', 'authorization', 'client-authentication', 'decoupled', 'grants'];
/** What stands over the engine may use all of src/oidc, which is no feature but the protocol itself. */
const overTheEngine = ['src/interaction', 'src/console', 'src/introspection'];
/** The one file of the library that the server uses too: one header has one parser. It imports nothing. */
const sharedParser = 'resource-server/authorization-header.ts';
/** What puts the server together knows every feature. */
const serverFiles = [
  'src/server.ts',
  'src/server-pipeline.ts',
  'src/server-services.ts',
  'src/server-work.ts',
];
const compositionRoots = ['src/cli', 'src/cli.ts', 'src/main.ts', ...serverFiles];

/** The folder directly below src that holds the file, or the file itself where it lies in src. @param {string} file */
const unitOf = (file) => file.split('/').slice(0, 2).join('/');

/** @param {string} unit */
const isFeature = (unit) =>
  unit.startsWith('src/') &&
  !unit.endsWith('.ts') &&
  !baseFolders.includes(unit) &&
  !compositionRoots.includes(unit);

/** @param {string} file @returns {'routes' | 'service' | 'store' | 'types' | 'other'} */
function roleOf(file) {
  const role = /\.(routes|service|store)\.ts$/.exec(file)?.[1];
  if (role !== undefined) return /** @type {'routes' | 'service' | 'store'} */ (role);
  const unit = unitOf(file);
  return isFeature(unit) && file === `${unit}/${posix.basename(unit)}.ts` ? 'types' : 'other';
}

/** What a file may import by its role: routes → service → its own store → db. @type {Record<string, string[]>} */
const rolesBelow = {
  routes: ['routes', 'service', 'types', 'other'],
  service: ['service', 'store', 'types', 'other'],
  store: ['store', 'types', 'other'],
  types: ['types', 'other'],
  other: ['routes', 'service', 'store', 'types', 'other'],
};

/** @type {Rule[]} */
const rules = [
  ({ from, to }) =>
    isFeature(unitOf(to)) &&
    !isFeature(unitOf(from)) &&
    !compositionRoots.includes(unitOf(from)) &&
    !(unitOf(from) === namesTypes && roleOf(to) === 'types') &&
    (unitOf(from) === namesTypes
      ? `${namesTypes} knows the types of features, and none of their services`
      : `${unitOf(from)} serves every feature and imports none`),

  ({ from, to }) =>
    isFeature(unitOf(to)) &&
    unitOf(to) !== unitOf(from) &&
    (isFeature(unitOf(from)) || compositionRoots.includes(unitOf(from))) &&
    !serverFiles.includes(from) &&
    !['service', 'types'].includes(roleOf(to)) &&
    !(unitOf(to) === 'src/oidc' && overTheEngine.includes(unitOf(from))) &&
    `a feature is reached through its *.service.ts or its types (${unitOf(to)}/${posix.basename(unitOf(to))}.ts)`,

  ({ from, to }) =>
    !serverFiles.includes(from) &&
    isFeature(unitOf(from)) &&
    isFeature(unitOf(to)) &&
    !rolesBelow[roleOf(from)]?.includes(roleOf(to)) &&
    `the way is routes → service → its own store → db: ${roleOf(from)} never import ${roleOf(to)}`,

  ({ from, to, typeOnly }) =>
    roleOf(from) === 'routes' &&
    unitOf(to) === 'src/db' &&
    !typeOnly &&
    'routes hand the database on and never ask it: only `import type` from src/db',

  ({ from, to }) =>
    serverFiles.includes(to) &&
    !compositionRoots.includes(unitOf(from)) &&
    `${to} knows every feature, so none knows it: take what is needed as an argument`,

  ({ to }) =>
    /^(bin|demo|resource-server|test)\//.test(to) &&
    to !== sharedParser &&
    `src runs without ${to.split('/', 1)[0]}/: it imports nothing of it`,

  ({ from, to }) =>
    to.startsWith('migrations/') && unitOf(from) !== 'src/db' && 'only src/db knows the migrations',
];

/** Every import by relative path in a file: static, re-exported, for types alone, or dynamic. @param {string} from */
function importsOf(from) {
  const text = readFileSync(from, 'utf8');
  const statements = text.matchAll(
    /^[ \t]*(?:import|export)\s+(?<type>type\s+)?(?:[\w$*\s{},]*?\s?from\s+)?['"](?<path>\.[^'"]*)['"]/gm,
  );
  const calls = text.matchAll(/\bimport\(\s*['"](?<path>\.[^'"]*)['"]/g);
  return [...statements, ...calls].map((match) => ({
    from,
    to: posix.join(posix.dirname(from), match.groups?.['path'] ?? ''),
    line: text.slice(0, match.index).split('\n').length,
    typeOnly: match.groups?.['type'] !== undefined,
  }));
}

/**
 * The shortest way along imports from one unit to another; empty if there is none.
 * @param {Map<string, Import[]>} edges @param {string} start @param {string} end @returns {Import[]}
 */
function shortestWay(edges, start, end) {
  const seen = new Set([start]);
  /** @type {Import[][]} */
  let ways = [[]];
  while (ways.length > 0) {
    ways = ways.flatMap((way) => {
      const last = way.at(-1);
      return (edges.get(last === undefined ? start : unitOf(last.to)) ?? []).map((it) => [
        ...way,
        it,
      ]);
    });
    const found = ways.find((way) => unitOf(way.at(-1)?.to ?? '') === end);
    if (found !== undefined) return found;
    ways = ways.filter((way) => {
      const unit = unitOf(way.at(-1)?.to ?? '');
      return !seen.has(unit) && seen.add(unit);
    });
  }
  return [];
}

/** Folders that import each other, directly or by way of others. @param {Import[]} imports */
function folderCycles(imports) {
  const edges = Map.groupBy(imports, ({ from }) => unitOf(from));
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const it of imports) {
    const back = shortestWay(edges, unitOf(it.to), unitOf(it.from));
    if (back.length === 0) continue;
    const units = [it, ...back].map(({ from }) => unitOf(from));
    const key = [...units].sort().join(' ');
    const way = [it, ...back]
      .map(({ from, to, line }) => `\n    ${from}:${line} imports ${to}`)
      .join('');
    if (!found.has(key)) found.set(key, `${units.join(', ')} import each other:${way}`);
  }
  return [...found.values()];
}

/** Files that import each other, for types too: one line for each circle, along its shortest way. @param {Import[]} imports */
function fileCycles(imports) {
  const next = Map.groupBy(imports, ({ from }) => from);
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const start of next.keys()) {
    /** @type {Map<string, string>} how each file was reached */
    const reached = new Map();
    const queue = [start];
    for (const file of queue)
      for (const { to } of next.get(file) ?? [])
        if (!reached.has(to)) {
          reached.set(to, file);
          queue.push(to);
        }
    if (!reached.has(start)) continue;
    const circle = [start];
    for (
      let file = reached.get(start);
      file !== undefined && file !== start;
      file = reached.get(file)
    )
      circle.unshift(file);
    const key = circle.toSorted((a, b) => (a < b ? -1 : 1)).join(' ');
    if (!found.has(key)) found.set(key, `A circle of files: ${circle.join(' → ')} → ${circle[0]}`);
  }
  return [...found.values()];
}

/** `vouchsafe/resource-server` is packed by itself: it may import its own files, jose, and what Node brings. */
function strangersOf(/** @type {string} */ from) {
  const text = readFileSync(from, 'utf8');
  const named = text.matchAll(/(?:\bfrom|^[ \t]*import|\bimport\()\s*['"](?<name>[^'"]+)['"]/gm);
  return [...named].flatMap(({ groups, index }) => {
    const name = groups?.['name'] ?? '';
    if (/^(?:\.\/[\w-]+\.ts|node:\w+|jose)$/.test(name)) return [];
    const line = text.slice(0, index).split('\n').length;
    return [`${from}:${line} imports ${name}: it is packed without it`];
  });
}

process.chdir(process.argv[2] ?? join(import.meta.dirname, '..'));
const strangers = globSync('resource-server/**/*.ts').sort().flatMap(strangersOf);
const imports = globSync('src/**/*.ts').sort().flatMap(importsOf);
const broken = imports.flatMap((it) =>
  rules
    .map((rule) => rule(it))
    .filter((wrong) => typeof wrong === 'string')
    .map((wrong) => `${it.from}:${it.line} imports ${it.to}: ${wrong}`),
);
const crossing = imports.filter(
  ({ from, to }) => to.startsWith('src/') && unitOf(from) !== unitOf(to),
);

const misplaced = globSync('src/oidc/**/*.ts')
  .sort()
  .filter((file) => {
    const [folder, ...rest] = file.split('/').slice(2);
    return rest.length > 0 && (rest.length > 1 || !engineFolders.includes(folder ?? ''));
  })
  .map(
    (file) => `${file}: src/oidc has the folders ${engineFolders.join(', ')}, and no deeper ones`,
  );

const found = [
  ...strangers,
  ...new Set(broken),
  ...folderCycles(crossing),
  ...fileCycles(imports),
  ...misplaced,
];
for (const line of found) process.stdout.write(`${line}\n`);
process.exitCode = found.length === 0 ? 0 : 1;
