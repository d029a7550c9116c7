import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Client, KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import { addressKey } from '../../lib/client-address.ts';
import { tooMany } from '../decoupled/device.ts';

/**
 * As many requests as are begun at one address without a push (src/interaction/interaction-limit.ts): each leaves a row for six
 * hours. In memory, each process for itself.
 */
const perAddress = new RateLimiterMemory({ points: 2_000, duration: 900 });

/**
 * Bounds how much is pushed by whom nobody vouches for: a client that proves nothing of itself, or that came by itself.
 * The engine has no hook for it; this one, meant for extra parameters, runs once nothing else is wrong and before anything is
 * stored. The parameter itself is never looked at.
 */
export const pushedRateHook = (clients: ClientService) => ({
  vs_pushed_rate: async (
    ctx: KoaContextWithOIDC,
    _value: unknown,
    client: Client,
  ): Promise<void> => {
    if (ctx.oidc.route !== 'pushed_authorization_request') return;
    if (!(await isAnybodys(clients, client))) return;
    try {
      await perAddress.consume(addressKey(ctx.state.address as string));
    } catch (refused) {
      if (!(refused instanceof RateLimiterRes)) throw refused;
      throw tooMany(ctx, Math.max(1, Math.ceil(refused.msBeforeNext / 1000)));
    }
  },
});

async function isAnybodys(
  clients: ClientService,
  { clientId, clientAuthMethod }: Client,
): Promise<boolean> {
  if (clientAuthMethod === 'none') return true;
  const by = (await clients.find(clientId))?.registeredBy;
  return by === 'anybody' || by === 'document';
}
