import type { AccountRecord, FamilyRecord, Payload, SessionRecord } from './records.ts';

/**
 * Requests that a program makes and a person answers elsewhere: device authorization (RFC 8628) and CIBA (OpenID Connect
 * Client-Initiated Backchannel Authentication Core 1.0). The program polls the token endpoint until there is an answer. Both
 * are one table, and both are answered by the same way: see polled-start.ts.
 */

export type PolledKind = 'device' | 'ciba';

/** What each kind is to the engine, and how what the program holds begins. */
export const polledKinds = {
  device: { model: 'DeviceCode', prefix: 'vs_dc_' },
  ciba: { model: 'BackchannelAuthenticationRequest', prefix: 'vs_ci_' },
} as const;

/** Seconds between polls (RFC 8628, section 3.5; CIBA Core, section 7.3). */
export const POLL_INTERVAL = 5;

/** What our own pages and interactions know a request by. It is no secret: nobody gets anything for it. */
export const handlePrefix = 'pr_';
export const isHandle = (id: string) => id.startsWith(handlePrefix);

/** What is sealed beside a request, and gone with its answer. */
export interface PolledSecrets {
  /** Normalised; shown to the person again, to be compared. */
  readonly userCode?: string;
  /** What the client is pinged with, and by which token it knows us. */
  readonly ping?: { readonly authReqId: string; readonly token: string };
}

/** What the secrets of a request are sealed for. */
export const sealedPlace = (id: string) => `polled_requests:${id}`;

/** A request as the person's side of it sees it. */
export interface AskedRequest {
  readonly id: string;
  readonly kind: PolledKind;
  readonly clientId: string;
  /** Whom CIBA asks; undefined where there is nobody by that address, who then never answers. */
  readonly accountId: string | undefined;
  readonly payload: Payload;
  readonly secretsSealed: Buffer | undefined;
  readonly isPending: boolean;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** By the database's clock, when it was read. */
  readonly expired: boolean;
}

/** A request as the program that polls sees it, with all that stands behind its answer. */
export interface PolledRead {
  readonly clientId: string;
  readonly accountId: string | undefined;
  readonly grantId: string | undefined;
  readonly payload: Payload;
  readonly answer: Payload | undefined;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** By the database's clock, when it was read. */
  readonly expired: boolean;
  /** This poll came before its time. */
  readonly isEarly: boolean;
  /** Seconds since its answer was taken, by the database's clock; undefined while it was not. */
  readonly consumedAge: number | undefined;
  readonly account: AccountRecord | undefined;
  readonly family: FamilyRecord | undefined;
  readonly session: SessionRecord | undefined;
}

export interface NewPolledRequest {
  readonly id: string;
  readonly kind: PolledKind;
  readonly idHash: Buffer;
  readonly userCodeMac: Buffer | undefined;
  readonly linkHash: Buffer | undefined;
  readonly clientId: string;
  readonly accountId: string | undefined;
  readonly payload: Payload;
  readonly secretsSealed: Buffer | undefined;
  readonly expiresAt: Date;
}

/** What a person has answered. */
export interface PolledAnswer {
  readonly id: string;
  readonly state: 'approved' | 'denied';
  /** Who has; of CIBA only the one who was asked may. */
  readonly accountId: string | undefined;
  readonly grantId: string | undefined;
  /** Set where what it leads to ends with the session. */
  readonly sessionUid: string | undefined;
  readonly answer: Payload;
}

/** What a request leaves behind of these. */
export interface PolledOutcome {
  readonly added: readonly NewPolledRequest[];
  readonly answered: readonly PolledAnswer[];
  /** Hashes of what was taken to the token endpoint. */
  readonly consumed: readonly Buffer[];
}
