import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import { z } from 'zod';
import type { ClientService } from '../../client/client.service.ts';
import type { Sealer } from '../../lib/seal.ts';
import type { Outbound } from '../../outbound/outbound.service.ts';
import {
  callClient,
  DeliveryFailed,
  type OutboxHandler,
  type OutboxWrite,
} from '../../outbox/outbox.ts';
import { outboxWrite } from '../../outbox/outbox.service.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/** CIBA's ping (section 10.2): a client is told from the outbox that there is an answer, never from within a request. */

export const PING = 'ciba_ping';

const pingSchema = z.object({
  clientId: z.string(),
  authReqId: z.string(),
  token: z.string(),
  /** When there is nothing to fetch any more. */
  until: z.iso.datetime().optional(),
});
type Ping = z.output<typeof pingSchema>;

/** The ping as a row of the outbox, to be written in the commit of the answer. */
export function pingWrite(sealer: Sealer, ping: Ping): OutboxWrite {
  // Whose it is may be read: so that no client that is slow to answer holds up another's.
  return { ...outboxWrite(sealer, PING, ping), about: { clientId: ping.clientId } };
}

interface PingClient {
  readonly clientId: string;
  backchannelPing: (request: PingedRequest) => Promise<void>;
}

interface PingedRequest {
  readonly jti: string;
  readonly params: { readonly client_notification_token?: string };
}

/** What the engine would send at once waits for the commit, whatever asks for it. */
export function applyPing(provider: Provider, sealer: Sealer): void {
  const prototype = provider.Client.prototype as unknown as PingClient;
  prototype.backchannelPing = async function backchannelPing({ jti, params }) {
    const token = params.client_notification_token;
    if (token === undefined || (Provider.ctx as KoaContextWithOIDC | undefined) === undefined)
      return;
    currentUnit().addOutbox(pingWrite(sealer, { clientId: this.clientId, authReqId: jti, token }));
  };
}

/**
 * Statuses by which a client says that it will not take the ping, however often it comes. It must not redirect, and where it
 * does, asking again changes nothing (section 10.2).
 */
const refusals = new Set([301, 302, 303, 307, 308, 400, 401, 403, 404, 410]);

/**
 * What delivers pings. A client that is gone, disabled, or is not pinged any more is told nothing. Redirects are not
 * followed, as the section asks.
 */
export function createPingHandler({
  clients,
  outbound,
}: {
  readonly clients: ClientService;
  readonly outbound: Outbound;
}): OutboxHandler {
  return async (payload, { signal }) => {
    const { clientId, authReqId, token, until } = pingSchema.parse(payload);
    if (until !== undefined && new Date(until) < new Date()) return;
    const client = await clients.find(clientId);
    const uri = client?.metadata.backchannel_client_notification_endpoint;
    if (client === undefined || client.disabled || typeof uri !== 'string') return;
    const response = await callClient(uri, () =>
      outbound.fetch(uri, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ auth_req_id: authReqId }),
        signal,
      }),
    );
    await response.body?.cancel();
    if (response.status === 200 || response.status === 204) return;
    const code = refusals.has(response.status) ? 'undeliverable' : 'ping_not_taken';
    throw new DeliveryFailed(code, new URL(uri).host, `status ${response.status}`);
  };
}
