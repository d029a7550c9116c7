import { z } from 'zod';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';
import { checkCalledUri } from './called-uri.ts';
import { CIBA, hasGrantType } from './client-grants.ts';
import { canVerify } from './client-keys.ts';
import { isPublic, type Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/** How a client learns of an answer that it has asked a person for (CIBA Core, section 4); RFC 7591's metadata. */
export const clientCibaSchema = z.object({
  /** It polls, or is told by a ping that there is something to fetch; it polls unless told. */
  cibaDelivery: z.enum(['poll', 'ping']).optional(),
  /** Where the ping goes. Null takes it away. */
  cibaNotificationEndpoint: z.string().max(2000).nullable().optional(),
  /** Its requests are signed, by this algorithm. Null lets it send them as they are. */
  cibaSigningAlg: z.enum(signingAlgs).nullable().optional(),
});
export type ClientCiba = z.output<typeof clientCibaSchema>;

const DELIVERY = 'backchannel_token_delivery_mode';
const ENDPOINT = 'backchannel_client_notification_endpoint';
const SIGNING = 'backchannel_authentication_request_signing_alg';

/** The metadata with what is said; where it is no matter of the client any more, nothing of it stays. */
export function withCiba(metadata: Metadata, said: ClientCiba): Record<string, unknown> {
  const next: Record<string, unknown> = { ...metadata };
  const ofIt = [said.cibaDelivery, said.cibaNotificationEndpoint, said.cibaSigningAlg];
  if (!hasGrantType(next, CIBA) && ofIt.every((value) => value === undefined || value === null)) {
    for (const name of [DELIVERY, ENDPOINT, SIGNING]) delete next[name];
    return next;
  }
  const given = {
    [DELIVERY]: said.cibaDelivery ?? next[DELIVERY] ?? 'poll',
    [ENDPOINT]: said.cibaNotificationEndpoint,
    [SIGNING]: said.cibaSigningAlg,
  };
  for (const [name, value] of Object.entries(given)) {
    if (value === null) delete next[name];
    else if (value !== undefined) next[name] = value;
  }
  return next;
}

/**
 * Whether what is said of it fits the rest of the client.
 * @throws AppError `invalid_client`, with the reason in words.
 */
export function checkCiba(metadata: Metadata): void {
  const { [DELIVERY]: delivery, [ENDPOINT]: endpoint, [SIGNING]: alg } = metadata;
  if (!hasGrantType(metadata, CIBA)) {
    if (delivery !== undefined || endpoint !== undefined || alg !== undefined)
      refuse(`Only a client with the grant type ${CIBA} learns of answers.`);
    return;
  }
  if (isPublic(metadata)) refuse('A public client asks nobody: anybody could ask in its name.');
  if (delivery === 'ping' && endpoint === undefined)
    refuse('A client that is pinged needs a notification endpoint.');
  if (delivery !== 'ping' && endpoint !== undefined)
    refuse('Only a client that is pinged has a notification endpoint.');
  if (typeof alg === 'string' && !canVerify(metadata, [alg]))
    refuse('Signed requests need a public key of the client that fits their algorithm (jwks).');
}

/**
 * Checks the URI that the server itself will call.
 * @throws AppError `invalid_client`, with the reason in words.
 */
export function checkCibaEndpoint({ [ENDPOINT]: endpoint }: Metadata, allow: OutboundAllow): void {
  if (typeof endpoint !== 'string') return;
  // Nothing else will do (CIBA Core, section 4), wherever it is.
  if (!endpoint.startsWith('https://'))
    refuse(
      `The notification endpoint ${JSON.stringify(endpoint)} is refused: it is not an https URL.`,
    );
  checkCalledUri('The notification endpoint', endpoint, allow);
}
