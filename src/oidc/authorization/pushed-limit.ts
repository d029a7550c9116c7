import type { Client, KoaContextWithOIDC } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import { NetworkCounts } from '../../lib/network-counts.ts';
import { countNetwork } from '../too-many.ts';

/**
 * As many requests as begin at one address without a push (src/interaction/interaction-limit.ts): each leaves a row for six
 * hours. Each process counts for itself.
 */
const perAddress = new NetworkCounts({ points: 2_000, seconds: 900 });

/**
 * Bounds how much is pushed by clients that nobody vouches for: public ones, and those that registered themselves.
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
    if (await isAnybodys(clients, client)) countNetwork(ctx, perAddress);
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
