import type { Adapter, AdapterPayload } from 'oidc-provider';
import type { Client } from '../../client/client.ts';
import type { ClientService } from '../../client/client.service.ts';
import { epochSeconds } from '../../lib/time.ts';
import { withinAllowList } from '../authorization/allow-list.ts';
import { judgedExp } from './expiry.ts';
import type { FamilyRecord } from '../../unit-of-work/records.ts';
import { currentRoute } from './unsupported.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/** Families are written when a request is accepted (families.ts), never by the engine. */
export function familyAdapter(clients: ClientService): Partial<Adapter> {
  return {
    async find(id) {
      const family = await currentUnit().findFamily(id);
      if (family === undefined || family.revoked) return undefined;
      const client = await clients.find(family.clientId);
      return client && familyPayload(family, client);
    },
    async destroy(id) {
      currentUnit().killFamily(
        id,
        currentRoute() === 'revocation' ? 'token_revoked' : (currentRoute() ?? 'revoked'),
      );
    },
  };
}

/** The engine's payload of a family, with what its client may still have of the identity scopes. */
function familyPayload(family: FamilyRecord, client: Client): AdapterPayload {
  const { openid } = family.payload as { openid?: { scope?: string; claims?: string[] } };
  const { scopes, claims } = withinAllowList(client, {
    scopes: openid?.scope?.split(' ') ?? [],
    claims: openid?.claims ?? [],
    resources: {},
  });
  return {
    ...family.payload,
    openid: { scope: scopes.join(' '), claims },
    jti: family.id,
    kind: 'Grant',
    accountId: family.accountId,
    clientId: family.clientId,
    iat: epochSeconds(family.createdAt),
    exp: judgedExp(epochSeconds(family.expiresAt), family.expired),
  };
}
