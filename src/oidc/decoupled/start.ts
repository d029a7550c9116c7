import type { Context } from 'koa';
import type Provider from 'oidc-provider';
import type { Interaction } from 'oidc-provider';
import { randomToken } from '../../lib/hash.ts';
import { issuerPath } from '../../http/request.ts';
import { setInteractionCookie } from '../authorization/interaction-cookie.ts';
import { ttl } from '../../lifetimes.ts';
import type { AskedRequest } from '../../unit-of-work/polled-requests.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/**
 * Begins to answer a request in this browser; gives where to send it. The engine takes up from there as after a sign-in in
 * which nothing was done: it asks for a sign-in if one is needed, and for consent each time (policy.ts).
 */
export async function beginAnswer(
  ctx: Context,
  provider: Provider,
  request: AskedRequest,
): Promise<string> {
  currentUnit().polled.remember(request);
  const uid = randomToken(32);
  const path = `${issuerPath(provider.issuer)}/device/${uid}`;
  const interaction = newInteraction(provider, uid, {
    returnTo: `${new URL(provider.issuer).origin}${path}`,
    prompt: { name: 'login', reasons: [], details: {} },
    params: request.payload.params ?? {},
    deviceCode: request.id,
    cid: randomToken(16),
  });
  await interaction.save(ttl.interaction);
  setInteractionCookie(ctx, uid);
  return interaction.returnTo;
}

/** The engine's types know interactions as it gives them alone. */
function newInteraction(
  provider: Provider,
  uid: string,
  payload: Record<string, unknown>,
): Interaction {
  const Model = provider.Interaction as unknown as new (
    uid: string,
    payload: Record<string, unknown>,
  ) => Interaction;
  return new Model(uid, payload);
}
