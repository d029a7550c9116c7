import type { Adapter, AdapterPayload } from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import { fromEpoch } from '../../lib/time.ts';
import { clientMetadata } from './clients.ts';
import { judgedExp } from './expiry.ts';
import { familyAdapter } from './grants.ts';
import { polledAdapter } from './decoupled-requests.ts';
import { pushedRequestAdapter, withoutPushedId, withPushedId } from './pushed-requests.ts';
import type { Payload } from '../../unit-of-work/records.ts';
import { refusals } from './unsupported.ts';
import { sessionAdapter } from './sessions.ts';
import { kinds, type TokenParts, tokenAdapter } from './tokens.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/**
 * The engine's storage interface over the unit of work. It translates between the engine's payloads and our records,
 * and decides nothing but what a stored token is worth.
 */

/** The adapter that the engine asks for by model name. */
export function createAdapter(parts: TokenParts): (name: string) => Adapter {
  return (name) => ({ ...refusals, ...adapterOf(name, parts) });
}

function adapterOf(name: string, parts: TokenParts): Partial<Adapter> | undefined {
  const { clients, sealer } = parts;
  const kind = kinds[name];
  if (kind !== undefined) return tokenAdapter(kind, parts);
  switch (name) {
    case 'Session':
      return sessionAdapter;
    case 'Interaction':
      return interactionAdapter;
    case 'Grant':
      return familyAdapter(clients);
    case 'PushedAuthorizationRequest':
      return pushedRequestAdapter;
    case 'DeviceCode':
      return polledAdapter('device', clients, sealer);
    case 'BackchannelAuthenticationRequest':
      return polledAdapter('ciba', clients, sealer);
    case 'Client':
      return { find: (id) => findClient(clients, id) };
    default:
      return undefined;
  }
}

const interactionAdapter: Partial<Adapter> = {
  async find(id) {
    const read = await currentUnit().findInteraction(id);
    if (read === undefined) return undefined;
    const exp = judgedExp(read.payload.exp as number, read.expired);
    return { ...withPushedId(read.payload), exp, jti: id };
  },
  async upsert(id, payload) {
    const { jti: _, session, ...rest } = payload as Payload & { session?: Payload };
    // The raw session id is never read by the engine, and would open the session to who reads the row.
    const { cookie: __, ...kept } = session ?? {};
    currentUnit().saveInteraction(
      id,
      { ...withoutPushedId(rest), ...(session === undefined ? {} : { session: kept }) },
      fromEpoch(payload.exp as number),
    );
  },
  async destroy(id) {
    currentUnit().closeInteraction(id);
  },
};

async function findClient(clients: ClientService, id: string): Promise<AdapterPayload | undefined> {
  const client = await clients.find(id);
  return client === undefined || client.disabled ? undefined : clientMetadata(client);
}
