import { randomToken } from '../lib/hash.ts';

/** What the audit records; the stable names that exports and queries rely on. */
export type AuditType =
  | 'account.created'
  | 'account.disabled'
  | 'account.enabled'
  | 'account.email_verified'
  | 'account.factor_reset'
  | 'authenticator.added'
  | 'client.authentication'
  | 'client.created'
  | 'client.disabled'
  | 'client.enabled'
  | 'client.secret_added'
  | 'consent.denied'
  | 'consent.granted'
  | 'consent.removed'
  | 'family.revoked'
  | 'family.started'
  | 'keys.rotated'
  | 'recovery_codes.generated'
  | 'resource_server.created'
  | 'session.ended'
  | 'session.started'
  | 'sign_in'
  | 'token.refused';

export interface AuditEvent {
  readonly type: AuditType;
  readonly outcome: 'success' | 'refused';
  readonly accountId?: string | undefined;
  readonly clientId?: string | undefined;
  readonly grantId?: string | undefined;
  /** Who did it, where it was not the account itself: `cli`, or an administrator's account id. */
  readonly actor?: string | undefined;
  readonly requestId?: string | undefined;
  /** A stable word for why it was refused; never anything the caller sent. */
  readonly reason?: string | undefined;
  readonly data?: Record<string, unknown> | undefined;
  /** Personal; kept in a row beside the event, which erasure removes. */
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly email?: string | undefined;
}

export interface AuditWrite extends AuditEvent {
  readonly id: string;
}

/** Gives the event its id. */
export function auditWrite(event: AuditEvent): AuditWrite {
  return { ...event, id: randomToken(16), userAgent: event.userAgent?.slice(0, 300) };
}
