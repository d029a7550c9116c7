import { networkKeys } from './client-address.ts';
import { WindowCounts } from './window-counts.ts';

/** How much more the wider networks of an address may do, so that many addresses in one of them don't get past the limit. */
const SUBNET = 4;
const SITE = 16;
/** Of each width. A process has about a dozen such limits. */
const MOST_KEYS = 25_000;

/**
 * Counts by network address in the memory of this process: so many in a window from one address (a /64 of IPv6), four times
 * as many from one /56, and sixteen times as many from one /48 or IPv4 /24. Each width has a window of its own, which other
 * widths can't end: one /48 has more /64s than a window has keys.
 */
export class NetworkCounts {
  readonly #points: number;
  readonly #own: WindowCounts;
  readonly #subnets: WindowCounts;
  readonly #sites: WindowCounts;

  constructor({ points, seconds }: { readonly points: number; readonly seconds: number }) {
    this.#points = points;
    this.#own = new WindowCounts(seconds, MOST_KEYS);
    this.#subnets = new WindowCounts(seconds, MOST_KEYS);
    this.#sites = new WindowCounts(seconds, MOST_KEYS);
  }

  /**
   * Counts one; gives the seconds to wait where that is too many, else undefined.
   * @param of what is counted apart from others at the same address.
   */
  take(address: string, of = ''): number | undefined {
    // The narrowest first: what it refuses costs the others in its network nothing.
    for (const [counts, key, factor] of this.#widening(address, of))
      if (counts.add(key) > this.#points * factor) return counts.secondsLeft;
    return undefined;
  }

  giveBack(address: string, of = ''): void {
    for (const [counts, key] of this.#widening(address, of)) counts.add(key, -1);
  }

  #widening(address: string, of: string): [counts: WindowCounts, key: string, factor: number][] {
    const [own, ...wider] = networkKeys(address);
    return [
      [this.#own, `${own} ${of}`, 1],
      ...wider.map((key, index): [WindowCounts, string, number] =>
        index === wider.length - 1
          ? [this.#sites, `${key} ${of}`, SITE]
          : [this.#subnets, `${key} ${of}`, SUBNET],
      ),
    ];
  }
}
