import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import type { Client } from '../../client/client.ts';
import { sha256 } from '../../lib/hash.ts';
import { canonicalJson } from '../../lib/canonical-json.ts';
import type { AuthorizationDetail } from '../../resource-server/resource-server.ts';
import type { ResourceServerService } from '../../resource-server/resource-server.service.ts';
import { mayAskFor, readDetails } from './details.ts';

/** What a person decided on the consent page of this very request; kept in the interaction, which no browser sees. */
export interface DecidedHere {
  readonly accountId: string;
  /** The names of the details that were allowed: see `nameOfDetail`. */
  readonly details: readonly string[];
}

/** A name that a detail has by its content: any other content has another one. */
export const nameOfDetail = (detail: AuthorizationDetail): string =>
  sha256(canonicalJson(detail)).toString('base64url');

function decidedHere(ctx: KoaContextWithOIDC): DecidedHere | undefined {
  const decided = (ctx.oidc.result?.consent as { decided?: DecidedHere } | undefined)?.decided;
  return decided !== undefined && decided.accountId === ctx.oidc.session?.accountId
    ? decided
    : undefined;
}

/**
 * Of the details that the request asks for, those that it is given: decided on its own consent page; or of a type that
 * may be remembered, and among `remembered` with exactly this content. What is of a type that is no longer open to
 * the client is not given.
 */
export async function grantedDetails(
  ctx: KoaContextWithOIDC,
  resourceServers: ResourceServerService,
  client: Client,
  remembered: readonly AuthorizationDetail[] | 'all',
): Promise<AuthorizationDetail[]> {
  const decided = new Set(decidedHere(ctx)?.details);
  const known =
    remembered === 'all' ? undefined : new Set(remembered.map((one) => nameOfDetail(one)));
  const given = await Promise.all(
    readDetails(ctx.oidc.params?.authorization_details).map(async (detail) => {
      const type = await resourceServers.findDetailType(detail.type);
      if (type === undefined || !mayAskFor(client, type.type)) return [];
      const name = nameOfDetail(detail);
      const isKnown = type.remember && (known?.has(name) ?? true);
      return decided.has(name) || isKnown ? [detail] : [];
    }),
  );
  return given.flat();
}

/** Whether details were decided on just now: what is given then is this request's own. */
export const isDecidedHere = (ctx: KoaContextWithOIDC): boolean => decidedHere(ctx) !== undefined;

/**
 * Asks the person for each detail that is not given already. In place of the engine's own check, which asks for all of
 * them each time, and takes any answer of the page for a yes.
 */
export function undecidedDetails(): interactionPolicy.Check {
  return new interactionPolicy.Check(
    'details_undecided',
    'authorization details were requested that are not granted',
    'consent_required',
    (ctx) => {
      if (isDecidedHere(ctx)) return false;
      const given = new Set(
        (ctx.oidc.grant?.rar as AuthorizationDetail[] | undefined)?.map(nameOfDetail),
      );
      return readDetails(ctx.oidc.params?.authorization_details).some(
        (detail) => !given.has(nameOfDetail(detail)),
      );
    },
  );
}
