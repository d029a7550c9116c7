import type { AuditWrite } from '../audit/audit.ts';
import type { OutboxWrite } from '../outbox/outbox.ts';
import type { PolledOutcome } from './polled-requests.ts';
import type { Payload, SessionClientRecord, TokenKind } from './records.ts';

/** What a request holds back until its commit. */

export interface TokenWrite {
  readonly idHash: Buffer;
  readonly kind: TokenKind;
  readonly grantId: string | undefined;
  readonly clientId: string;
  readonly accountId: string | undefined;
  readonly sessionUid: string | undefined;
  readonly payload: Payload | undefined;
  readonly expiresAt: Date;
}

/** A token that was revoked by itself. */
export interface RevokedWrite {
  readonly idHash: Buffer;
  readonly expiresAt: Date;
  /** Nobody has to be told of it: it matters to what was made from it. */
  readonly opaque: boolean;
}

export interface FamilyWrite {
  readonly id: string;
  /** It is there already: only its payload and consent version change. */
  readonly exists: boolean;
  readonly accountId: string;
  readonly clientId: string;
  readonly sessionUid: string | undefined;
  readonly consentVersion: number | undefined;
  readonly payload: Payload;
  readonly offline: boolean;
  readonly keyId: string;
  readonly expiresAt: Date;
}

export interface SessionWrite {
  readonly uid: string;
  readonly exists: boolean;
  /** Found by its previous id: only its clients are written, the row stays. */
  readonly readOnly: boolean;
  /** Somebody signs in with this change: then it goes through only on the very id that was read. */
  readonly signIn: boolean;
  readonly loadedIdHash: Buffer;
  readonly idHash: Buffer;
  readonly accountId: string | undefined;
  readonly payload: Payload;
  readonly expiresAt: Date;
  readonly clients: Readonly<Record<string, SessionClientRecord>>;
  readonly removedClients: readonly string[];
}

export interface InteractionWrite {
  /** It was read: then it is only changed, and one that was finished or ended meanwhile never comes back. */
  readonly exists: boolean;
  readonly idHash: Buffer;
  readonly payload: Payload;
  readonly expiresAt: Date;
}

/** An authorization request that a client has pushed (RFC 9126). */
export interface PushedRequestWrite {
  readonly idHash: Buffer;
  readonly clientId: string;
  readonly payload: Payload;
  readonly expiresAt: Date;
}

/** The decision that the outcome rests on, as it was read. */
export interface UsedConsent {
  readonly id: string;
  readonly version: number;
}

/** What every token of the outcome is made from (RFC 8693), and with what each of them ends. */
export interface Sources {
  /** How many exchanges are behind the tokens then. */
  readonly generation: number;
  readonly tokens: readonly TokenSource[];
}

export interface TokenSource {
  readonly idHash: Buffer;
  readonly clientId: string;
  readonly issuedAt: Date;
}

/** A code or refresh token that is used up, by the hash of its id. */
export interface Consumed {
  readonly idHash: Buffer;
  /** Within so many seconds after its first use it counts as unused. */
  readonly graceSeconds: number;
  /** The refresh token that follows it: there is no grace once that one was used. */
  readonly successor: Buffer | undefined;
}

/** What stands only if the request came out well. */
export interface Outcome {
  readonly consumed: readonly Consumed[];
  readonly closedInteractions: readonly Buffer[];
  readonly interactions: readonly InteractionWrite[];
  readonly session: SessionWrite | undefined;
  readonly families: readonly FamilyWrite[];
  readonly tokens: readonly TokenWrite[];
  readonly sources: Sources | undefined;
  readonly deletedTokens: readonly Buffer[];
  readonly revokedTokens: readonly RevokedWrite[];
  readonly usedConsent: UsedConsent | undefined;
  readonly pushed: PushedRequestWrite | undefined;
  /** By its hash: whoever answers it first has used it up. */
  readonly usedPushed: Buffer | undefined;
  readonly polled: PolledOutcome | undefined;
  readonly outbox: readonly OutboxWrite[];
  readonly audit: readonly AuditWrite[];
}

/** What is written whatever came of the request. */
export interface Always {
  readonly killed: readonly { readonly grantId: string; readonly reason: string }[];
  readonly audit: readonly AuditWrite[];
}
