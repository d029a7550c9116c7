import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import { isLocalRedirect } from '../client/client.ts';
import { preferredAcr, rankOf } from './acr.ts';

const { Check, base } = interactionPolicy;

interface AcrRequest {
  readonly essential?: boolean;
  readonly value?: string;
  readonly values?: readonly string[];
}

/** What an essential `acr` claim asks for (OpenID Connect Core, section 5.5.1.1), or undefined where none is asked for. */
function essentialAcrs(ctx: KoaContextWithOIDC): readonly string[] | undefined {
  const request = (ctx.oidc.claims as { id_token?: { acr?: AcrRequest | null } } | undefined)
    ?.id_token?.acr;
  if (!request?.essential) return undefined;
  const asked = request.values ?? (request.value === undefined ? undefined : [request.value]);
  if (asked === undefined) return undefined;
  if (!Array.isArray(asked) || asked.some((value) => typeof value !== 'string')) {
    throw new errors.InvalidRequest('the values of an essential acr must be strings');
  }
  return asked;
}

/**
 * The context class that this request wants a sign-in to reach, or undefined where any will do.
 * @throws UnmetAuthenticationRequirements where an essential one can't be reached here.
 */
export function wantedAcr(ctx: KoaContextWithOIDC): string | undefined {
  const essential = essentialAcrs(ctx);
  if (essential !== undefined) {
    const reachable = preferredAcr(essential);
    if (reachable === undefined) {
      throw new errors.UnmetAuthenticationRequirements(
        'none of the requested authentication context classes can be reached',
      );
    }
    return reachable;
  }
  const values = ctx.oidc.params?.acr_values;
  return typeof values === 'string' ? preferredAcr(values.split(' ')) : undefined;
}

/** Whether the session is as strong as the request wants it; a voluntary wish is followed like an essential one. */
function isAcrMissing(ctx: KoaContextWithOIDC): boolean {
  return rankOf(ctx.oidc.session?.acr) < rankOf(wantedAcr(ctx));
}

/** Anybody on the person's machine can listen on loopback or claim a private scheme: there the page is always shown. */
function isLocalPublicClient(ctx: KoaContextWithOIDC): boolean {
  const { client, params, result } = ctx.oidc;
  const isPublic = client?.clientAuthMethod === 'none';
  return (
    isPublic &&
    isLocalRedirect(String(params?.redirect_uri)) &&
    params?.response_type !== 'none' &&
    !result?.consent
  );
}

/** The engine's policy with our context classes and our rule for local redirects in place of its own. */
export function createPolicy(): interactionPolicy.DefaultPolicy {
  const policy = base();
  const login = policy.get('login');
  const consent = policy.get('consent');
  if (!login || !consent) throw new TypeError('the engine has no login or consent prompt');
  login.checks.remove('essential_acrs');
  login.checks.remove('essential_acr');
  login.checks.add(
    new Check(
      'acr',
      'the requested authentication context class could not be obtained',
      'login_required',
      isAcrMissing,
      (ctx) => ({
        acr: wantedAcr(ctx),
      }),
    ),
  );
  consent.checks.remove('native_client_prompt');
  consent.checks.add(
    new Check(
      'local_redirect',
      'apps on the device itself ask each time',
      'consent_required',
      isLocalPublicClient,
    ),
  );
  return policy;
}
