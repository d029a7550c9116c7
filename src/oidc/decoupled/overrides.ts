import type Provider from 'oidc-provider';
import type { Sealer } from '../../lib/seal.ts';
import { applyPing } from './ciba-ping.ts';
import { POLL_INTERVAL, polledKinds } from '../../unit-of-work/polled-requests.ts';

interface Generates {
  generateTokenId: () => string;
}

/** What the engine does otherwise than we want with requests that are polled for. */
export function applyPolledOverrides(provider: Provider, sealer: Sealer): void {
  for (const { model, prefix } of Object.values(polledKinds)) {
    const prototype = provider[model].prototype as unknown as Generates;
    const original = prototype.generateTokenId;
    prototype.generateTokenId = function generateTokenId(this: unknown) {
      return `${prefix}${original.call(this)}`;
    };
  }
  applyPing(provider, sealer);
}

export function applyPolledListeners(provider: Provider): void {
  provider.on('device_authorization.success', (_ctx, body) => {
    Object.assign(body, { interval: POLL_INTERVAL });
  });
}
