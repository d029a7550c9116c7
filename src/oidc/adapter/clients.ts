import type { AdapterPayload } from 'oidc-provider';
import { type Client, hasSecret } from '../../client/client.ts';
import { randomToken } from '../../lib/hash.ts';

/**
 * The engine wants a secret for clients that have one; it never compares it (see `compareClientSecret` in
 * overrides.ts). Random for each process, so that nothing can be signed or encrypted with a known one.
 */
const placeholderSecret = randomToken(32);

const known = new WeakMap<Client, AdapterPayload>();

/**
 * The client's metadata as the engine takes it; the same object for the same client, so that the engine's cache holds.
 * Scopes are not the engine's to check, which would refuse what is to be left out (authorization/scopes.ts).
 */
export function clientMetadata(client: Client): AdapterPayload {
  let metadata = known.get(client);
  if (metadata === undefined) {
    const { scope, ...own } = client.metadata;
    metadata = {
      client_id: client.id,
      client_name: client.name,
      ...(client.settings.accessTokenTtl === undefined
        ? {}
        : { access_token_ttl: client.settings.accessTokenTtl }),
      ...own,
      identity_scopes: scope,
      profile: client.settings.profile,
      dpop_nonce: client.settings.dpopNonce,
      pkce: client.settings.pkce,
      self_registered: client.registeredBy !== undefined,
      ...(hasSecret(client.metadata) ? { client_secret: placeholderSecret } : {}),
    };
    known.set(client, metadata);
  }
  return metadata;
}
