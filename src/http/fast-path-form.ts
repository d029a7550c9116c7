import type { IncomingMessage } from 'node:http';
import {
  type BasicCredentials,
  basicCredentials,
  hasSeveralAuthorizations,
  plainValue,
} from './credentials.ts';

/** What of a request is so plain that a fast path may read it by itself: the rest is the engine's to understand. */

/** Longer ones are rare, and none of them is in a hurry. */
const LONGEST_BODY = 8_192;

/** With any of these, more is asked than a plain answer, or more has to be checked. */
const unusualHeaders = [
  'transfer-encoding',
  'content-encoding',
  'expect',
  'origin',
  'dpop',
  'oauth-client-attestation',
  'oauth-client-attestation-pop',
] as const;

/** A form of a known length, from no page of another origin, with JSON for an answer. */
export function isPlainRequest({
  headers,
  rawHeaders,
}: Pick<IncomingMessage, 'headers' | 'rawHeaders'>): boolean {
  return (
    isForm(headers['content-type']) &&
    isShort(headers['content-length']) &&
    takesJson(headers.accept) &&
    unusualHeaders.every((name) => headers[name] === undefined) &&
    !hasSeveralAuthorizations(rawHeaders)
  );
}

const isForm = (type: string | undefined) =>
  type === 'application/x-www-form-urlencoded' ||
  (type !== undefined && /^application\/x-www-form-urlencoded(; ?charset=utf-8)?$/i.test(type));

const isShort = (length: string | undefined) =>
  length !== undefined && /^[1-9]\d{0,3}$/.test(length) && Number(length) <= LONGEST_BODY;

const takesJson = (accept: string | undefined) =>
  accept === undefined ||
  accept === '*/*' ||
  accept === 'application/json' ||
  /^(application\/json|\*\/\*)(, ?(application\/json|text\/plain|\*\/\*))*$/.test(accept);

/**
 * The fields of a form, if each came once, is known and not empty, and is made of printable ASCII in a spelling that
 * every parser reads in the same way.
 */
export function plainForm(
  text: string,
  known: ReadonlySet<string>,
): ReadonlyMap<string, string> | undefined {
  const form = new Map<string, string>();
  for (const pair of text.split('&')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at);
    if (at < 1 || !known.has(name) || form.has(name)) return undefined;
    const value = plainValue(pair.slice(at + 1));
    if (value === undefined) return undefined;
    form.set(name, value);
  }
  return form;
}

/** The client's id and secret (RFC 6749, section 2.3.1), if they came in one place, and there as they should. */
export function plainCredentials(
  authorization: string | undefined,
  form: ReadonlyMap<string, string>,
): BasicCredentials | undefined {
  const clientId = form.get('client_id');
  const clientSecret = form.get('client_secret');
  if (authorization === undefined)
    return clientId === undefined || clientSecret === undefined
      ? undefined
      : { clientId, clientSecret };
  if (clientSecret !== undefined) return undefined;
  const basic = basicCredentials(authorization);
  return clientId === undefined || basic?.clientId === clientId ? basic : undefined;
}
