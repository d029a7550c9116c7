import { isIP } from 'node:net';
import { holds, listNetworks } from '../lib/network.ts';

/** The special-use ranges of the IANA registries (RFC 6890 and what came after it), multicast and relays. */
const ipv4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
];

/**
 * What is public in IPv6 is 2000::/3 alone: outside of it lie loopback, mapped and translated IPv4 addresses, unique local,
 * link-local, site-local and multicast ones. Inside of it these are special.
 */
const globalUnicast = '2000::/3';
const ipv6 = [
  // Teredo, ORCHID, benchmarking …
  '2001::/23',
  '2001:db8::/32',
  // 6to4 holds any IPv4 address.
  '2002::/16',
  '2620:4f:8000::/48',
  '3fff::/20',
];

const special = listNetworks([...ipv4, ...ipv6]);
const publicIpv6 = listNetworks([globalUnicast]);

/**
 * Whether an address is of special use, as loopback, private, link-local and metadata ones are: of no service that is for
 * everybody. What is no address counts as one.
 */
export function isSpecialUse(address: string): boolean {
  const [plain = ''] = address.split('%', 1);
  const version = isIP(plain);
  if (version === 0) return true;
  return holds(special, plain) || (version === 6 && !holds(publicIpv6, plain));
}
