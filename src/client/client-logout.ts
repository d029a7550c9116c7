import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { findCalledUriProblem } from './called-uri.ts';

/** Where a client is told that a session of its people has ended (OpenID Connect Back-Channel Logout 1.0). */
export const clientLogoutSchema = z.object({
  /** Null takes it away. */
  backchannelLogoutUri: z.string().max(2000).nullable().optional(),
  /** Whether it can do nothing with a logout token that names no session; ours always name one. */
  backchannelLogoutSessionRequired: z.boolean().optional(),
});
export type ClientLogout = z.output<typeof clientLogoutSchema>;

/** Whether anything is said of it. */
export function saysLogout(said: ClientLogout): boolean {
  return (
    said.backchannelLogoutUri !== undefined || said.backchannelLogoutSessionRequired !== undefined
  );
}

const URI = 'backchannel_logout_uri';
const SESSION_REQUIRED = 'backchannel_logout_session_required';

/** The metadata with what is said. */
export function withLogout(
  metadata: Readonly<Record<string, unknown>>,
  { backchannelLogoutUri: uri, backchannelLogoutSessionRequired: sessionRequired }: ClientLogout,
): Record<string, unknown> {
  const next: Record<string, unknown> = { ...metadata };
  if (uri === null) {
    delete next[URI];
    delete next[SESSION_REQUIRED];
  }
  if (typeof uri === 'string')
    Object.assign(next, { [SESSION_REQUIRED]: true, ...next, [URI]: uri });
  if (sessionRequired !== undefined) next[SESSION_REQUIRED] = sessionRequired;
  return next;
}

/**
 * Checks the URI that the server itself will call: https, in its plain form, without fragment and user information, and
 * not on an inside host, unless the operator has listed it.
 * @throws AppError `invalid_client`, with the reason in words.
 */
export function checkLogout(
  metadata: Readonly<Record<string, unknown>>,
  allow: OutboundAllow,
): void {
  const uri = metadata[URI];
  if (typeof uri !== 'string') {
    if (metadata[SESSION_REQUIRED] !== undefined)
      refuse('A client that needs a session in its logout tokens needs a back-channel logout URI.');
    return;
  }
  if (!(metadata.grant_types as readonly string[]).includes('authorization_code'))
    refuse('Only a client that people sign in to has a back-channel logout URI.');
  const reason = findCalledUriProblem(uri, allow);
  if (reason !== undefined)
    refuse(`The back-channel logout URI ${JSON.stringify(uri)} is refused: ${reason}.`);
}

function refuse(reason: string): never {
  throw new AppError('invalid_client', reason, { status: 400 });
}
