import type Provider from 'oidc-provider';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { JWT_BEARER } from '../../client/client.ts';
import { fits, type TrustedSubject } from '../../issuer/issuer.ts';
import { useIdOnce } from '../client-authentication/replays.ts';
import type { ResourceInfo } from '../authorization/resources.ts';
import { narrowScopes, parseScope } from '../authorization/scopes.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';
import { type Assertion, invalid, verifyAssertion } from './assertion.ts';
import { giveClaims } from './given-claims.ts';
import type { GrantSurroundings } from './grant-parts.ts';
import { bind, type Proofs, takeProofs } from './proofs.ts';
import { refusal } from './refusal.ts';

/**
 * A machine's token for an assertion of somebody whom the operator trusts (RFC 7523, section 2.1): a workload shows who it is
 * instead of, or besides, a secret. It stands for a client of ours, and never for a person (docs/decisions).
 */
export function registerJwtBearer(
  provider: Provider,
  { trustedIssuers, keySets, resourceInfo }: GrantSurroundings,
): void {
  provider.registerGrantType(
    JWT_BEARER,
    async (ctx) => {
      const { clientId } = ctx.oidc.client as { clientId: string };
      const { assertion: text, resource } = ctx.oidc.params ?? {};
      if (typeof text !== 'string')
        throw refusal(
          new errors.InvalidRequest('missing required parameter assertion'),
          'malformed',
        );
      if (typeof resource !== 'string')
        throw refusal(
          new errors.InvalidTarget('name the one API that the token is for in resource'),
          'target',
        );
      const proofs = await takeProofs(ctx);
      const assertion = await verifyAssertion(text, {
        issuers: trustedIssuers,
        keySets,
        audiences: [provider.issuer, ctx.oidc.urlFor('token')],
      });
      const subject = checkSubject(ctx, assertion, resource);
      const info = await resourceInfo(resource, clientId);
      if (info === undefined)
        throw refusal(
          new errors.InvalidTarget('the resource is unknown, or not open to this client'),
          'target_not_allowed',
        );
      const scopes = scopesOf(ctx.oidc.params?.scope, subject, info);
      await useUp(assertion);
      await proofs.use();
      await issue(ctx, { assertion, subject, info, scopes, proofs });
    },
    ['assertion', 'scope', 'resource'],
  );
}

/** What the subject of the assertion may have as this client at this API. @throws InvalidGrant */
function checkSubject(
  ctx: KoaContextWithOIDC,
  { issuer, subject }: Assertion,
  api: string,
): TrustedSubject {
  const { clientId, clientAuthMethod } = ctx.oidc.client as {
    clientId: string;
    clientAuthMethod: string;
  };
  const named = issuer.subjects.filter(
    (one) => one.clientId === clientId && one.api === api && fits(one, subject),
  );
  const [first] = named;
  if (first === undefined) throw invalid('subject_not_allowed');
  if (clientAuthMethod !== 'none') return first;
  const open = named.find((one) => one.public);
  if (open === undefined) throw invalid('client_not_authenticated');
  return open;
}

/**
 * What was asked for, as far as the subject and the client's own allow-list go.
 * @throws InvalidScope
 */
function scopesOf(asked: unknown, { scopes }: TrustedSubject, { scope }: ResourceInfo): string[] {
  const open = parseScope(scope);
  const given = narrowScopes(
    parseScope(asked),
    scopes.filter((one) => open.has(one)),
  );
  if (given === undefined)
    throw refusal(
      new errors.InvalidScope('none of the scopes may be had with this assertion', ''),
      'scope_not_allowed',
    );
  return given;
}

/** The last thing that is asked, so that a mistake of the client's own uses nothing up. */
async function useUp({ issuer, jti, expiresAt }: Assertion): Promise<void> {
  if (issuer.reusable || jti === undefined) return;
  if (!(await useIdOnce(`authorization ${issuer.id} ${jti}`, expiresAt)))
    throw invalid('assertion_replayed');
}

interface Grant {
  readonly assertion: Assertion;
  readonly subject: TrustedSubject;
  readonly info: ResourceInfo;
  readonly scopes: readonly string[];
  readonly proofs: Proofs;
}

async function issue(
  ctx: KoaContextWithOIDC,
  { assertion, subject, info, scopes, proofs }: Grant,
): Promise<void> {
  const { provider, client } = ctx.oidc;
  if (client === undefined) throw new errors.InvalidClientAuth('there is no client');
  const token = new provider.ClientCredentials({
    client,
    scope: scopes.join(' ') || undefined,
    resourceServer: new provider.ResourceServer(subject.api, info),
  });
  giveClaims(token, { may_act: assertion.mayAct });
  bind(token, proofs);
  const value = await token.save();
  currentUnit().audit({
    type: 'token.asserted',
    outcome: 'success',
    clientId: client.clientId,
    data: {
      issuer: assertion.issuer.issuer,
      rule: subject.id,
      subject: assertion.subject,
      resource: subject.api,
      scopes,
    },
  });
  ctx.body = {
    access_token: value,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope: token.scope,
  };
}
