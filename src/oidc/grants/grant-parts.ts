import type { ExchangeRules } from '../../exchange/exchange.service.ts';
import type { TrustedIssuers } from '../../issuer/issuer.service.ts';
import type { ClientKeySets } from '../client-authentication/key-sets.ts';
import type { LiveToken } from '../../unit-of-work/live-token.ts';
import type { ResourceInfo } from '../authorization/resources.ts';

/** What the grants of ours go by. */
export interface GrantParts {
  readonly exchangeRules: ExchangeRules;
  readonly trustedIssuers: TrustedIssuers;
  /** The token if it is ours and live: the one decision of src/introspection. */
  readonly findLive: (token: string) => Promise<LiveToken | undefined>;
}

/** Besides, the keys that others publish, and what a client may have of an API; undefined where that is nothing. */
export interface GrantSurroundings extends GrantParts {
  readonly keySets: ClientKeySets;
  readonly resourceInfo: (
    identifier: string,
    clientId: string,
  ) => Promise<ResourceInfo | undefined>;
}
