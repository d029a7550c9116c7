import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import type { Outbound } from '../outbound/outbound.service.ts';
import { callClient, DeliveryFailed, type OutboxHandler } from '../outbox/outbox.ts';
import { type ClientLogout, clientLogoutSchema } from '../session/session.ts';
import { notifyClient } from '../session/session.service.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';

/** OpenID Connect Back-Channel Logout 1.0: clients are told from the outbox, never from within a request. */

type EngineClient = InstanceType<Provider['Client']>;

interface LogoutClient {
  readonly clientId: string;
  readonly backchannelLogoutUri?: string;
  includeSid: () => boolean;
  backchannelLogout: (accountId: string, sid: string) => Promise<void>;
}

/** What the engine would send at once waits for the commit; and who may be told of a session is told its `sid`. */
export function applyBackchannelLogout(provider: Provider): void {
  const prototype = provider.Client.prototype as unknown as LogoutClient;
  prototype.includeSid = function includeSid() {
    return this.backchannelLogoutUri !== undefined;
  };
  prototype.backchannelLogout = async function backchannelLogout(accountId, sid) {
    const { clientId } = this;
    const { params } = (Provider.ctx as KoaContextWithOIDC).oidc;
    // The end of the whole session tells all its clients by itself (`signOut`).
    if (!params?.logout)
      currentUnit().enlist((db) => notifyClient(db, { clientId, accountId, sid }));
  };
}

/**
 * The logout token (section 2.4), made anew for each attempt: it is good for two minutes. Its `jti` is the same for each,
 * so that who receives it twice can tell.
 */
async function createLogoutToken(
  provider: Provider,
  client: EngineClient,
  { accountId, sid, jti }: Pick<ClientLogout, 'accountId' | 'sid'> & { jti: string },
): Promise<string> {
  const token = new provider.IdToken({ sub: accountId }, { client, ctx: undefined }) as unknown as {
    mask: Record<string, null>;
    set: (claim: string, value: unknown) => void;
    // The engine's types know nothing of this use.
    issue: (options: { use: 'logout' }) => Promise<string>;
  };
  token.mask = { sub: null };
  token.set('events', { 'http://schemas.openid.net/event/backchannel-logout': {} });
  token.set('jti', jti);
  token.set('sid', sid);
  return token.issue({ use: 'logout' });
}

/**
 * What delivers rows of the kind `backchannel_logout`. A client that is gone, disabled, or has no URI any more is told
 * nothing; one that refuses the token (400, section 2.8) is not asked again.
 */
export function createLogoutHandler({
  provider,
  outbound,
}: {
  /** The one that answers now: its keys are those that are published. */
  readonly provider: () => Provider;
  readonly outbound: Outbound;
}): OutboxHandler {
  return async (about, { id, signal }) => {
    const { clientId, accountId, sid } = clientLogoutSchema.parse(about);
    const engine = provider();
    const client = await engine.Client.find(clientId);
    const uri = client?.backchannelLogoutUri;
    if (client === undefined || uri === undefined) return;
    const token = await createLogoutToken(engine, client, { accountId, sid, jti: id });
    const response = await callClient(uri, () =>
      outbound.fetch(uri, {
        method: 'POST',
        body: new URLSearchParams({ logout_token: token }),
        signal,
      }),
    );
    await response.body?.cancel();
    if (response.status === 200 || response.status === 204) return;
    // The client has refused the logout token: it would refuse it again.
    const code = response.status === 400 ? 'undeliverable' : 'logout_not_taken';
    throw new DeliveryFailed(code, new URL(uri).host, `status ${response.status}`);
  };
}
