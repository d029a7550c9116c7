import { isIPv4, isIPv6 } from 'node:net';

/** An address in its one spelling: IPv4, or the eight groups of IPv6 as numbers. */
type Address = { readonly v4: string } | { readonly v6: readonly number[] };

/** What an address counts as when it can't be read, as that of a socket that is already closed. */
const UNKNOWN = 'unknown';

/**
 * The address in its one spelling, whichever a proxy or a socket uses: IPv4 mapped into IPv6 becomes IPv4; brackets, a
 * port, a zone, upper case and leading zeros are dropped. `unknown` for anything that is no address.
 */
export function canonicalAddress(text: string): string {
  const address = parseAddress(text);
  if (address === undefined) return UNKNOWN;
  // A URL's host is the canonical text form (RFC 5952) that the platform offers.
  return 'v4' in address
    ? address.v4
    : new URL(`http://[${hex(address.v6)}]`).hostname.slice(1, -1);
}

/**
 * What stands for an address when requests or guesses are counted: an IPv4 address itself, and the /64 of an IPv6 address,
 * since every household has 2^64 of those.
 */
export function addressKey(address: string): string {
  return networkKeys(address)[0];
}

/** Whether two network addresses are counted as one: as a rule, the same household's. */
export function sameNetwork(one: string, other: string): boolean {
  return addressKey(one) === addressKey(other);
}

/** From the narrowest network of an address to the widest. */
export type NetworkKeys = readonly [own: string, ...wider: string[]];

/**
 * An IPv6 address counts by its /64, /56 and /48, since providers give households any of these; an IPv4 address by itself
 * and by its /24.
 */
export function networkKeys(text: string): NetworkKeys {
  const address = parseAddress(text);
  if (address === undefined) return [UNKNOWN];
  if ('v4' in address)
    return [address.v4, `${address.v4.slice(0, address.v4.lastIndexOf('.'))}.0/24`];
  const [a, b, c, d = 0] = address.v6;
  const groups = (...all: (number | undefined)[]) => hex(all.map((group) => group ?? 0));
  return [
    `${groups(a, b, c, d)}::/64`,
    `${groups(a, b, c, d & 0xff00)}::/56`,
    `${groups(a, b, c)}::/48`,
  ];
}

const hex = (groups: readonly number[]) => groups.map((group) => group.toString(16)).join(':');

function parseAddress(text: string): Address | undefined {
  const trimmed = text.trim();
  // With a port: [2001:db8::1]:443 or 192.0.2.1:443.
  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(trimmed) ?? [];
  const bare = bracketed ?? trimmed.replace(/^([\d.]+):\d{1,5}$/, '$1');
  const [plain = ''] = bare.split('%', 1);
  const v4 = plainIPv4(plain);
  if (v4 !== undefined) return { v4 };
  // A dotted end may have leading zeros too.
  const dotted = /^(.*:)([\d.]+)$/.exec(plain);
  const end = dotted?.[2]?.includes('.') ? plainIPv4(dotted[2]) : undefined;
  const v6 = end === undefined ? plain : `${dotted?.[1]}${end}`;
  if (!isIPv6(v6)) return undefined;
  const groups = groupsOf(new URL(`http://[${v6}]`).hostname.slice(1, -1));
  const [high = 0, low = 0] = groups.slice(6);
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  return isMapped
    ? { v4: [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.') }
    : { v6: groups };
}

/** Four decimal numbers, with or without leading zeros. */
function plainIPv4(text: string): string | undefined {
  if (!/^\d{1,5}(\.\d{1,5}){3}$/.test(text)) return undefined;
  const plain = text.split('.').map(Number).join('.');
  return isIPv4(plain) ? plain : undefined;
}

/** The eight groups of the canonical text form. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const groups = (part: string | undefined) =>
    part === undefined || part === '' ? [] : part.split(':').map((group) => parseInt(group, 16));
  const before = groups(head);
  const after = groups(tail);
  const between = tail === undefined ? 0 : 8 - before.length - after.length;
  return [...before, ...Array.from({ length: between }, () => 0), ...after];
}
