import type { Connection, ScenarioName } from './protocol.ts';

/** What is compared with what. */

export interface System {
  readonly name: string;
  /** What it is called at the head of a column of ratios. */
  readonly short: string;
  /** The file that it runs, and which of the systems in it. */
  readonly file: string;
  readonly variant: string;
  readonly database: 'vouchsafe' | 'plain';
  /** The table in which each right answer of a run must have left a row. */
  readonly leavesRowsIn?: string;
}

export interface Scenario {
  readonly name: ScenarioName;
  readonly title: string;
  /** The names of the systems that the ratios are to: the first one is what the bar is about. */
  readonly references: readonly [string, ...string[]];
  readonly systems: readonly System[];
}

const bareFile = import.meta.resolve('./bare.ts');
const providerFile = import.meta.resolve('./plain-provider.ts');
const vouchsafeFile = import.meta.resolve('./vouchsafe.ts');

const constant: System = {
  name: 'bare node:http, no database',
  short: 'bare',
  file: bareFile,
  variant: 'constant',
  database: 'plain',
};
const limit: System = {
  name: 'limit: bare + one lookup, pool',
  short: 'limit',
  file: bareFile,
  variant: 'lookup-pool',
  database: 'plain',
};
const pipelined: System = {
  name: 'bare + one lookup, pipelined',
  short: 'pipelined',
  file: bareFile,
  variant: 'lookup-pipeline',
  database: 'plain',
};
const insert: System = {
  name: 'bare + one durable insert, pool',
  short: 'insert',
  file: bareFile,
  variant: 'insert',
  database: 'plain',
  leavesRowsIn: 'inserts',
};
const memory: System = {
  name: 'oidc-provider, memory',
  short: 'memory',
  file: providerFile,
  variant: 'memory',
  database: 'plain',
};
const table: System = {
  name: 'oidc-provider, one table',
  short: 'table',
  file: providerFile,
  variant: 'table',
  database: 'plain',
};
const vouchsafe: System = {
  name: 'Vouchsafe',
  short: 'Vouchsafe',
  file: vouchsafeFile,
  variant: '',
  database: 'vouchsafe',
};

/** Where each answer leaves a row: they are counted. */
const bothWithRows: readonly System[] = [
  { ...table, leavesRowsIn: 'models' },
  { ...vouchsafe, leavesRowsIn: 'tokens' },
];

const all: readonly Scenario[] = [
  {
    name: 'introspection',
    title: "Introspection of machines' opaque tokens, by an API with a secret (Basic), JSON answer",
    references: [limit.name, pipelined.name],
    systems: [constant, limit, pipelined, memory, table, vouchsafe],
  },
  {
    name: 'introspection-people',
    title: "The same for people's tokens: each with its family and its account",
    references: [limit.name, pipelined.name],
    systems: [limit, pipelined, table, vouchsafe],
  },
  {
    name: 'client-credentials',
    title:
      'Client credentials, opaque and (but for the one in memory) on disk before the answer, 1,000 clients',
    references: [memory.name, insert.name],
    systems: [memory, insert, ...bothWithRows],
  },
  {
    name: 'client-credentials-jwt',
    title: 'Client credentials, JWT (ES256), 1,000 clients',
    references: [memory.name],
    systems: [memory, vouchsafe],
  },
  {
    name: 'discovery',
    title: "The server's metadata",
    references: [table.name],
    systems: [table, vouchsafe],
  },
  { name: 'jwks', title: 'Its keys', references: [table.name], systems: [table, vouchsafe] },
  {
    name: 'single-sign-on',
    title: 'Authorization requests of users who are signed in and have allowed the app: a code',
    references: [table.name],
    systems: bothWithRows,
  },
  {
    name: 'code-exchange',
    title: 'The same, and the exchange of the code for an ID token (ES256) and two opaque tokens',
    references: [table.name],
    systems: bothWithRows,
  },
  {
    name: 'refresh',
    title: 'Refresh with rotation, with an ID token (ES256)',
    references: [table.name],
    systems: bothWithRows,
  },
  {
    name: 'token-exchange',
    title: "Token exchange (RFC 8693) of people's opaque tokens",
    references: [table.name],
    systems: bothWithRows,
  },
  {
    name: 'mixed',
    title: 'All of these in turn, and sign-ins with a password: what the process needs of memory',
    references: [vouchsafe.name],
    systems: [vouchsafe],
  },
];

/** @throws TypeError where there is none of that name */
export function scenariosFor(only: string | undefined): readonly Scenario[] {
  const names = only?.split(',');
  const chosen = all.filter(
    ({ name }) =>
      names === undefined || names.some((one) => name === one || name.startsWith(`${one}-`)),
  );
  if (chosen.length === 0) {
    throw new TypeError(
      `There is no ${only}. There are: ${all.map(({ name }) => name).join(', ')}.`,
    );
  }
  return chosen;
}

export function connectionOf(
  system: System,
  { connection, plain }: { connection: Connection; plain: Connection },
): Connection {
  return system.database === 'vouchsafe' ? connection : plain;
}
