import { callbackify } from 'node:util';
import pg from 'pg';
import type { Hosts } from './hosts.ts';
import { ConnectionError, isUnavailable, sqlState } from './sql-state.ts';

/** The SQLSTATE of a pooler's own errors. */
const POOLER = '08P01';

/**
 * Opens a connection to whichever server is the primary: each is tried once, beginning with the last one that was; and
 * once more with fewer settings where a pooler refuses those.
 */
export async function openOnPrimary<Client>(
  hosts: Hosts,
  open: () => Promise<Client>,
): Promise<Client> {
  const reasons: string[] = [];
  for (let left = hosts.count; ; left--) {
    try {
      return await open();
    } catch (thrown) {
      const error = causeOf(thrown);
      // The pool is full, or closed: another host would not help.
      if (!isUnavailable(error)) {
        throw new ConnectionError('53300', (error as Error).message, error);
      }
      if (sqlState(error) === POOLER && hosts.sendFewerSettings()) {
        left++;
        continue;
      }
      if (hosts.count === 1) throw error;
      reasons.push((error as Error).message);
      if (left <= 1) throw new ConnectionError('08001', reasons.join('; '), error);
    }
  }
}

/** The pool puts its own error before that of a connection that took too long. */
const causeOf = (error: unknown) =>
  error instanceof Error && error.cause instanceof ConnectionError ? error.cause : error;

type Done = (error: Error | undefined, client?: pg.PoolClient, release?: unknown) => void;

/** A pool whose connections all lead to the primary, of however many hosts. */
export class PrimaryPool extends pg.Pool {
  readonly #hosts: Hosts;

  constructor(config: pg.PoolConfig, hosts: Hosts) {
    super(config);
    this.#hosts = hosts;
  }

  override connect(): Promise<pg.PoolClient>;
  override connect(callback: Done): void;
  override connect(callback?: Done): Promise<pg.PoolClient> | undefined {
    const opened = () => openOnPrimary(this.#hosts, () => super.connect());
    if (callback === undefined) return opened();
    // A connection that is there already needs none of it.
    if (this.idleCount > 0 && this.waitingCount === 0) {
      super.connect(callback);
      return undefined;
    }
    callbackify(opened)((error, client) =>
      callback(error ?? undefined, client, (broken?: Error | boolean) => client?.release(broken)),
    );
    return undefined;
  }
}
