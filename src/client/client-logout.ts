import { z } from 'zod';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { checkCalledUri } from './called-uri.ts';
import { hasGrantType } from './client-grants.ts';
import type { Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

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
  metadata: Metadata,
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

/** @throws AppError `invalid_client`, with the reason in words. */
export function checkLogout(metadata: Metadata, allow: OutboundAllow): void {
  const uri = metadata[URI];
  if (typeof uri !== 'string') {
    if (metadata[SESSION_REQUIRED] !== undefined)
      refuse('A client that needs a session in its logout tokens needs a back-channel logout URI.');
    return;
  }
  if (!hasGrantType(metadata, 'authorization_code'))
    refuse('Only a client that people sign in to has a back-channel logout URI.');
  checkCalledUri('The back-channel logout URI', uri, allow);
}
