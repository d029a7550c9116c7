import type { OutboundAllow } from '../outbound/outbound.ts';
import { refuse } from './refusal.ts';

/**
 * Checks a URI that the server itself will call: it has to be https, in its plain form, without fragment and user
 * information, and not on an inside host, unless the operator has listed it.
 * @param what as the reason names it
 * @throws AppError `invalid_client`, with the reason in words.
 */
export function checkCalledUri(what: string, uri: string, allow: OutboundAllow): void {
  const problem = allow.findUriProblem(uri);
  if (problem !== undefined) refuse(`${what} ${JSON.stringify(uri)} is refused: ${problem}.`);
}
