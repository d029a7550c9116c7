import type { Shown } from '../client/client.ts';
import type { Permissions } from '../db/schema.ts';

/** The plain records that the unit of work reads and writes: rows as the protocol sees them. */

export type Payload = Record<string, unknown>;

/** The kinds of rows in `tokens`; `jwt` is the slim row of a person's JWT access token. */
export type TokenKind = 'access' | 'machine' | 'refresh' | 'code' | 'jwt';

export interface AccountRecord {
  readonly id: string;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly name: string | undefined;
  readonly locale: string | undefined;
  readonly admin: boolean;
  /** What an operator has given it: its groups, to apps. */
  readonly roles: readonly string[];
  readonly disabled: boolean;
  readonly updatedAt: Date;
}

/** A token family as it is stored. */
export interface FamilyRecord {
  readonly id: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly sessionUid: string | undefined;
  readonly consentVersion: number | undefined;
  readonly keyId: string;
  readonly payload: Payload;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** By the database's clock, when it was read. */
  readonly expired: boolean;
  readonly revoked: boolean;
}

export interface ConsentRecord {
  readonly id: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly granted: Permissions;
  readonly rejected: Permissions;
  readonly version: number;
  /** What the person was shown of the client; null for decisions from before this was kept. */
  readonly shown: Shown | null;
}

/** A client's part in a session. */
export interface SessionClientRecord {
  readonly sid: string;
  readonly grantId?: string;
  readonly persistsLogout?: boolean;
}

export interface SessionRecord {
  readonly uid: string;
  readonly idHash: Buffer;
  readonly accountId: string | undefined;
  readonly payload: Payload;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** By the database's clock, when it was read. */
  readonly expired: boolean;
  readonly clients: Readonly<Record<string, SessionClientRecord>>;
  /** Found by the id it had before its last change: it may be read, and nothing else. */
  readonly byPreviousId: boolean;
}

export interface TokenRecord {
  readonly kind: TokenKind;
  readonly payload: Payload | undefined;
  readonly grantId: string | undefined;
  readonly clientId: string;
  readonly accountId: string | undefined;
  readonly sessionUid: string | undefined;
  /** How many exchanges are behind it (RFC 8693). */
  readonly generation: number;
}

/** A token as it is stored, and what that is worth now. */
export interface TokenWorth {
  readonly token: TokenRecord;
  /** It would be taken by whoever it is for: see `live` in reads.ts, the one place that decides it. */
  readonly live: boolean;
  /** The address of its person, where the person let the client have it. */
  readonly username: string | undefined;
  /** Of its client's pairwise subjects; undefined where they are public. */
  readonly sector: string | undefined;
  /** Of its person. */
  readonly roles: readonly string[];
}

/** A verified JWT access token of ours: whose it is, and what it says besides. */
export interface PresentedJwt {
  readonly kind: 'access' | 'machine';
  readonly jti: string;
  readonly clientId: string;
  /** Who its person is for the client; undefined for a machine's. */
  readonly subject: string | undefined;
  /** Epoch seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly claims: Readonly<Record<string, unknown>>;
}
