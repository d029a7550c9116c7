import { type BlockList, isIP } from 'node:net';

export interface Network {
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

/** Whether the list holds the address, which may be an IPv6 one with its zone. */
export function holds(list: BlockList, address: string): boolean {
  const [plain = ''] = address.split('%', 1);
  const version = isIP(plain);
  return version !== 0 && list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
}
