import { ConnectionError } from './sql-state.ts';

/**
 * The settings of a session that the meaning of our rows and statements depends on. A role, a database or a server may
 * have others; each connection is opened with these.
 */
const settings: Readonly<Record<string, string>> = {
  DateStyle: 'ISO, MDY',
  TimeZone: 'UTC',
  standard_conforming_strings: 'on',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  search_path: 'public',
};

/**
 * How statements are planned. Ours are prepared once a connection and find their rows by an index. While a table is almost
 * empty a scan of it looks as cheap, and the connection would keep that plan when the table has grown. Where no index
 * serves, the scan stays; compiling its plan would take longer than running it.
 */
const planning: Readonly<Record<string, string>> = { enable_seqscan: 'off', jit: 'off' };

/** What every PgBouncer keeps for each of its clients. */
const keptByPoolers = ['DateStyle', 'TimeZone', 'standard_conforming_strings'];

/** Set by `options` in the URL (`-c name=value`): the operator's own choice. */
function chosen(options: string | undefined): Set<string> {
  const names = (options ?? '').matchAll(/(?:-c\s*|--)([\w.-]+)=/g);
  return new Set([...names].map(([, name = '']) => name.toLowerCase().replaceAll('-', '_')));
}

/** What is sent in the first message of a connection. */
export function startupSettings(all: boolean, options?: string): Record<string, string> {
  const except = chosen(options);
  return Object.fromEntries(
    Object.entries({ ...settings, ...planning }).filter(
      ([name]) => !except.has(name.toLowerCase()) && (all || keptByPoolers.includes(name)),
    ),
  );
}

/** Asked of each new connection: is it a primary that takes writes, and what became of the settings. */
export const CHECK = `select pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as "readOnly",
  current_setting('search_path') as "searchPath", to_regnamespace(quote_ident(current_user)) is not null as "ownSchema",
  current_setting('DateStyle') as "dateStyle", current_setting('IntervalStyle') as "intervalStyle",
  current_setting('standard_conforming_strings') as strings`;

export interface Checked {
  readonly standby: boolean;
  readonly readOnly: boolean;
  readonly searchPath: string;
  /** There is a schema of the role's own name, which `"$user"` would find. */
  readonly ownSchema: boolean;
  readonly dateStyle: string;
  readonly intervalStyle: string;
  readonly strings: string;
}

/**
 * @param name the server, for the error.
 * @throws ConnectionError where the connection must not be used
 */
export function checkConnection(found: Checked, name: string, options?: string): void {
  if (found.standby) throw new ConnectionError('25006', `${name} is a standby`);
  if (found.readOnly) throw new ConnectionError('25006', `${name} takes no writes`);
  const except = chosen(options);
  const wrong: string[] = [];
  const paths = found.ownSchema ? ['public'] : ['public', '"$user", public'];
  if (!except.has('search_path') && !paths.includes(found.searchPath))
    wrong.push('search_path = public');
  if (!found.dateStyle.startsWith('ISO')) wrong.push("DateStyle = 'ISO, MDY'");
  if (found.intervalStyle !== 'postgres') wrong.push('IntervalStyle = postgres');
  if (found.strings !== 'on') wrong.push('standard_conforming_strings = on');
  if (wrong.length > 0)
    throw new ConnectionError(
      '08001',
      `a pooler does not pass on our settings, and the role has others: alter role … set ${wrong.join('; alter role … set ')}`,
    );
}
