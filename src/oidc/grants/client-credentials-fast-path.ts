import type Provider from 'oidc-provider';
import type { Client } from '../../client/client.ts';
import type { Database } from '../../db/database.ts';
import { StatementBatch } from '../../db/statement-batch.ts';
import type { FastPath } from '../../http/fast-path.ts';
import { sha256 } from '../../lib/hash.ts';
import { tokenWrite } from '../adapter/tokens.ts';
import { isFapi } from '../client-authentication/assertions.ts';
import type { Payload } from '../../unit-of-work/records.ts';
import type { ResourceInfo } from '../authorization/resources.ts';
import { narrowScopes, parseScope } from '../authorization/scopes.ts';
import { insertMachineTokens } from '../../unit-of-work/token-writes.ts';
import type { TokenWrite } from '../../unit-of-work/writes.ts';

const fields = new Set(['grant_type', 'scope', 'resource', 'client_id', 'client_secret']);

/** RFC 6749, section 3.3; with extra spaces. */
const scopeSyntax = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

export interface ClientCredentialsParts {
  readonly db: Database;
  readonly provider: () => Provider;
  /** What the client may have of the API, as the engine is told it; undefined where that is nothing. */
  readonly resourceInfo: (
    identifier: string,
    clientId: string,
  ) => Promise<ResourceInfo | undefined>;
  /** The API that is meant by scopes alone; undefined where they don't tell. */
  readonly impliedResource: (
    asked: ReadonlySet<string>,
    clientId: string,
  ) => Promise<string | undefined>;
}

type EngineClient = InstanceType<Provider['Client']>;

/** What the engine's model does to save itself (lib/models/base_model.js). */
type Token = InstanceType<Provider['ClientCredentials']> & {
  generateTokenId(): string;
  getValueAndPayload(): Promise<Made>;
};

interface Made {
  readonly value: string;
  /** What is stored; a JWT leaves nothing behind. */
  readonly payload?: Payload & { readonly exp: number };
}

/**
 * A machine's token for one API (RFC 6749, section 4.4; RFC 8707): made by the engine's own model, so that it is the
 * engine's token by every byte, and on disk before the answer leaves where it is an opaque one.
 */
export function clientCredentialsFastPath(parts: ClientCredentialsParts): FastPath<Client> {
  const rows = new StatementBatch((writes: readonly TokenWrite[], deadline) =>
    insertMachineTokens(parts.db, writes, deadline),
  );
  return {
    route: 'token',
    path: '/token',
    fields,
    exposedHeaders: 'DPoP-Nonce,WWW-Authenticate',
    async answer(caller, form, deadline) {
      const scope = form.get('scope');
      if (form.get('grant_type') !== 'client_credentials') return undefined;
      if (scope !== undefined && !scopeSyntax.test(scope)) return undefined;
      const asked = parseScope(scope);
      const resource =
        form.get('resource') ??
        caller.settings.defaultResource ??
        (await parts.impliedResource(asked, caller.id));
      if (resource === undefined) return undefined;
      const provider = parts.provider();
      const client = await provider.Client.find(caller.id);
      if (client === undefined || !isPlain(client)) return undefined;
      const info = await parts.resourceInfo(resource, caller.id);
      if (info === undefined) return undefined;
      const given = narrowScopes(asked, parseScope(info.scope));
      // The engine says why not.
      if (given === undefined) return undefined;
      const token = new provider.ClientCredentials({
        client,
        scope: given.join(' ') || undefined,
        resourceServer: new provider.ResourceServer(resource, info),
      }) as Token;
      const made = await make(token);
      if (made === undefined) return undefined;
      // What fails here may have been written: it is not tried again.
      if (made.payload !== undefined) await rows.do(rowOf(made.value, made.payload), deadline);
      const body = {
        access_token: made.value,
        expires_in: token.expiration,
        scope: token.scope,
        token_type: token.tokenType,
      };
      return { body: JSON.stringify(body), result: 'client_credentials' };
    },
  };
}

/** As the model saves itself; undefined where that fails before anything is written. */
async function make(token: Token): Promise<Made | undefined> {
  try {
    token.jti = token.generateTokenId();
    return await token.getValueAndPayload();
  } catch {
    return undefined;
  }
}

function rowOf(id: string, stored: Payload & { readonly exp: number }): TokenWrite {
  // The id is kept as a hash alone.
  const { jti: _, ...payload } = stored;
  return { ...tokenWrite('machine', id, payload), payload, idHash: sha256(id) };
}

/** It gets bearer tokens for its secret, and has to prove nothing more. */
function isPlain(client: EngineClient): boolean {
  const { dpopBoundAccessTokens, tlsClientCertificateBoundAccessTokens } = client;
  return (
    client.grantTypeAllowed('client_credentials') &&
    !isFapi(client) &&
    dpopBoundAccessTokens !== true &&
    tlsClientCertificateBoundAccessTokens !== true
  );
}
