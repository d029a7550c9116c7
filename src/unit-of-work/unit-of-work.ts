import { AsyncLocalStorage } from 'node:async_hooks';
import { CompiledQuery, type Transaction } from 'kysely';
import { type AuditEvent, type AuditOrigin, auditWrite } from '../audit/audit.ts';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { isReplay } from '../email/email.ts';
import { AppError } from '../errors.ts';
import { sha256 } from '../lib/hash.ts';
import type { OutboxWrite } from '../outbox/outbox.ts';
import { type CommitRow, commitStatement, isWon, LostRace } from './commit.ts';
import { PolledUnit } from './polled-unit.ts';
import { PushedRequests } from './pushed-ids.ts';
import type { TokenRecord } from './records.ts';
import { RequestReads } from './request-reads.ts';
import type {
  Consumed,
  FamilyWrite,
  InteractionWrite,
  Outcome,
  RevokedWrite,
  SessionWrite,
  Sources,
  TokenWrite,
  UsedConsent,
} from './writes.ts';

/** What a lost race was about; who lost has written nothing of its outcome. */
export type Loss = 'revoked' | 'used' | 'pushed' | 'session';

export interface CommitResult {
  readonly lost: Loss | undefined;
  /** The session id that this answer would set is the session's; if not, the answer sets no session cookie. */
  readonly sessionKept: boolean;
}

/** Work of a domain service that belongs into the request's commit. It does nothing but write. */
export type Enlisted = (db: Transaction<Schema>) => Promise<void>;

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
export class UnitOfWork extends RequestReads {
  readonly #origin: AuditOrigin;
  readonly #onOutbox: () => void;
  readonly #isWritten: (event: AuditEvent) => boolean;
  readonly pushed = new PushedRequests();
  readonly polled: PolledUnit;
  /** Families of tokens that were presented again within their grace: dead if the repetition fails otherwise. */
  readonly #repeated = new Set<string>();

  readonly #consumed = new Map<string, Consumed>();
  /** The client that repeats a refresh within its grace. */
  repeatedRefresh: string | undefined;
  readonly #closedInteractions: Buffer[] = [];
  readonly #interactions = new Map<string, InteractionWrite>();
  readonly #familyWrites = new Map<string, FamilyWrite>();
  readonly #tokenWrites: TokenWrite[] = [];
  readonly #deletedTokens: Buffer[] = [];
  readonly #revokedTokens: RevokedWrite[] = [];
  readonly #outcomeAudit: ReturnType<typeof auditWrite>[] = [];
  readonly #alwaysAudit: ReturnType<typeof auditWrite>[] = [];
  readonly #countedAudit: AuditEvent[] = [];
  readonly #killed = new Map<string, string>();
  readonly #outbox: OutboxWrite[] = [];
  readonly #enlisted: Enlisted[] = [];
  readonly #alongside: (() => Promise<unknown>)[] = [];
  #session: SessionWrite | undefined;
  #endSession: Enlisted | undefined;
  #sources: Sources | undefined;
  #usedConsent: UsedConsent | undefined;
  #recorded: readonly AuditEvent[] = [];

  /**
   * @param origin where the request came from: every audit event of the request carries it.
   */
  constructor(
    db: Database,
    origin: AuditOrigin = {},
    { onOutbox = () => undefined, isWritten = () => true }: UnitHooks = {},
  ) {
    super(db);
    this.#origin = origin;
    this.#onOutbox = onOutbox;
    this.#isWritten = isWritten;
    this.polled = new PolledUnit(db);
  }

  // Writes of the outcome

  addToken({ id, ...write }: Omit<TokenWrite, 'idHash'> & { readonly id: string }): void {
    this.#tokenWrites.push({ ...write, idHash: sha256(id) });
  }

  /** @param successor the hash of the refresh token that follows: once it was used, there is no grace. */
  consumeToken(id: string, graceSeconds: number, successor?: Buffer): void {
    this.#consumed.set(id, { idHash: sha256(id), graceSeconds, successor });
  }

  deleteToken(id: string): void {
    this.#deletedTokens.push(sha256(id));
  }

