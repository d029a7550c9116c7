import type Provider from 'oidc-provider';
import { registerJwtBearer } from './jwt-bearer.ts';
import { registerTokenExchange } from './token-exchange.ts';
import type { GrantSurroundings } from './grant-parts.ts';

/** Adds the grants that the engine does not have; each client has none of them unless told (src/client/client-grants.ts). */
export function registerGrants(provider: Provider, surroundings: GrantSurroundings): void {
  registerTokenExchange(provider, surroundings);
  registerJwtBearer(provider, surroundings);
}
