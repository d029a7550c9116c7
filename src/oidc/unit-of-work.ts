import { AsyncLocalStorage } from 'node:async_hooks';
import { CompiledQuery, type Transaction } from 'kysely';
import { type AuditEvent, auditWrite } from '../audit/audit.ts';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { AppError } from '../errors.ts';
import { sha256 } from '../lib/hash.ts';
import type { OutboxWrite } from '../outbox/outbox.ts';
import { type CommitRow, commitStatement, isWon, LostRace } from './commit.ts';
import * as reads from './reads.ts';
import type {
  AccountRecord,
  ConsentRecord,
  FamilyRecord,
  PresentedJwt,
  SessionRecord,
  TokenRecord,
} from './records.ts';
import type {
  FamilyWrite,
  InteractionWrite,
  Outcome,
  SessionWrite,
  TokenWrite,
  UsedConsent,
} from './writes.ts';

/** What a lost race was about; who lost has written nothing of its outcome. */
export type Loss = 'revoked' | 'used' | 'session';

export interface CommitResult {
  readonly lost: Loss | undefined;
  /** The session id that this answer would set is the session's; if not, the answer sets no session cookie. */
  readonly sessionKept: boolean;
}

/** Work of a domain service that belongs into the request's commit. It does nothing but write. */
export type Enlisted = (db: Transaction<Schema>) => Promise<void>;

/**
 * One request, one transaction. Reads are answered from what the request has read or written; writes are held back
 * and committed once, before the answer leaves. What the client was told is on disk.
 */
export class UnitOfWork {
  readonly db: Database;
  /** The client the request names, so that a session brings the person's decision for it in the same read. */
  clientIdHint: string | undefined;

  readonly #families = new Map<string, FamilyRecord>();
  readonly #accounts = new Map<string, AccountRecord | undefined>();
  readonly #consents = new Map<string, ConsentRecord | undefined>();
  readonly #sessions = new Map<string, SessionRecord>();
  readonly #tokens = new Map<string, Promise<reads.TokenRead | undefined>>();
  /** Families of tokens that were presented again within their grace: dead if the repetition fails otherwise. */
  readonly #repeated = new Set<string>();

  readonly #consumed = new Map<string, { idHash: Buffer; graceSeconds: number }>();
  readonly #closedInteractions: Buffer[] = [];
  readonly #interactions = new Map<string, InteractionWrite>();
  readonly #familyWrites = new Map<string, FamilyWrite>();
  readonly #tokenWrites: TokenWrite[] = [];
  readonly #deletedTokens: Buffer[] = [];
  readonly #revokedJwts: { idHash: Buffer; expiresAt: Date }[] = [];
  readonly #outbox: OutboxWrite[] = [];
  readonly #outcomeAudit: ReturnType<typeof auditWrite>[] = [];
  readonly #alwaysAudit: ReturnType<typeof auditWrite>[] = [];
  readonly #killed = new Map<string, string>();
  readonly #enlisted: Enlisted[] = [];
  readonly #alongside: (() => Promise<unknown>)[] = [];
  readonly #interactionReads = new Map<string, reads.InteractionRead | undefined>();
  readonly #presentedJwts = new Map<string, PresentedJwt>();
  #browserSession: SessionRecord | undefined;
  #session: SessionWrite | undefined;
  #endedSession: string | undefined;
  #usedConsent: UsedConsent | undefined;
  #recorded: readonly AuditEvent[] = [];

  constructor(db: Database) {
    this.db = db;
  }

  // Reads

  /** A token by its id, with all that stands behind it; the same read for every model that asks. */
  findToken(id: string): Promise<reads.TokenRead | undefined> {
    let pending = this.#tokens.get(id);
    if (pending === undefined) {
      pending = reads.findToken(this.db, sha256(id)).then((read) => {
        if (read?.family) this.#families.set(read.family.id, read.family);
        if (read?.account) this.#accounts.set(read.account.id, read.account);
        if (read?.session) this.#sessions.set(read.session.uid, read.session);
        return read;
      });
      this.#tokens.set(id, pending);
    }
    return pending;
  }

