import { BlockList, isIP } from 'node:net';
import { addNetwork, holds, parseNetwork } from '../lib/network.ts';
import { isSpecialUse } from './special-use.ts';

/**
 * Which inside hosts may be called: none but those that the operator has listed (`OUTBOUND_ALLOW`), by name, address or
 * network. Everything public may be, over https.
 */
export class OutboundAllow {
  readonly #names = new Set<string>();
  readonly #networks = new BlockList();

  constructor(entries: readonly string[] = []) {
    for (const entry of entries) {
      const network = parseNetwork(entry);
      if (network === undefined) this.#names.add(plainHost(entry));
      else addNetwork(this.#networks, network);
    }
  }

  /** Whether a connection may be made to the address, which is what the host's name led to. */
  permits(host: string, address: string): boolean {
    return (
      !isSpecialUse(address) || holds(this.#networks, address) || this.#names.has(plainHost(host))
    );
  }

  /**
   * Why what somebody gives as a URI to call is refused, in words: it has to be in its plain form, without fragment, and
   * one that may be called. Undefined where it is.
   */
  findUriProblem(uri: string): string | undefined {
    if (!URL.canParse(uri)) return 'it is not an absolute URI';
    const url = new URL(uri);
    if (uri.includes('#')) return 'it has a fragment';
    // What the parser puts right by itself is nothing that somebody meant.
    if (url.href !== uri && url.href !== `${uri}/`)
      return `it is not in its plain form, which is ${url.href}`;
    return this.findProblem(url);
  }

  /**
   * Why a URL may not be called, in words, as far as it says itself; undefined where it may be. Where its name leads to
   * is seen with each connection (`Outbound`).
   */
  findProblem(url: URL): string | undefined {
    const host = plainHost(url.hostname);
    const isAddress = isIP(host) !== 0;
    const isListed = this.#names.has(host) || (isAddress && holds(this.#networks, host));
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isListed))
      return 'it is not an https URL';
    if (url.username !== '' || url.password !== '') return 'it has user information';
    if (isAddress && !this.permits(host, host)) return 'it leads to an inside address';
    return undefined;
  }
}

/** As the URL standard writes it, without the brackets and the root's dot. */
function plainHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '');
}
