import { networkKeys } from './client-address.ts';
import { WindowCounts } from './window-counts.ts';

/** How much more the wider networks of an address may do, so that many addresses in one of them don't get past the limit. */
const SUBNET = 4;
const SITE = 16;

/**
 * Counts by network address in the memory of this process: so many in a window from one address (a /64 of IPv6), four times
 * as many from one /56, and sixteen times as many from one /48 or IPv4 /24.
 */
export class NetworkCounts {
  readonly #points: number;
  readonly #counts: WindowCounts;

  constructor({ points, seconds }: { readonly points: number; readonly seconds: number }) {
    this.#points = points;
    this.#counts = new WindowCounts(seconds);
  }

  /**
   * Counts one; gives the seconds to wait where that is too many, else undefined.
   * @param of what is counted apart from others at the same address.
   */
  take(address: string, of = ''): number | undefined {
    // The narrowest first: what it refuses costs the others in its network nothing.
    for (const [key, factor] of widening(address, of))
      if (this.#counts.add(key) > this.#points * factor) return this.#counts.secondsLeft;
    return undefined;
  }

  giveBack(address: string, of = ''): void {
    for (const [key] of widening(address, of)) this.#counts.add(key, -1);
  }
}

function widening(address: string, of: string): [key: string, factor: number][] {
  const [own, ...wider] = networkKeys(address);
  return [
    [`${own} ${of}`, 1],
    ...wider.map((key, index): [string, number] => [
      `${key} ${of}`,
      index === wider.length - 1 ? SITE : SUBNET,
    ]),
  ];
}