  /** Stands in for a JWT access token whose signature was verified: the engine takes no JWT, but looks a handle up. */
  presentJwt(handle: string, jwt: PresentedJwt): void {
    this.#presentedJwts.set(handle, jwt);
  }

  presentedJwt(handle: string): PresentedJwt | undefined {
    return this.#presentedJwts.get(handle);
  }

  /** The same by the identifier in the JWT, which the engine knows the token by once it was found. */
  presentedJwtOf(jti: string): PresentedJwt | undefined {
    return [...this.#presentedJwts.values()].find((jwt) => jwt.jti === jti);
  }

  isMachineJwtLive(jti: string, clientId: string): Promise<boolean> {
    return reads.isMachineJwtLive(this.db, sha256(jti), clientId);
  }

  async findSession(id: string): Promise<SessionRecord | undefined> {
    this.#browserSession = this.#remember(
      await reads.findSession(this.db, sha256(id), this.clientIdHint),
    );
    return this.#browserSession;
  }

  async findSessionByUid(uid: string): Promise<SessionRecord | undefined> {
    return this.#sessions.get(uid) ?? this.#remember(await reads.findSessionByUid(this.db, uid));
  }

  /** The families of a session that this request has seen. */
  familiesOf(sessionUid: string): FamilyRecord[] {
    return [...this.#families.values()].filter((family) => family.sessionUid === sessionUid);
  }

  /** What `findSession` gave: the session of the browser that asks. */
  get browserSession(): SessionRecord | undefined {
    return this.#browserSession;
  }

  async findFamily(id: string): Promise<FamilyRecord | undefined> {
    const known = this.#families.get(id);
    if (known) return known;
    const read = await reads.findFamily(this.db, id);
    if (read) this.#families.set(id, read.family);
    if (read?.account) this.#accounts.set(read.account.id, read.account);
    return read?.family;
  }

  /** The family if this request has read or written it; a save does not go to the database for it. */
  findKnownFamily(id: string): FamilyRecord | undefined {
    return this.#families.get(id);
  }

  findKnownConsent(accountId: string, clientId: string): ConsentRecord | undefined {
    return this.#consents.get(consentKey(accountId, clientId));
  }

  async findAccount(id: string): Promise<AccountRecord | undefined> {
    if (!this.#accounts.has(id)) this.#accounts.set(id, await reads.findAccount(this.db, id));
    return this.#accounts.get(id);
  }

  async findConsent(accountId: string, clientId: string): Promise<ConsentRecord | undefined> {
    const key = consentKey(accountId, clientId);
    if (!this.#consents.has(key))
      this.#consents.set(key, await reads.findConsent(this.db, accountId, clientId));
    return this.#consents.get(key);
  }

  async findInteraction(id: string): Promise<reads.InteractionRead | undefined> {
    if (this.#interactionReads.has(id)) return this.#interactionReads.get(id);
    const read = await reads.findInteraction(this.db, sha256(id));
    this.#interactionReads.set(id, read);
    if (read === undefined) return undefined;
    if (read.session) this.#sessions.set(read.session.uid, read.session);
    if (read.account) {
      this.#accounts.set(read.account.id, read.account);
      const clientId = (read.payload.params as { client_id?: string } | undefined)?.client_id;
      if (clientId) this.#consents.set(consentKey(read.account.id, clientId), read.consent);
    }
    return read;
  }

  #remember(read: reads.SessionRead | undefined): SessionRecord | undefined {
    if (read === undefined) return undefined;
    this.#sessions.set(read.session.uid, read.session);
    if (read.family) this.#families.set(read.family.id, read.family);
    if (read.account) {
      this.#accounts.set(read.account.id, read.account);
      if (this.clientIdHint !== undefined)
        this.#consents.set(consentKey(read.account.id, this.clientIdHint), read.consent);
    }
    return read.session;
  }

  // Writes of the outcome

  addToken({ id, ...write }: Omit<TokenWrite, 'idHash'> & { readonly id: string }): void {
    this.#tokenWrites.push({ ...write, idHash: sha256(id) });
  }

  consumeToken(id: string, graceSeconds: number): void {
    this.#consumed.set(id, { idHash: sha256(id), graceSeconds });
  }

  deleteToken(id: string): void {
    this.#deletedTokens.push(sha256(id));
  }

  revokeJwt(jti: string, expiresAt: Date): void {
    this.#revokedJwts.push({ idHash: sha256(jti), expiresAt });
  }

  /** Starts a family, or changes what a living one holds; seen by later reads of this request. */
  saveFamily(write: FamilyWrite): void {
    this.#familyWrites.set(write.id, write);
    this.#families.set(write.id, {
      id: write.id,
      accountId: write.accountId,
      clientId: write.clientId,
      sessionUid: write.sessionUid,
      consentVersion: write.consentVersion,
      keyId: write.keyId,
      payload: write.payload,
      createdAt: new Date(),
      expiresAt: write.expiresAt,
      revoked: false,
    });
  }

  /** A change of id destroys the old id first: what is saved has not ended. */
  saveSession({ id, ...write }: Omit<SessionWrite, 'idHash'> & { readonly id: string }): void {
    this.#session = { ...write, idHash: sha256(id) };
    this.#endedSession = undefined;
  }

  endSession(uid: string): void {
    this.#endedSession = uid;
    this.#session = undefined;
  }

  saveInteraction(id: string, payload: InteractionWrite['payload'], expiresAt: Date): void {
    const exists = this.#interactionReads.get(id) !== undefined;
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

  enqueue(write: OutboxWrite): void {
    this.#outbox.push(write);
  }

  audit(event: AuditEvent): void {
    this.#outcomeAudit.push(auditWrite(event));
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
    const family = this.#families.get(grantId);
    this.auditAlways({
      type: 'family.revoked',
      outcome: 'success',
      accountId: family?.accountId,
      clientId: family?.clientId,
      grantId,
      reason,
    });
  }

  auditAlways(event: AuditEvent): void {
    this.#alwaysAudit.push(auditWrite(event));
  }

  /** Within its grace a used code looks unused; if the repetition then fails otherwise, its family dies. */
  noteRepetition(token: TokenRecord): void {
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
        ...(outcome !== undefined && (row === undefined || isWon(row)) ? this.#outcomeAudit : []),
      ];
      return row === undefined ? { lost: undefined, sessionKept: true } : await this.#settle(row);
    } catch (error) {
      if (error instanceof LostRace) {
        this.#recorded = this.#alwaysAudit;
        return this.#settle(error.row, true);
      }
      throw error;
    }
  }

  /** What the audit has of this request: nothing before the commit. */
  get recorded(): readonly AuditEvent[] {
    return this.#recorded;
  }

  async #write(outcome: Outcome | undefined): Promise<CommitRow | undefined> {
    const statement = commitStatement(outcome, {
      killed: [...this.#killed].map(([grantId, reason]) => ({ grantId, reason })),
      audit: this.#alwaysAudit,
    });
    if (outcome === undefined || this.#enlisted.length === 0) {
      return statement && (await this.db.run<CommitRow>(statement))[0];
    }
    return this.db.transaction(async (db) => {
      for (const work of this.#enlisted) await work(db);
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
    return { lost: !row.live ? 'revoked' : !row.unused ? 'used' : 'session', sessionKept: false };
  }

  #outcome(): Outcome {
    return {
      consumed: [...this.#consumed.values()],
      closedInteractions: this.#closedInteractions,
      interactions: [...this.#interactions.values()],
      session: this.#session,
      endedSession: this.#endedSession,
      families: [...this.#familyWrites.values()],
      tokens: this.#tokenWrites,
      deletedTokens: this.#deletedTokens,
      revokedJwts: this.#revokedJwts,
      usedConsent: this.#usedConsent,
      audit: this.#outcomeAudit,
      outbox: this.#outbox,
    };
  }
}

const consentKey = (accountId: string, clientId: string) => `${accountId} ${clientId}`;

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
