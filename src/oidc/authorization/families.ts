import type { Client, Grant, KoaContextWithOIDC } from 'oidc-provider';
import { changesSince } from '../../client/client.ts';
import type { ClientService } from '../../client/client.service.ts';
import type { Permissions } from '../../db/schema.ts';
import { randomToken } from '../../lib/hash.ts';
import type { Sealer } from '../../lib/seal.ts';
import { epochSeconds, fromEpoch } from '../../lib/time.ts';
import { canonicalJson } from '../../lib/canonical-json.ts';
import type { AuthorizationDetail } from '../../resource-server/resource-server.ts';
import type { ResourceServerService } from '../../resource-server/resource-server.service.ts';
import { withinAllowList } from './allow-list.ts';
import { skipsConsent } from '../apps.ts';
import { isConsoleClient } from '../console-clients.ts';
import { grantedDetails, isDecidedHere } from './granted-details.ts';
import type { FamilyRecord } from '../../unit-of-work/records.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

interface Decision {
  readonly granted: Permissions;
  readonly rejected: Permissions;
  readonly version: number | undefined;
  /** Of the authorization details that are asked for now. */
  readonly details: readonly AuthorizationDetail[];
}

/**
 * Gives the session's live family for the client, or one built from what the person decided for it; undefined where
 * nothing was decided. It lives `usualTtl` seconds where the client has no setting of its own. It is written only once the request is accepted (see `saveAcceptedFamily`).
 */
export function createLoadExistingGrant(
  clients: ClientService,
  resourceServers: ResourceServerService,
  usualTtl: number,
): (ctx: KoaContextWithOIDC) => Promise<Grant | undefined> {
  return async (ctx) => {
    const { client, account, session } = ctx.oidc;
    if (!client || !account || !session) return undefined;
    const decision = await findDecision(ctx, clients, resourceServers, {
      accountId: account.accountId,
      clientId: client.clientId,
    });
    if (decision === undefined) return undefined;
    // What a program polls for is its own, and not the browser's.
    const familyId =
      ctx.oidc.route === 'device_resume' ? undefined : session.grantIdFor(client.clientId);
    const family = familyId === undefined ? undefined : await currentUnit().findFamily(familyId);
    const familyTtl = (await clients.find(client.clientId))?.settings.familyTtl ?? usualTtl;
    return family &&
      isUsable(family, account.accountId, client.clientId, familyTtl) &&
      isOfSameKind(family, client) &&
      isOfSameDetails(ctx, family, decision)
      ? buildGrant(ctx, family.id, decision, epochSeconds(family.expiresAt))
      : buildGrant(ctx, randomToken(16), decision, epochSeconds() + familyTtl);
  };
}

/** One that would die soon makes room for a new one, so that a person who comes daily is not asked to sign in again. */
function isUsable(
  family: FamilyRecord,
  accountId: string,
  clientId: string,
  familyTtl: number,
): boolean {
  const left = epochSeconds(family.expiresAt) - epochSeconds();
  return (
    !family.revoked &&
    !family.expired &&
    family.accountId === accountId &&
    family.clientId === clientId &&
    left > familyTtl / 2 &&
    left <= familyTtl
  );
}

/** What was given to a client that authenticates is of no use to one that does not: see tokens.ts. */
function isOfSameKind({ payload }: FamilyRecord, client: Client): boolean {
  return payload.confidential === undefined || payload.confidential === isConfidential(client);
}

const isConfidential = ({ clientAuthMethod }: Client) => clientAuthMethod !== 'none';

/**
 * What is allowed once is a family of its own: ending it ends that and nothing else, and no later request changes what its
 * tokens rest on.
 */
function isOfSameDetails(
  ctx: KoaContextWithOIDC,
  { payload }: FamilyRecord,
  { details }: Decision,
): boolean {
  const before = (payload.rar ?? []) as AuthorizationDetail[];
  return details.length === 0
    ? before.length === 0
    : !isDecidedHere(ctx) && canonicalJson(before) === canonicalJson(details);
}

