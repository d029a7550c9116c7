import { errors, interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../../config.ts';
import { isLocalRedirect } from '../../client/client.ts';
import { acr, preferredAcr, rankOf } from './acr.ts';
import { askedAccount, confirmRequest } from '../decoupled/prompts.ts';
import { create, selectAccount } from './prompts.ts';
import { acrRequest } from './claims-parameter.ts';
import { undecidedDetails } from './granted-details.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

const { Check, base } = interactionPolicy;

/** Who must have a second factor. */
type SecondFactorRule = Config['requireSecondFactor'];

interface AskedAcrs {
  readonly essential: boolean;
  readonly values: readonly string[];
}

/** What an `acr` claim asks for (OpenID Connect Core, section 5.5.1.1), or undefined where it names no value. */
function askedAcrs(ctx: KoaContextWithOIDC): AskedAcrs | undefined {
  const request = acrRequest(ctx);
  const asked = request?.values ?? (request?.value === undefined ? undefined : [request.value]);
  if (asked === undefined) return undefined;
  if (!Array.isArray(asked) || asked.some((value) => typeof value !== 'string')) {
    throw new errors.InvalidRequest('the values of an acr must be strings');
  }
  return { essential: request?.essential === true, values: asked };
}

/**
 * The context class that this request wants a sign-in to reach, or undefined where any will do.
 * @throws UnmetAuthenticationRequirements where an essential one can't be reached here.
 */
function wantedAcr(ctx: KoaContextWithOIDC): string | undefined {
  const asked = askedAcrs(ctx);
  if (asked?.essential) {
    const reachable = preferredAcr(asked.values);
    if (reachable === undefined) {
      throw new errors.UnmetAuthenticationRequirements(
        'none of the requested authentication context classes can be reached',
      );
    }
    return reachable;
  }
  const { acr_values: more } = ctx.oidc.params ?? {};
  return preferredAcr([
    ...(asked?.values ?? []),
    ...(typeof more === 'string' ? more.split(' ') : []),
  ]);
}

/**
 * The context class that the session must have for this request: what the app wants, and never less than what is asked of
 * the person here. A session may be older than the rule, or than the person's being an administrator.
 */
async function neededAcr(
  ctx: KoaContextWithOIDC,
  rule: SecondFactorRule,
): Promise<string | undefined> {
  const wanted = wantedAcr(ctx);
  const accountId = ctx.oidc.session?.accountId;
  if (rankOf(wanted) >= rankOf(acr.twoFactors) || accountId === undefined) return wanted;
  const isRequired = rule === 'everyone' || (await currentUnit().findAccount(accountId))?.admin;
  return isRequired ? acr.twoFactors : wanted;
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

/**
 * The engine's policy with our context classes and our rule for local redirects in place of its own, and with what more a
 * request may ask of a person: these come first, since a sign-in answers them.
 */
export function createPolicy(
  { requireSecondFactor: rule, registration }: Pick<Config, 'requireSecondFactor' | 'registration'>,
  subject: interactionPolicy.Check,
): interactionPolicy.DefaultPolicy {
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
      // A wish that is voluntary is followed like an essential one.
      async (ctx) => rankOf(ctx.oidc.session?.acr) < rankOf(await neededAcr(ctx, rule)),
      async (ctx) => ({ acr: await neededAcr(ctx, rule) }),
    ),
  );
  login.checks.add(askedAccount());
  consent.checks.add(confirmRequest());
  login.checks.remove('claims_id_token_sub_value');
  login.checks.add(subject);
  consent.checks.remove('native_client_prompt');
  consent.checks.remove('rar_prompt');
  consent.checks.add(undecidedDetails());
  consent.checks.add(
    new Check(
      'local_redirect',
      'apps on the device itself ask each time',
      'consent_required',
      isLocalPublicClient,
    ),
  );
  policy.add(selectAccount(), 0);
  if (registration) policy.add(create(), 0);
  return policy;
}

/** What a request may ask of a person, as discovery says it. */
export function promptValues({ registration }: Pick<Config, 'registration'>): string[] {
  return ['none', 'login', 'consent', 'select_account', ...(registration ? ['create'] : [])];
}
