import type Provider from 'oidc-provider';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { TOKEN_EXCHANGE } from '../../client/client.ts';
import type { ExchangeRule } from '../../exchange/exchange.ts';
import { sha256 } from '../../lib/hash.ts';
import { epochSeconds, fromEpoch } from '../../lib/time.ts';
import { isJwt, type LiveToken } from '../../unit-of-work/live-token.ts';
import type { ResourceInfo } from '../authorization/resources.ts';
import { narrowScopes, parseScope } from '../authorization/scopes.ts';
import { tokenWrite } from '../adapter/tokens.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';
import type { TokenSource } from '../../unit-of-work/writes.ts';
import { actOf, checkActor, checkMayAct } from './actors.ts';
import {
  ACCESS_TOKEN,
  type ExchangeRequest,
  exchangeParameters,
  parseExchange,
  repeatable,
} from './exchange-request.ts';
import { giveClaims } from './given-claims.ts';
import type { GrantSurroundings } from './grant-parts.ts';
import { bind, checkBound, type Proofs, takeProofs } from './proofs.ts';
import { refusal } from './refusal.ts';

/** So many exchanges one behind the other, and so many who act. */
const DEEPEST = 4;

/** The token exchange (RFC 8693) of access tokens of ours into access tokens of ours, and only to less than they were. */
export function registerTokenExchange(
  provider: Provider,
  { exchangeRules, findLive, resourceInfo }: GrantSurroundings,
): void {
  provider.registerGrantType(
    TOKEN_EXCHANGE,
    async (ctx) => {
      const { clientId } = ctx.oidc.client as { clientId: string };
      const request = parseExchange(ctx.oidc.params ?? {});
      const proofs = await takeProofs(ctx);
      const rules = (await exchangeRules.find(clientId)).filter(
        ({ target }) => target === request.target,
      );
      const info = await resourceInfo(request.target, clientId);
      if (rules.length === 0 || info === undefined)
        throw refusal(
          new errors.InvalidTarget('the resource is unknown, or not open to this client'),
          'target_not_allowed',
        );
      const [subject, actor] = await Promise.all([
        findLive(request.subjectToken),
        request.actorToken === undefined ? undefined : findLive(request.actorToken),
      ]);
      const { live, rule } = checkSubject(subject, rules, clientId);
      if (request.actorToken !== undefined) checkActor(actor, rule);
      checkMayAct(live, actor?.clientId ?? clientId, provider.issuer);
      for (const token of [live, actor]) if (token !== undefined) checkBound(token, proofs);
      const scopes = scopesOf(request, rule, info, live);
      await proofs.use();
      await issue(ctx, { request, rule, info, subject: live, actor, scopes, proofs });
    },
    exchangeParameters,
    repeatable,
  );
}

/**
 * Whether the token may be exchanged by this client at all. Why not is told to the audit alone: who has found a token learns
 * nothing of it here.
 * @throws InvalidRequest (section 2.2.2)
 */
function checkSubject(
  subject: LiveToken | undefined,
  rules: readonly ExchangeRule[],
  clientId: string,
): { readonly live: LiveToken; readonly rule: ExchangeRule } {
  const refuse = (reason: string) =>
    refusal(
      new errors.InvalidRequest(
        'the subject token is no live access token, or not one that this client may exchange for this resource',
      ),
      { reason, accountId: subject?.accountId, grantId: subject?.grantId },
    );
  if (subject === undefined) throw refuse('subject_not_live');
  if (subject.kind === 'refresh') throw refuse('subject_is_refresh_token');
  const audience = [subject.audience].flat();
  // Who it is for is said in the rule: a token that is meant for another API is never exchanged, whoever has found it.
  const rule = rules.find(({ source }) => audience.includes(source));
  if (rule === undefined) throw refuse('subject_for_another');
  if (subject.accountId === undefined && machineOf(subject) === clientId)
    throw refuse('subject_is_own');
  if (subject.generation >= DEEPEST) throw refuse('too_deep');
  return { live: subject, rule };
}

/**
 * What was asked for, as far as the rule and the client's own allow-list go; at an API that the subject token is for, also
 * as far as that token's own scopes go. At another API, the rule decides what the new token is worth.
 * @throws InvalidScope
 */