  /** `id` is the `jti` of a JWT, which the revocation feed tells of, or an opaque token. */
  revokeToken(id: string, expiresAt: Date, opaque: boolean): void {
    this.#revokedTokens.push({ idHash: sha256(id), expiresAt, opaque });
  }

  /** Every token of this request is made from these: see `Sources`. */
  makeFrom(sources: Sources): void {
    this.#sources = sources;
  }

  /** Starts a family, or changes what a living one holds; seen by later reads of this request. */
  saveFamily(write: FamilyWrite): void {
    this.#familyWrites.set(write.id, write);
    this.rememberFamily({
      id: write.id,
      accountId: write.accountId,
      clientId: write.clientId,
      sessionUid: write.sessionUid,
      consentVersion: write.consentVersion,
      keyId: write.keyId,
      payload: write.payload,
      createdAt: new Date(),
      expiresAt: write.expiresAt,
      expired: false,
      revoked: false,
    });
  }

  /** A change of id destroys the old id first: what is saved has not ended. */
  saveSession({ id, ...write }: Omit<SessionWrite, 'idHash'> & { readonly id: string }): void {
    this.#session = { ...write, idHash: sha256(id) };
    this.#endSession = undefined;
  }

  /** Ends the session that the request came with, by `end` in the commit's transaction. */
  endSession(end: Enlisted): void {
    this.#endSession = end;
    this.#session = undefined;
  }

  saveInteraction(id: string, payload: InteractionWrite['payload'], expiresAt: Date): void {
    const exists = this.hasReadInteraction(id);
    this.#interactions.set(id, { exists, idHash: sha256(id), payload, expiresAt });
  }

  closeInteraction(id: string): void {
    const isStored = this.#interactions.get(id)?.exists ?? true;
    this.#interactions.delete(id);
    if (isStored) this.#closedInteractions.push(sha256(id));
  }

  /** What the request gives rests on this decision: if it was changed or taken back meanwhile, nothing is given. */
  useConsent(consent: UsedConsent): void {
    this.#usedConsent = consent;
  }

  audit(event: AuditEvent): void {
    this.#outcomeAudit.push(auditWrite({ ...this.#origin, ...event }));
  }

  /** What leaves with the commit and not before. */
  addOutbox(write: OutboxWrite): void {
    this.#outbox.push(write);
  }

  /** Takes the writes of a domain service into the commit, which then is a transaction: three waits more. */
  enlist(work: Enlisted): void {
    this.#enlisted.push(work);
  }

  /** Small work in a commit of its own that is done at the same time as the request's: no wait more. Its failure is nobody's. */
  alongside(work: () => Promise<unknown>): void {
    this.#alongside.push(work);
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
    const whole = { ...this.#origin, ...event };
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
    const outcome = succeeded ? this.#outcome() : undefined;
    try {
      const alongside = Promise.allSettled(this.#alongside.splice(0).map((work) => work()));
      const [row] = await Promise.all([this.#write(outcome), alongside]);
      this.#recorded = [
        ...this.#alwaysAudit,
        ...this.#countedAudit,
        ...(outcome !== undefined && (row === undefined || isWon(row)) ? this.#outcomeAudit : []),
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
      if (this.#outbox.length > 0 || [...this.#killed.values()].some(isReplay)) this.#onOutbox();
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
    const enlisted = [
      ...(this.#endSession === undefined ? [] : [this.#endSession]),
      ...this.#enlisted,
    ];
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

  #outcome(): Outcome {
    return {
      consumed: [...this.#consumed.values()],
      closedInteractions: this.#closedInteractions,
      interactions: [...this.#interactions.values()],
      session: this.#session,
      families: [...this.#familyWrites.values()],
      tokens: this.#tokenWrites,
      sources: this.#tokenWrites.length === 0 ? undefined : this.#sources,
      deletedTokens: this.#deletedTokens,
      revokedTokens: this.#revokedTokens,
      usedConsent: this.#usedConsent,
      pushed: this.pushed.added,
      usedPushed: this.pushed.used,
      polled: this.polled.outcome,
      outbox: this.#outbox,
      audit: this.#outcomeAudit,
    };
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
