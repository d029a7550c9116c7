import type { OutboundAllow } from '../outbound/outbound.ts';

/**
 * Why a URI may not be one that the server itself calls, in words: it has to be https, in its plain form, without fragment
 * and user information, and not on an inside host, unless the operator has listed it. Undefined where it may.
 */
export function findCalledUriProblem(uri: string, allow: OutboundAllow): string | undefined {
  if (!URL.canParse(uri)) return 'it is not an absolute URI';
  const url = new URL(uri);
  if (uri.includes('#')) return 'it has a fragment';
  // What the parser puts right by itself is nothing that somebody meant.
  if (url.href !== uri && url.href !== `${uri}/`)
    return `it is not in its plain form, which is ${url.href}`;
  return allow.findProblem(url);
}
