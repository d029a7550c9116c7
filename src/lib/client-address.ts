import { isIPv4, isIPv6 } from 'node:net';

/**
 * Whom an address stands for when guesses are counted: an IPv4 address for itself, an IPv6 one for its /64, since
 * everybody has 2^64 of those. Anything else (a socket without an address) counts as one.
 */
export function addressKey(address: string): string {
  const [plain = ''] = address.split('%');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1];
  if (mapped !== undefined) return mapped;
  if (isIPv4(plain)) return plain;
  return isIPv6(plain) ? `${network(plain)}::/64` : 'unknown';
}

/** The first four groups, written out. */
function network(address: string): string {
  // A URL's host is the one canonical writing of an address (RFC 5952) that the platform gives.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string | undefined) =>
    part === undefined || part === '' ? [] : part.split(':');
  const before = groups(head);
  const after = groups(tail);
  const between = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array.from({ length: between }, () => '0'), ...after].slice(0, 4).join(':');
}
