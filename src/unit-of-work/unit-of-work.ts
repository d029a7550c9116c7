import { AsyncLocalStorage } from 'node:async_hooks';
import { CompiledQuery } from 'kysely';
import { type AuditEvent, type AuditOrigin, auditWrite } from '../audit/audit.ts';
import type { Database } from '../db/database.ts';
import { isReplay } from '../email/email.ts';
import { AppError } from '../errors.ts';
import { type CommitRow, commitStatement, isWon, LostRace } from './commit.ts';
import type { TokenRecord } from './records.ts';
import { RequestWrites } from './request-writes.ts';
import type { Outcome } from './writes.ts';

/** What a lost race was about; who lost has written nothing of its outcome. */
export type Loss = 'revoked' | 'used' | 'pushed' | 'session';

export interface CommitResult {
  readonly lost: Loss | undefined;
  /** The session id that this answer would set is the session's; if not, the answer sets no session cookie. */
  readonly sessionKept: boolean;
}

/** What others do for a unit. */
export interface UnitHooks {
  /** Called after a commit that wrote outbox rows. */
  readonly onOutbox?: () => void;
  /** Whether an event that stands whatever comes of the request is written, and not only counted. */
  readonly isWritten?: (event: AuditEvent) => boolean;
}

/**
 * One request, one transaction. Reads are answered from what the request has read or written; writes are held back
 * and committed once, before the answer leaves. What the client was told is on disk.
 */
export class UnitOfWork extends RequestWrites {
  readonly #onOutbox: () => void;
  readonly #isWritten: (event: AuditEvent) => boolean;
  /** The client that repeats a refresh within its grace. */
  repeatedRefresh: string | undefined;
  /** Families of tokens that were presented again within their grace: dead if the repetition fails otherwise. */
  readonly #repeated = new Set<string>();
  readonly #alwaysAudit: ReturnType<typeof auditWrite>[] = [];
  readonly #countedAudit: AuditEvent[] = [];
  readonly #killed = new Map<string, string>();
  #recorded: readonly AuditEvent[] = [];

  /**
   * @param origin where the request came from: every audit event of the request carries it.
   */
  constructor(
    db: Database,
    origin: AuditOrigin = {},
    { onOutbox = () => undefined, isWritten = () => true }: UnitHooks = {},
  ) {
    super(db, origin);
    this.#onOutbox = onOutbox;
    this.#isWritten = isWritten;
  }

  // Writes that stand whatever comes of the request

  /** Ends a token family, and with it every token of it. */
  killFamily(grantId: string, reason: string): void {
    if (this.#killed.has(grantId)) return;
    this.#killed.set(grantId, reason);
    const family = this.findKnownFamily(grantId);
    this.auditAlways({
      type: 'family.revoked',
      outcome: 'success',
      accountId: family?.accountId,
      clientId: family?.clientId,
      grantId,
      reason,
    });
  }

  /** What anybody can cause without end is counted, and not written each time (src/audit/refusals.service.ts). */
  auditAlways(event: AuditEvent): void {
    const whole = { ...this.origin, ...event };
    if (this.#isWritten(whole)) this.#alwaysAudit.push(auditWrite(whole));
    else this.#countedAudit.push(whole);
  }

  /** Within its grace a used code looks unused; if the repetition then fails otherwise, its family dies. */
  noteRepetition(token: Pick<TokenRecord, 'grantId'>): void {
    if (token.grantId !== undefined) this.#repeated.add(token.grantId);
  }

  // The end

  /**
   * Commits what the request leaves behind.
   * @param succeeded false drops the outcome and keeps the rest.
   */
  async commit(succeeded: boolean): Promise<CommitResult> {
    if (!succeeded) {
      for (const grantId of this.#repeated) this.killFamily(grantId, 'code_replayed');
    }
    const outcome = succeeded ? this.outcome() : undefined;
    try {
      const alongside = this.startAlongside();
      const [row] = await Promise.all([this.#write(outcome), alongside]);
      this.#recorded = [
        ...this.#alwaysAudit,
        ...this.#countedAudit,
        ...(outcome !== undefined && (row === undefined || isWon(row)) ? outcome.audit : []),
      ];
      return row === undefined ? { lost: undefined, sessionKept: true } : await this.#settle(row);
    } catch (error) {
      if (error instanceof LostRace) {
        this.#recorded = [...this.#alwaysAudit, ...this.#countedAudit];
        return await this.#settle(error.row, true);
      }
      throw error;
    } finally {
      // Email to their owners: see `addReplayMail`.
      if (this.hasOutbox || [...this.#killed.values()].some(isReplay)) this.#onOutbox();
    }
  }

  /** What the audit has, or counts, of this request: nothing before the commit. */
  get recorded(): readonly AuditEvent[] {
    return this.#recorded;
  }

  async #write(outcome: Outcome | undefined): Promise<CommitRow | undefined> {
    const statement = commitStatement(outcome, {
      killed: [...this.#killed].map(([grantId, reason]) => ({ grantId, reason })),
      audit: this.#alwaysAudit,
    });
    const enlisted = this.enlisted();
    if (outcome === undefined || enlisted.length === 0) {
      return statement && (await this.db.run<CommitRow>(statement))[0];
    }
    return this.db.transaction(async (db) => {
      for (const work of enlisted) await work(db);
      if (statement === undefined) return undefined;
      const { rows } = await db.executeQuery<CommitRow>(
        CompiledQuery.raw(statement.text, statement.values),
      );
      const [row] = rows;
      if (row && !isWon(row)) throw new LostRace(row);
      return row;
    });
  }

  /** After a loss inside a transaction, what must be kept anyway has been rolled back with the rest. */
  async #settle(row: CommitRow, rolledBack = false): Promise<CommitResult> {
    if (rolledBack) await this.#write(undefined);
    if (isWon(row)) return { lost: undefined, sessionKept: row.session_kept };
    return { lost: lossOf(row), sessionKept: false };
  }
}

function lossOf(row: CommitRow): Loss {
  if (!row.live) return 'revoked';
  if (!row.pushed) return 'pushed';
  return row.unused ? 'session' : 'used';
}

const storage = new AsyncLocalStorage<UnitOfWork>();

/** Runs `work` as one request over the database. */
export function withUnit<T>(unit: UnitOfWork, work: () => Promise<T>): Promise<T> {
  return storage.run(unit, work);
}

/**
 * The unit of the request that is under way.
 * @throws AppError `no_unit` outside of one: state is only ever touched in a request, or by a service of its own.
 */
export function currentUnit(): UnitOfWork {
  const unit = storage.getStore();
  if (unit === undefined)
    throw new AppError('no_unit', 'There is no unit of work outside a request.');
  return unit;
}
