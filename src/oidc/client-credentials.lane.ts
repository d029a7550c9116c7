import type Provider from 'oidc-provider';
import type { Client } from '../client/client.ts';
import type { Database } from '../db/database.ts';
import type { Lane } from '../http/lane.ts';
import { isFapi } from './assertions.ts';
import type { ResourceInfo } from './resources.ts';
import { UnitOfWork, withUnit } from './unit-of-work.ts';

const fields = new Set(['grant_type', 'scope', 'resource', 'client_id', 'client_secret']);

/** RFC 6749, section 3.3. */
const scopeSyntax = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/;

export interface ClientCredentialsParts {
  readonly db: Database;
  readonly provider: () => Provider;
  /** What the client may have of the API, as the engine is told it; undefined where that is nothing. */
  readonly resourceInfo: (
    identifier: string,
    clientId: string,
  ) => Promise<ResourceInfo | undefined>;
}

type EngineClient = InstanceType<Provider['Client']>;

/**
 * A machine's token for one API (RFC 6749, section 4.4; RFC 8707): made by the engine's own model, so that it is the
 * engine's token by every byte, and on disk before the answer leaves where it is an opaque one.
 */
export function clientCredentialsLane(parts: ClientCredentialsParts): Lane<Client> {
  return {
    route: 'token',
    path: '/token',
    fields,
    exposedHeaders: 'DPoP-Nonce,WWW-Authenticate',
    async answer(caller, form) {
      const scope = form.get('scope');
      const resource = form.get('resource') ?? caller.settings.defaultResource;
      if (form.get('grant_type') !== 'client_credentials' || resource === undefined)
        return undefined;
      if (scope !== undefined && !scopeSyntax.test(scope)) return undefined;
      const provider = parts.provider();
      const client = await provider.Client.find(caller.id);
      if (client === undefined || !isPlain(client)) return undefined;
      const info = await parts.resourceInfo(resource, caller.id);
      if (info === undefined) return undefined;
      const asked = new Set(scope?.split(' '));
      const open = new Set(info.scope.split(' '));
      const token = new provider.ClientCredentials({
        client,
        scope: [...asked].filter((one) => open.has(one)).join(' ') || undefined,
        resourceServer: new provider.ResourceServer(resource, info),
      });
      const value = await save(parts.db, token);
      if (value === undefined) return undefined;
      const body = {
        access_token: value,
        expires_in: token.expiration,
        scope: token.scope,
        token_type: token.tokenType,
      };
      return { body: JSON.stringify(body), result: 'client_credentials' };
    },
  };
}

/** Undefined where nothing was written; what fails in the commit may have been, and is not tried again. */
async function save(
  db: Database,
  token: InstanceType<Provider['ClientCredentials']>,
): Promise<string | undefined> {
  const unit = new UnitOfWork(db);
  let value: string;
  try {
    value = await withUnit(unit, () => token.save());
  } catch {
    return undefined;
  }
  const { lost } = await unit.commit(true);
  return lost === undefined ? value : undefined;
}

/** It gets bearer tokens for its secret, and has to prove nothing more. */
function isPlain(client: EngineClient): boolean {
  const { dpopBoundAccessTokens, tlsClientCertificateBoundAccessTokens, scope } = client;
  return (
    client.grantTypeAllowed('client_credentials') &&
    !isFapi(client) &&
    dpopBoundAccessTokens !== true &&
    tlsClientCertificateBoundAccessTokens !== true &&
    scope === undefined
  );
}
