import {
  type Client,
  type ClaimsParameter,
  errors,
  interactionPolicy,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import { mayHaveClaim } from './allow-list.ts';
import type { Subjects } from '../../unit-of-work/subjects.ts';

/** What a request says of a single claim (OpenID Connect Core, section 5.5.1). */
interface ClaimRequest {
  readonly essential?: unknown;
  readonly value?: unknown;
  readonly values?: unknown;
}

const places = ['userinfo', 'id_token'] as const;

/**
 * Takes out of the `claims` parameter what belongs to scopes that the client was not given, as if it were not known
 * (OpenID Connect Core, section 5.5): single claims lead around no allow-list.
 * @throws InvalidRequest where a member is neither null nor an object, or names no subject that could be one.
 */
export function limitClaimsParameter(
  ctx: KoaContextWithOIDC,
  asked: ClaimsParameter,
  client: Client,
): void {
  const { identity_scopes: scopes } = client as { readonly identity_scopes?: string };
  const limited = places.flatMap((name) => {
    const members = Object.entries(asked[name] ?? {});
    if (members.some(([, value]) => typeof value !== 'object' || Array.isArray(value)))
      throw new errors.InvalidRequest(`claims.${name} members must be null or objects`);
    return asked[name] === undefined
      ? []
      : [
          [
            name,
            Object.fromEntries(members.filter(([claim]) => mayHaveClaim(scopes, claim))),
          ] as const,
        ];
  });
  const kept = JSON.stringify(Object.fromEntries(limited));
  for (const subjects of wantedSubjects(kept))
    if (!Array.isArray(subjects) || subjects.some((one) => typeof one !== 'string'))
      throw new errors.InvalidRequest('the value of a sub must be a string');
  if (ctx.oidc.params) ctx.oidc.params.claims = kept;
}

function requestOf(parameter: unknown, place: (typeof places)[number], claim: string) {
  if (typeof parameter !== 'string') return undefined;
  const asked = JSON.parse(parameter) as Record<string, Record<string, ClaimRequest | null>>;
  return asked[place]?.[claim] ?? undefined;
}

/**
 * Whom a request is about, as its client knows people: the subject has to be in each of these lists (section 5.5.1). In
 * the ID token and at userinfo it is the same one.
 */
export function wantedSubjects(parameter: unknown): (readonly unknown[])[] {
  return places.flatMap((place) => {
    const { value, values } = requestOf(parameter, place, 'sub') ?? {};
    return [
      ...(value === undefined ? [] : [[value]]),
      ...(values === undefined ? [] : [values as unknown[]]),
    ];
  });
}

/** What is said of the `acr` of the ID token; the engine puts `acr_values` in its place, where both are there. */
export const acrRequest = (ctx: KoaContextWithOIDC): ClaimRequest | undefined =>
  requestOf(ctx.oidc.params?.claims, 'id_token', 'acr');

/** In place of the engine's own check, which knows one value in the ID token and nothing else. */
export function otherSubject(clients: ClientService, subjects: Subjects): interactionPolicy.Check {
  return new interactionPolicy.Check(
    'claims_sub_values',
    'requested subject could not be obtained',
    'login_required',
    async (ctx) => {
      const wanted = wantedSubjects(ctx.oidc.params?.claims);
      const { accountId } = ctx.oidc.session ?? {};
      // Who is nobody yet is asked to sign in anyway.
      if (wanted.length === 0 || accountId === undefined) return false;
      const client = await clients.find(ctx.oidc.client?.clientId ?? '');
      const subject = subjects.of(accountId, client?.settings.sector);
      return wanted.some((list) => !list.includes(subject));
    },
  );
}
