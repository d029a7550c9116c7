import {
  type BasicCredentials,
  parseAuthorization,
  parseBasic,
} from '../../resource-server/authorization-header.ts';

export type { BasicCredentials } from '../../resource-server/authorization-header.ts';

/** The client's id and secret in an `Authorization: Basic` header. */
export function basicCredentials(authorization: string): BasicCredentials | undefined {
  const header = parseAuthorization(authorization);
  return header?.scheme === 'basic' ? parseBasic(header.value) : undefined;
}

/**
 * Whether a request has several `Authorization` headers. Node's `headers` has only the first of them; in `rawHeaders`, names
 * and values alternate.
 */
export function hasSeveralAuthorizations(rawHeaders: readonly string[]): boolean {
  let found = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 13 && name.toLowerCase() === 'authorization') found++;
  }
  return found > 1;
}

/** A value of a form, percent-encoded or not, of printable ASCII only, and not empty. */
export function plainValue(text: string): string | undefined {
  if (/^[A-Za-z0-9._~-]+$/.test(text)) return text;
  if (!/^([A-Za-z0-9._~*+:/-]|%[2-7][0-9A-Fa-f])+$/.test(text)) return undefined;
  const value = decodeURIComponent(text.replaceAll('+', ' '));
  return value.includes('\x7f') ? undefined : value;
}
