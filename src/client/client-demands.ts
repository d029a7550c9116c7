import { CIBA } from './client-grants.ts';
import type { ClientChanges } from './client-settings.ts';

/** What an operator demands of a client that registered itself, change by change. */

type Demand = keyof ClientChanges;

/**
 * The demands after a change. Those that belong to what the change replaces go, as they would from a client that the operator
 * registered: otherwise the change would be refused because of them, or they would come back with the next one.
 */
export function mergeDemands(demanded: ClientChanges, changes: ClientChanges): ClientChanges {
  const gone = new Set(supersededBy(changes));
  const kept = Object.entries(demanded).filter(([key]) => !gone.has(key as Demand));
  return { ...Object.fromEntries(kept), ...changes };
}

function supersededBy(changes: ClientChanges): Demand[] {
  const { authMethod, backchannelLogoutUri, grantTypes, jwks, jwksUri } = changes;
  return [
    ...of(jwks !== undefined, 'jwksUri'),
    ...of(typeof jwksUri === 'string', 'jwks'),
    ...of(authMethod !== undefined && authMethod !== 'private_key_jwt', 'authSigningAlg'),
    ...of(authMethod !== undefined && authMethod !== 'tls_client_auth', 'certificateName'),
    ...of(backchannelLogoutUri === null, 'backchannelLogoutSessionRequired'),
    ...of(
      grantTypes !== undefined && !grantTypes.includes(CIBA),
      'cibaDelivery',
      'cibaNotificationEndpoint',
      'cibaSigningAlg',
    ),
  ];
}

const of = (isGone: boolean, ...demands: Demand[]) => (isGone ? demands : []);
