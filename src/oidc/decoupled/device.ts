import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { type Client, type Configuration, errors, type KoaContextWithOIDC } from 'oidc-provider';
import { addressKey } from '../../lib/client-address.ts';
import type { RequestPages } from './pages.ts';

type DeviceFlow = NonNullable<NonNullable<Configuration['features']>['deviceFlow']>;

/**
 * Device authorization (RFC 8628). The engine makes the codes, and answers the program that polls. Entering a user code is a
 * page of ours (src/interaction/device.routes.ts): the engine's own finds no code, and is never reached.
 */
export function createDeviceFlow(pages: RequestPages): DeviceFlow {
  return {
    enabled: true,
    charset: 'base-20',
    mask: '****-****',
    // Shown to the person, who knows whether the device is near (section 5.4).
    deviceInfo: (ctx) => ({ address: ctx.state.address as string }),
    successSource: (ctx) => pages.answered(ctx, true),
    userCodeInputSource: (ctx, _form, _out, error) => pages.stopped(ctx, error),
  };
}

/** Requests for codes, for one client: from one address, and in all. Each leaves a row for ten minutes. */
const perAddress = new RateLimiterMemory({ points: 60, duration: 60 });
const perClient = new RateLimiterMemory({ points: 6_000, duration: 60 });

/**
 * Bounds how many device codes a client asks for, each process for itself. The engine has no hook for it; this one, meant
 * for extra parameters, runs once the client is known and before anything is made. The parameter itself is never looked at.
 */
export const deviceRateHook = {
  vs_device_rate: async (
    ctx: KoaContextWithOIDC,
    _value: unknown,
    client: Client,
  ): Promise<void> => {
    if (ctx.oidc.route !== 'device_authorization') return;
    try {
      await perAddress.consume(`${client.clientId} ${addressKey(ctx.state.address as string)}`);
      await perClient.consume(client.clientId);
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      throw tooMany(ctx, Math.max(1, Math.ceil(refused.msBeforeNext / 1000)));
    }
  },
};

/** What a program is answered that asks too often; `retryAfter` in seconds. */
export function tooMany(ctx: KoaContextWithOIDC, retryAfter: number | undefined): Error {
  if (retryAfter !== undefined) ctx.set('Retry-After', String(retryAfter));
  const error = new errors.TemporarilyUnavailable('too many requests, wait a while');
  return Object.assign(error, { status: 429, statusCode: 429 });
}
