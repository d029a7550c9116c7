/** A client's credentials in the spelling that every parser reads in the same way; any other is for the engine to judge. */

export interface BasicCredentials {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** The client's id and secret in an `Authorization: Basic` header (RFC 6749, section 2.3.1). */
export function basicCredentials(authorization: string): BasicCredentials | undefined {
  // Whole groups of Base64, padded.
  const encoded = /^Basic ((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/i.exec(
    authorization,
  )?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('latin1');
  const at = text.indexOf(':');
  if (at < 1) return undefined;
  const clientId = plainValue(text.slice(0, at));
  const clientSecret = plainValue(text.slice(at + 1));
  return clientId === undefined || clientSecret === undefined
    ? undefined
    : { clientId, clientSecret };
}

/** A value of a form, percent-encoded or not, of printable ASCII alone, and not empty. */
export function plainValue(text: string): string | undefined {
  if (/^[A-Za-z0-9._~-]+$/.test(text)) return text;
  if (!/^([A-Za-z0-9._~*+:/-]|%[2-7][0-9A-Fa-f])+$/.test(text)) return undefined;
  const value = decodeURIComponent(text.replaceAll('+', ' '));
  return value.includes('\x7f') ? undefined : value;
}
