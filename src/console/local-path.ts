/** Longer ones are not kept: they travel in a cookie. */
const LONGEST = 500;

/**
 * Whether this is a path on this server and nothing else: no host, no scheme, nothing that a browser would read as the
 * start of one.
 */
export function isLocalPath(path: string): boolean {
  if (path.length > LONGEST || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(path)) return false;
  const base = 'http://local.invalid';
  return URL.canParse(path, base) && new URL(path, base).origin === base;
}
