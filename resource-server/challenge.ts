/** The values of `WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750, section 3; RFC 9449, section 7.1). */

export type Scheme = 'Bearer' | 'DPoP';

/** Named parameters in the order in which they are sent; those that are undefined are left out. */
export type ChallengeParameters = Readonly<Record<string, string | undefined>>;

/** A challenge whose every parameter is a well-formed quoted string, whatever it was made of. */
export function formatChallenge(scheme: Scheme, parameters: ChallengeParameters): string {
  const written = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${quotable(value)}"`],
  );
  return written.length === 0 ? scheme : `${scheme} ${written.join(', ')}`;
}

/**
 * Only what may stand in a quoted string, so that nothing ends the string or the header early. What RFC 6750 forbids
 * even there (quotes, backslashes, all but printable ASCII) is replaced, since clients unescape it in different ways.
 */
function quotable(value: string): string {
  return value.replaceAll('"', "'").replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?');
}
