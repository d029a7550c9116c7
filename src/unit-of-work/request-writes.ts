import type { Transaction } from 'kysely';
import { type AuditEvent, type AuditOrigin, auditWrite } from '../audit/audit.ts';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { sha256 } from '../lib/hash.ts';
import type { OutboxWrite } from '../outbox/outbox.ts';
import { PolledUnit } from './polled-unit.ts';
import { PushedRequests } from './pushed-ids.ts';
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

/** Work of a domain service that belongs into the request's commit. It does nothing but write. */
export type Enlisted = (db: Transaction<Schema>) => Promise<void>;

/** The writes that a request holds back until its commit, and drops where it fails. */
export class RequestWrites extends RequestReads {
  readonly pushed = new PushedRequests();
  readonly polled: PolledUnit;
  protected readonly origin: AuditOrigin;

  readonly #consumed = new Map<string, Consumed>();
  readonly #closedInteractions: Buffer[] = [];
  readonly #interactions = new Map<string, InteractionWrite>();
  readonly #familyWrites = new Map<string, FamilyWrite>();
  readonly #tokenWrites: TokenWrite[] = [];
  readonly #deletedTokens: Buffer[] = [];
  readonly #revokedTokens: RevokedWrite[] = [];
  readonly #audit: ReturnType<typeof auditWrite>[] = [];
  readonly #outbox: OutboxWrite[] = [];
  readonly #enlisted: Enlisted[] = [];
  readonly #alongside: (() => Promise<unknown>)[] = [];
  #session: SessionWrite | undefined;
  #endSession: Enlisted | undefined;
  #sources: Sources | undefined;
  #usedConsent: UsedConsent | undefined;

  constructor(db: Database, origin: AuditOrigin) {
    super(db);
    this.origin = origin;
    this.polled = new PolledUnit(db);
  }

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
    this.#audit.push(auditWrite({ ...this.origin, ...event }));
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

  /** All writes of the outcome but those that are enlisted. */
  protected outcome(): Outcome {
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
      audit: this.#audit,
    };
  }

  protected get hasOutbox(): boolean {
    return this.#outbox.length > 0;
  }

  /** The enlisted work, the end of the session first. */
  protected enlisted(): Enlisted[] {
    return [...(this.#endSession === undefined ? [] : [this.#endSession]), ...this.#enlisted];
  }

  /** Starts the work that `alongside` took, once. It never rejects. */
  protected startAlongside(): Promise<unknown> {
    return Promise.allSettled(this.#alongside.splice(0).map((work) => work()));
  }
}
