/**
 * The `Authorization` header field (RFC 9110, section 11.6.2). The server and this library both parse it here, so that no
 * request means one thing to the server and another to an API. The file imports nothing.
 */

export interface AuthorizationHeader {
  /** In lower case, since schemes are case-insensitive. */
  readonly scheme: string;
  /** What follows the scheme; empty if nothing does. */
  readonly value: string;
}

/** A scheme, one or more spaces, and the rest (section 11.4). Undefined for anything else. */
export function parseAuthorization(field: string): AuthorizationHeader | undefined {
  const [, scheme, value = ''] = /^([\w!#$%&'*+.^`|~-]+)(?: +(.*))?$/.exec(field) ?? [];
  return scheme === undefined ? undefined : { scheme: scheme.toLowerCase(), value };
}

/** Whether the value is one token: the `token68` of section 11.2, which is also what RFC 6750 calls `b64token`. */
export const isToken68 = (value: string): boolean => /^[\w.~+/-]+=*$/.test(value);

export interface BasicCredentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/**
 * The client's id and secret in the value of `Basic` (RFC 7617; RFC 6749, section 2.3.1): Base64, with or without padding,
 * of two form-encoded texts with a colon between them. Undefined for anything else, and if one of the two is empty.
 */
export function parseBasic(value: string): BasicCredentials | undefined {
  if (!isBase64(value)) return undefined;
  const text = Buffer.from(value, 'base64').toString('utf8');
  const at = text.indexOf(':');
  const clientId = at < 1 ? undefined : formDecode(text.slice(0, at));
  const clientSecret = at < 1 ? undefined : formDecode(text.slice(at + 1));
  return clientId === undefined || clientSecret === undefined
    ? undefined
    : { clientId, clientSecret };
}

/** Whole groups of four characters; the last one may lack its padding, but never has a part of it. */
const isBase64 = (value: string) =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/.test(value);

/** Of printable ASCII, as RFC 6749 (appendix A) has it, and not empty. */
function formDecode(text: string): string | undefined {
  try {
    const decoded = decodeURIComponent(text.replaceAll('+', '%20'));
    return /^[\x20-\x7e]+$/.test(decoded) ? decoded : undefined;
  } catch {
    return undefined;
  }
}

/** The same credentials as a header value, in the one spelling that every parser reads alike. */
export function writeBasic({ clientId, clientSecret }: BasicCredentials): string {
  const text = [clientId, clientSecret].map(encodeURIComponent).join(':');
  return `Basic ${Buffer.from(text).toString('base64')}`;
}
