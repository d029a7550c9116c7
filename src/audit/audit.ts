import { randomToken } from '../lib/hash.ts';

/** What the audit records; the stable names that exports and queries rely on. */
export type AuditType =
  | 'account.created'
  | 'account.disabled'
  | 'account.enabled'
  | 'account.email_verified'
  | 'account.factor_reset'
  | 'account.registration'
  | 'account.roles_changed'
  | 'account.signed_out'
  | 'authenticator.added'
  | 'ciba.requested'
  | 'client.authentication'
  | 'client.changed'
  | 'client.created'
  | 'client.deleted'
  | 'client.disabled'
  | 'client.enabled'
  | 'client.registration'
  | 'client.secret_added'
  | 'client.tokens_revoked'
  | 'consent.denied'
  | 'consent.granted'
  | 'consent.removed'
  | 'database.backed_up'
  | 'database.restored'
  | 'device.code'
  | 'exchange.rule_added'
  | 'exchange.rule_removed'
  | 'family.revoked'
  | 'family.started'
  | 'gateway.rule_added'
  | 'gateway.rule_removed'
  | 'initial_access_token.created'
  | 'initial_access_token.revoked'
  | 'instance.issuer_changed'
  | 'issuer.added'
  | 'issuer.removed'
  | 'issuer.subject_added'
  | 'issuer.subject_removed'
  | 'keys.created'
  | 'keys.deleted'
  | 'keys.removed'
  | 'keys.resealed'
  | 'keys.rotated'
  | 'recovery_codes.generated'
  | 'recovery_codes.used'
  | 'request.refused'
  | 'resource_server.changed'
  | 'resource_server.created'
  | 'resource_server.deleted'
  | 'resource_server.detail_type_added'
  | 'resource_server.detail_type_changed'
  | 'resource_server.detail_type_removed'
  | 'session.ended'
  | 'setup.link_issued'
  | 'sign_in'
  | 'token.asserted'
  | 'token.exchanged'
  | 'token.refused'
  | 'token.revoked';

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

/** Whence an action came: who did it where it was not the account itself, and the request that it came by. */
export type AuditOrigin = Pick<AuditEvent, 'actor' | 'requestId' | 'address' | 'userAgent'>;

/** Who acts for somebody else: `cli`, an administrator's account id, or either with the request it came by. */
export type Actor = string | (AuditOrigin & { readonly actor: string });

/** What an event of this actor's holds of its origin. */
export function originOf(actor: Actor): AuditOrigin {
  return typeof actor === 'string' ? { actor } : actor;
}

export interface AuditWrite extends AuditEvent {
  readonly id: string;
}

/** Gives the event its id. */
export function auditWrite(event: AuditEvent): AuditWrite {
  return { ...event, id: randomToken(16), userAgent: event.userAgent?.slice(0, 300) };
}
