import { BlockList, isIP } from 'node:net';

interface Network {
  readonly address: string;
  /** How many bits of it name the network. */
  readonly length: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** An address, or a network in CIDR notation; undefined for what is neither. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0 || address.includes('%')) return undefined;
  const bits = version === 4 ? 32 : 128;
  if (length !== undefined && (!/^\d{1,3}$/.test(length) || Number(length) > bits))
    return undefined;
  return {
    address,
    length: length === undefined ? bits : Number(length),
    family: version === 4 ? 'ipv4' : 'ipv6',
  };
}

export function addNetwork(list: BlockList, { address, length, family }: Network): void {
  list.addSubnet(address, length, family);
}

/** @throws TypeError for what `parseNetwork` does not know */
export function listNetworks(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const network = parseNetwork(text);
    if (network === undefined) throw new TypeError(`${text} is no network`);
    addNetwork(list, network);
  }
  return list;
}

/** Whether the list holds the address, which may be an IPv6 one with its zone, or IPv4 mapped into IPv6. */
export function holds(list: BlockList, address: string): boolean {
  const [plain = ''] = address.split('%', 1);
  const version = isIP(plain);
  return version !== 0 && list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
}
