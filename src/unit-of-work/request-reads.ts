import type { Database } from '../db/database.ts';
import { sha256 } from '../lib/hash.ts';
import { kindOf, type LiveToken, liveJwt, liveOpaque } from './live-token.ts';
import { type Poll, pollRequest } from './polled-reads.ts';
import type { PolledRead } from './polled-requests.ts';
import * as reads from './reads.ts';
import type { Subjects } from './subjects.ts';
import { findToken, isMachineJwtLive, type TokenRead } from './token-reads.ts';
import type {
  AccountRecord,
  ConsentRecord,
  FamilyRecord,
  PresentedJwt,
  SessionRecord,
} from './records.ts';

/** What a request has read is not read again: each read brings along what is asked for next, and that is remembered. */
export class RequestReads {
  readonly db: Database;
  /** The client the request names, so that a session brings the person's decision for it in the same read. */
  clientIdHint: string | undefined;

  readonly #families = new Map<string, FamilyRecord>();
  readonly #accounts = new Map<string, AccountRecord | undefined>();
  readonly #consents = new Map<string, ConsentRecord | undefined>();
  readonly #sessions = new Map<string, SessionRecord>();
  readonly #tokens = new Map<string, Promise<TokenRead | undefined>>();
  readonly #interactionReads = new Map<string, reads.InteractionRead | undefined>();
  readonly #presentedJwts = new Map<string, PresentedJwt>();
  readonly #machineJwts = new Map<string, Promise<boolean>>();
  #browserSession: SessionRecord | undefined;

  constructor(db: Database) {
    this.db = db;
  }

  /** A token by its id, with all that stands behind it; the same read for every model that asks. */
  findToken(id: string): Promise<TokenRead | undefined> {
    let pending = this.#tokens.get(id);
    if (pending === undefined) {
      pending = findToken(this.db, sha256(id)).then((read) => {
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

  isMachineJwtLive(jwt: PresentedJwt): Promise<boolean> {
    let pending = this.#machineJwts.get(jwt.jti);
    if (pending === undefined) {
      pending = isMachineJwtLive(this.db, sha256(jwt.jti), jwt);
      this.#machineJwts.set(jwt.jti, pending);
    }
    return pending;
  }

  /** What the token that was presented is worth, a JWT by its handle; from the same read as the models that asked for it. */
  async findLiveToken(presented: string, subjects: Subjects): Promise<LiveToken | undefined> {
    const jwt = this.presentedJwt(presented);
    if (jwt?.kind === 'machine')
      return (await this.isMachineJwtLive(jwt)) ? liveJwt(jwt, undefined, subjects) : undefined;
    if (jwt !== undefined) return liveJwt(jwt, await this.findToken(jwt.jti), subjects);
    const kind = kindOf(presented);
    if (kind === undefined) return undefined;
    const worth = await this.findToken(presented);
    return liveOpaque({ value: presented, kind }, worth, subjects);
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

  /** The account if this request has read it. */
  findKnownAccount(id: string): AccountRecord | undefined {
    return this.#accounts.get(id);
  }

  /** One that was found by another way is not read again. */
  rememberAccount(account: AccountRecord): void {
    this.#accounts.set(account.id, account);
  }

  /** Counts a poll; gives what is polled for, with all that stands behind its answer. */
  async pollRequest(poll: Poll): Promise<PolledRead | undefined> {
    const read = await pollRequest(this.db, poll);
    if (read?.family) this.#families.set(read.family.id, read.family);
    if (read?.account) this.#accounts.set(read.account.id, read.account);
    if (read?.session) this.#sessions.set(read.session.uid, read.session);
    return read;
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

  /** Whether this request has found the interaction. */
  protected hasReadInteraction(id: string): boolean {
    return this.#interactionReads.get(id) !== undefined;
  }

  /** A family that this request has started or changed is what its later reads find. */
  protected rememberFamily(family: FamilyRecord): void {
    this.#families.set(family.id, family);
  }
}

const consentKey = (accountId: string, clientId: string) => `${accountId} ${clientId}`;
