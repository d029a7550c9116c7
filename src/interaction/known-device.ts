import { createHmac } from 'node:crypto';
import type { Context } from 'koa';
import { cookieName, plainCookie } from '../lib/cookies.ts';
import { equalBytes, randomToken } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';

/** Seconds for which a device is known after a sign-in. */
const KNOWN = 180 * 86_400;
const MAX_ACCOUNTS = 5;
const form = /^([\w-]{22})((?:\.[\w-]{43}){1,5})$/;

/**
 * A browser in which an account has signed in before: strangers who guess at its password do not keep its owner from
 * signing in there. The cookie holds a name of the device and, for each account, a MAC over both; no account can be read
 * from it, and it opens nothing by itself.
 */
export class KnownDevices {
  /** The first one makes; the others are of earlier master keys. */
  readonly #keys: readonly Buffer[];

  constructor(sealer: Sealer) {
    this.#keys = sealer.deriveEach('known device');
  }

  /** The device's name, if the account has signed in here before: limits count its tries apart from those of others. */
  find(ctx: Context, accountKey: string): string | undefined {
    const kept = read(ctx);
    if (kept === undefined) return undefined;
    const wanted = this.#macs(kept.device, accountKey).map((mac) => Buffer.from(mac));
    const isKnown = kept.macs.some((one) =>
      wanted.some((mac) => equalBytes(Buffer.from(one), mac)),
    );
    return isKnown ? kept.device : undefined;
  }

  /** Knows the account here from now on. */
  remember(ctx: Context, accountKey: string): void {
    const { device, macs } = read(ctx) ?? { device: randomToken(16), macs: [] };
    const own = this.#macs(device, accountKey);
    const marks = [own[0], ...macs.filter((one) => !own.includes(one))].slice(0, MAX_ACCOUNTS);
    ctx.cookies.set(nameOf(ctx), [device, ...marks].join('.'), plainCookie(ctx, '/', KNOWN));
  }

  #macs(device: string, accountKey: string): string[] {
    return this.#keys.map((key) =>
      createHmac('sha256', key).update(`${device} ${accountKey}`).digest('base64url'),
    );
  }
}

/** The spelling of an address under which a device is known; an account's own key is one. */
export const deviceKey = (email: string) => email.trim().normalize('NFKC').toLowerCase();

const nameOf = (ctx: Context) => cookieName(ctx, 'device');

function read(ctx: Context): { device: string; macs: string[] } | undefined {
  const [, device, macs] = form.exec(ctx.cookies.get(nameOf(ctx)) ?? '') ?? [];
  return device === undefined || macs === undefined
    ? undefined
    : { device, macs: macs.split('.').slice(1) };
}
