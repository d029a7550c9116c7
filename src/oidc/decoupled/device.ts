import type { Client, Configuration, KoaContextWithOIDC } from 'oidc-provider';
import { NetworkCounts } from '../../lib/network-counts.ts';
import { WindowCounts } from '../../lib/window-counts.ts';
import { countNetwork, tooMany } from '../too-many.ts';
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
const perAddress = new NetworkCounts({ points: 60, seconds: 60 });
const perClient = new WindowCounts(60);
const MOST_OF_CLIENT = 6_000;

/**
 * Bounds how many device codes a client asks for, each process for itself. The engine has no hook for it; this one, meant
 * for extra parameters, runs once the client is known and before anything is made. The parameter itself is never looked at.
 */
export const deviceRateHook = {
  vs_device_rate: async (
    ctx: KoaContextWithOIDC,
    _value: unknown,
    { clientId }: Client,
  ): Promise<void> => {
    if (ctx.oidc.route !== 'device_authorization') return;
    countNetwork(ctx, perAddress, clientId);
    if (perClient.add(clientId) > MOST_OF_CLIENT) throw tooMany(ctx, perClient.secondsLeft);
  },
};
