/** What a failed statement means, by its SQLSTATE: never by its text, which changes with release and language. */

/** The SQLSTATE of a database error, if it is one. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** Whether an insert met a row with the same key. */
export function isUniqueViolation(error: unknown): boolean {
  return sqlState(error) === '23505';
}

/** A connection that could not be had, was lost, or leads to a server that is not the primary. */
export class ConnectionError extends Error {
  /** A SQLSTATE of PostgreSQL's own, so that there is one way to classify. */
  readonly code: string;

  constructor(code: keyof typeof connectionErrors, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ConnectionError';
    this.code = code;
  }
}

const connectionErrors = {
  '08001': 'the connection could not be opened',
  '08006': 'the connection was lost, or gave no answer in time',
  '25006': 'the server takes no writes: a standby, or a read-only primary',
  '53300': 'every connection is in use',
} as const;

/** Serialization failures and deadlocks: the same work succeeds when it is done again. */
const conflicts = new Set(['40001', '40P01']);

/**
 * 08 connection (PgBouncer reports most of its own errors as 08P01) · 28 and 3D refused when it was opened · 53 out of
 * connections, disk or memory · 57 cancelled by a timeout, shut down, starting up · 58 the server's system.
 */
const unavailableClasses = new Set(['08', '28', '3D', '53', '57', '58']);

const unavailableStates = new Set([
  // Read-only: a standby, or a primary that an operator has closed.
  '25006',
  // Timeouts: idle in a transaction, of a transaction, for a lock.
  '25P03',
  '25P04',
  '55P03',
  // Prepared statements that are missing or exist already: a pooler gave this client the connection of another.
  '26000',
  '42P05',
  // Still there after every retry.
  ...conflicts,
]);

/** Whether the database can't do this work right now, whatever the work is. The caller answers 503. */
export function isUnavailable(error: unknown): boolean {
  const state = sqlState(error);
  return (
    state?.length === 5 &&
    (unavailableStates.has(state) || unavailableClasses.has(state.slice(0, 2)))
  );
}

/**
 * Whether the same work may succeed when it is done again at once: it lost a race, or a partition was attached while a
 * row waited to be inserted (23514 without the name of a constraint).
 */
export function isConflict(error: unknown): boolean {
  const state = sqlState(error) ?? '';
  if (state === '23514') return (error as { constraint?: string }).constraint === undefined;
  return conflicts.has(state);
}

/** Whether the connection that the error came by must not be used again. A conflict says nothing about its connection. */
export function endsConnection(error: unknown): boolean {
  return isUnavailable(error) && !conflicts.has(sqlState(error) as string);
}