async function findDecision(
  ctx: KoaContextWithOIDC,
  clients: ClientService,
  resourceServers: ResourceServerService,
  { accountId, clientId }: { readonly accountId: string; readonly clientId: string },
): Promise<Decision | undefined> {
  if (isConsoleClient(clientId)) return { ...requested(ctx), version: undefined, details: [] };
  const record = await clients.find(clientId);
  if (record === undefined) return undefined;
  const consent = await currentUnit().findConsent(accountId, clientId);
  if (consent !== undefined) {
    // The person decided about another client than this one is now.
    if (changesSince(record, consent.shown).length > 0) return undefined;
    currentUnit().useConsent(consent);
    const granted = withinAllowList(record, consent.granted);
    const details = await grantedDetails(ctx, resourceServers, record, granted.details ?? []);
    return { ...consent, granted, details };
  }
  if (!skipsConsent(record)) return undefined;
  const details = await grantedDetails(ctx, resourceServers, record, 'all');
  return { ...requested(ctx), version: undefined, details };
}

/** All that is asked for, as far as the client may ask for it: for those of our own that skip consent. */
function requested(ctx: KoaContextWithOIDC): Pick<Decision, 'granted' | 'rejected'> {
  const resources = Object.entries(ctx.oidc.resourceServers ?? {}).map(([identifier, server]) => [
    identifier,
    [...ctx.oidc.requestParamScopes].filter((scope) => server.scopes.has(scope)),
  ]);
  return {
    granted: {
      scopes: [...ctx.oidc.requestParamOIDCScopes],
      claims: [...ctx.oidc.requestParamClaims],
      resources: Object.fromEntries(resources),
    },
    rejected: { scopes: [], claims: [], resources: {} },
  };
}

function buildGrant(ctx: KoaContextWithOIDC, id: string, decision: Decision, exp: number): Grant {
  const { client, account, provider } = ctx.oidc;
  const grant = new provider.Grant({
    accountId: account?.accountId as string,
    clientId: client?.clientId as string,
  });
  Object.assign(grant, { jti: id, iat: epochSeconds(), exp });
  const { granted, rejected, details } = decision;
  if (details.length > 0) grant.rar = [...details] as typeof grant.rar;
  if (granted.scopes.length > 0) grant.addOIDCScope(granted.scopes.join(' '));
  if (granted.claims.length > 0) grant.addOIDCClaims(granted.claims);
  for (const [resource, scopes] of Object.entries(granted.resources))
    grant.addResourceScope(resource, scopes.join(' '));
  if (rejected.scopes.length > 0) grant.rejectOIDCScope(rejected.scopes.join(' '));
  if (rejected.claims.length > 0) grant.rejectOIDCClaims(rejected.claims);
  for (const [resource, scopes] of Object.entries(rejected.resources))
    grant.rejectResourceScope(resource, scopes.join(' '));
  return grant;
}

/** Writes the family of a request that is being answered with a code: new, or where it holds other things than before. */
export function saveAcceptedFamily(ctx: KoaContextWithOIDC, sealer: Sealer): void {
  const { grant, client, account, session } = ctx.oidc;
  if (!grant?.jti || !client || !account || isConsoleClient(client.clientId)) return;
  const unit = currentUnit();
  const known = unit.findKnownFamily(grant.jti);
  const consentVersion = unit.findKnownConsent(account.accountId, client.clientId)?.version;
  const { openid, resources, rejected, rar } = grant;
  const payload = {
    openid,
    resources,
    rejected,
    ...(rar === undefined ? {} : { rar }),
    confidential: isConfidential(client),
  };
  const isSame = known && canonicalJson(known.payload) === canonicalJson(payload);
  if (isSame && known.consentVersion === consentVersion) return;
  unit.saveFamily({
    id: grant.jti,
    exists: known !== undefined,
    accountId: account.accountId,
    clientId: client.clientId,
    sessionUid: session?.uid,
    consentVersion,
    payload,
    offline: grant.getOIDCScope().split(' ').includes('offline_access'),
    keyId: known?.keyId ?? sealer.keyId,
    expiresAt: fromEpoch(grant.exp as number),
  });
  if (known === undefined) {
    unit.audit({
      type: 'family.started',
      outcome: 'success',
      accountId: account.accountId,
      clientId: client.clientId,
      grantId: grant.jti,
    });
  }
}
