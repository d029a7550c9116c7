import { sha256 } from '../lib/hash.ts';
import type { Statement } from '../db/database.ts';

/** A column of a multi-row insert: its name and its type in SQL. */
export type Columns = Readonly<Record<string, string>>;

const names = new Map<string, string>();

/** The same name for the same text, so that each shape of a statement is parsed once a connection. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `vs_${sha256(text).toString('hex').slice(0, 24)}`;
    names.set(text, name);
  }
  return name;
}

const MOST_PLACES = 8;

/** A value of an insert that the statement itself works out. */
export class Expression {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Puts together one statement out of common table expressions, and keeps its parameters. */
export class StatementBuilder {
  readonly #expressions: string[] = [];
  readonly #values: unknown[] = [];

  get isEmpty(): boolean {
    return this.#expressions.length === 0;
  }

  /** Adds a parameter; gives its place in the text. */
  param(value: unknown, type: string): string {
    const given = type === 'jsonb' && value !== null ? json(value) : value;
    return `$${this.#values.push(given)}::${type}`;
  }

  /**
   * The condition that a column is one of these values. Each value has its own parameter. With an array, PostgreSQL would
   * plan the statement for each execution: it assumes ten elements in an unknown array, so a plan for the actual one looks
   * cheaper. Long lists are rare and use an array; otherwise each length would be another statement.
   */
  among(column: string, values: readonly unknown[], type: string): string {
    if (values.length > MOST_PLACES) return `${column} = any(${this.param(values, `${type}[]`)})`;
    return `${column} in (${values.map((value) => this.param(value, type)).join(', ')})`;
  }

  /** Adds `name as (body)`. */
  add(name: string, body: string): void {
    this.#expressions.push(`${name} as (${body})`);
  }

  /** An `insert` of rows, each of them only where `condition` holds. */
  insert(
    name: string,
    table: string,
    columns: Columns,
    rows: readonly Record<string, unknown>[],
    condition: string,
    conflict = '',
    returning = '1',
  ): void {
    const keys = Object.keys(columns);
    const tuples = rows.map(
      (row) =>
        `(${keys.map((key) => this.#valueOf(row[key] ?? null, columns[key] as string)).join(', ')})`,
    );
    this.add(
      name,
      `insert into ${table} (${keys.join(', ')}) select * from (values ${tuples.join(', ')}) as v where ${condition} ${conflict} returning ${returning}`,
    );
  }

  #valueOf(value: unknown, type: string): string {
    return value instanceof Expression ? value.text : this.param(value, type);
  }

  build(select: string): Statement {
    const text =
      this.#expressions.length === 0
        ? `select ${select}`
        : `with ${this.#expressions.join(', ')} select ${select}`;
    return { name: nameOf(text), text, values: this.#values };
  }
}

/**
 * PostgreSQL's jsonb has neither U+0000 nor half a pair of surrogates, which anybody may send in a `nonce` or in `claims`:
 * each becomes U+FFFD. `JSON.stringify` escapes just these.
 */
function json(value: unknown): string {
  const text = JSON.stringify(value);
  if (!/\\u(0000|d)/.test(text)) return text;
  return text.replace(
    /(\\u(?:0000|d[89a-f][\da-f]{2}))|\\./g,
    (escaped, none: string | undefined) => (none === undefined ? escaped : '\\ufffd'),
  );
}

/** A statement whose text never changes. */
export function prepared(text: string): (...values: unknown[]) => Statement {
  const name = nameOf(text);
  return (...values) => ({ name, text, values });
}

/**
 * A statement for so many rows at once, one for each number of them. Unlike one that takes them as an array, whose plan
 * the database would make anew each time for the length of it, each of these is planned once a connection.
 */
export function preparedRows(
  textFor: (places: readonly number[]) => string,
): (count: number, values: unknown[]) => Statement {
  const statements: ((...values: unknown[]) => Statement)[] = [];
  return (count, values) => {
    statements[count] ??= prepared(textFor(Array.from({ length: count }, (_, index) => index)));
    return statements[count](...values);
  };
}