function scopesOf(
  { scopes: asked, target }: ExchangeRequest,
  rule: ExchangeRule,
  { scope }: ResourceInfo,
  subject: LiveToken,
): string[] {
  const open = parseScope(scope);
  const own = [subject.audience].flat().includes(target) ? new Set(subject.scopes) : undefined;
  const possible = rule.scopes.filter((one) => open.has(one) && (own?.has(one) ?? true));
  const given = narrowScopes(asked, possible);
  if (given === undefined)
    throw refusal(
      new errors.InvalidScope('none of the scopes may be had by this exchange', ''),
      'scope_not_allowed',
    );
  return given;
}

interface Exchange {
  readonly request: ExchangeRequest;
  readonly rule: ExchangeRule;
  readonly info: ResourceInfo;
  readonly subject: LiveToken;
  readonly actor: LiveToken | undefined;
  readonly scopes: readonly string[];
  readonly proofs: Proofs;
}

async function issue(
  ctx: KoaContextWithOIDC,
  { request, rule, info, subject, actor, scopes, proofs }: Exchange,
): Promise<void> {
  const unit = currentUnit();
  const { provider, client } = ctx.oidc;
  if (client === undefined) throw new errors.InvalidClientAuth('there is no client');
  const act = actOf(subject, actor, rule);
  const { accountId, grantId, sessionUid } = subject;
  const basis = {
    client,
    scope: scopes.join(' ') || undefined,
    resourceServer: new provider.ResourceServer(rule.target, info),
  };
  // It belongs to the family, and to the session, of the token that it is made from, and ends with them.
  const token =
    accountId === undefined
      ? new provider.ClientCredentials(basis)
      : new provider.AccessToken({
          ...basis,
          accountId,
          grantId,
          gty: 'token_exchange',
          ...(sessionUid === undefined ? {} : { sessionUid, expiresWithSession: true }),
        } as unknown as ConstructorParameters<typeof provider.AccessToken>[0]);
  const ends = [epochSeconds() + token.expiration, subject.expiresAt];
  token.exp = Math.min(...ends, actor?.expiresAt ?? Infinity);
  const machineId = accountId === undefined ? machineOf(subject) : undefined;
  giveClaims(token, {
    sub: machineId ?? subject.subject,
    act,
    may_act: subject.mayAct,
    acr: subject.acr,
    auth_time: subject.authTime,
  });
  bind(token, proofs, subject);
  unit.makeFrom({
    generation: subject.generation + 1,
    tokens: [
      sourceOf(request.subjectToken, subject),
      ...(actor === undefined ? [] : [sourceOf(request.actorToken as string, actor)]),
    ],
  });
  const value = await token.save();
  // A machine's JWT leaves no row otherwise: this one ends with what it was made from.
  if (machineId !== undefined && info.accessTokenFormat === 'jwt')
    unit.addToken({
      ...tokenWrite('jwt', token.jti, { clientId: client.clientId, exp: token.exp }),
      payload: { extra: { sub: machineId } },
    });
  unit.audit({
    type: 'token.exchanged',
    outcome: 'success',
    accountId,
    clientId: client.clientId,
    grantId,
    data: {
      rule: rule.id,
      source: rule.source,
      target: rule.target,
      scopes,
      subject_client: subject.clientId,
      actor: act === undefined ? undefined : (actor?.clientId ?? client.clientId),
    },
  });
  ctx.body = {
    access_token: value,
    issued_token_type: ACCESS_TOKEN,
    token_type: token.tokenType,
    expires_in: token.exp - epochSeconds(),
    scope: token.scope,
  };
}

/** The machine that a token without a person stands for. */
const machineOf = ({ subject, clientId }: LiveToken) => subject ?? clientId;

/** A JWT is known by its `jti`; the `jti` that introspection reports for an opaque token is only derived from it. */
const sourceOf = (token: string, { jti, clientId, issuedAt }: LiveToken): TokenSource => ({
  idHash: sha256(isJwt(token) ? jti : token),
  clientId,
  issuedAt: fromEpoch(issuedAt),
});
