import type { Settings } from './settings.ts';
import type { BrowserEntry, Pages } from './pages.ts';

/** A test plan of the suite: what it is called there with its variants, and the configuration that it is given. */
export interface Plan {
  /** As `run-test-plan.py` takes it. */
  readonly name: string;
  readonly file: string;
  readonly configuration: Readonly<Record<string, unknown>>;
}

type Json = Readonly<Record<string, unknown>>;

/** What goes otherwise than in the rest of the plan, by the name of the module. */
type Overrides = Readonly<Record<string, readonly BrowserEntry[]>>;

const refusedRedirects = [
  'oidcc-ensure-registered-redirect-uri',
  'oidcc-ensure-redirect-uri-in-authorization-request',
  'oidcc-redirect-uri-query-added',
  'oidcc-redirect-uri-query-mismatch',
  'fapi2-security-profile-final-ensure-registered-redirect-uri',
  'fapi2-security-profile-final-par-attempt-to-use-expired-request_uri',
  'fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client',
];
const signInAgain = ['oidcc-prompt-login', 'oidcc-max-age-1'];
const denied = ['fapi2-security-profile-final-user-rejects-authentication'];
const usedTwice = ['fapi2-security-profile-final-par-attempt-reuse-request_uri'];
const visitedTwice = [
  'fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds',
];
const refusedLogouts = [
  'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri',
  'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri',
  'oidcc-rp-initiated-logout-modified-id-token-hint',
  'oidcc-rp-initiated-logout-bad-id-token-hint',
];
const logoutsHere = [
  'oidcc-rp-initiated-logout-no-id-token-hint',
  'oidcc-rp-initiated-logout-no-params',
  'oidcc-rp-initiated-logout-no-post-logout-redirect-uri',
  'oidcc-rp-initiated-logout-only-state',
];

function overrides(pages: Pages): Overrides {
  const each = (names: readonly string[], entries: readonly BrowserEntry[]) =>
    names.map((name) => [name, entries] as const);
  // Every error page folds the OAuth code away under this.
  const error = 'For developers';
  return Object.fromEntries([
    ...each(refusedRedirects, [pages.errorPage(error)]),
    ...each(signInAgain, [pages.signInAgain('Sign in')]),
    ...each(usedTwice, [pages.once(pages.authorization()), pages.errorPage(error)]),
    ...each(visitedTwice, pages.secondVisit('Sign in')),
    ...each(denied, [pages.denial()]),
    ...each(['oidcc-registration-logo-uri'], [pages.signInPage('Sign in')]),
    ...each(['oidcc-registration-policy-uri'], [pages.consentPage('Privacy notice')]),
    ...each(['oidcc-registration-tos-uri'], [pages.consentPage('Terms')]),
    ...each(refusedLogouts, [pages.authorization(), pages.signOutRefused(error)]),
    ...each(logoutsHere, [pages.authorization(), pages.signOutHere('signed out')]),
  ]);
}

/** What each plan is configured with besides its clients. */
function configuration(settings: Settings, pages: Pages, more: Json): Json {
  return {
    alias: settings.alias,
    description: 'Vouchsafe',
    server: { discoveryUrl: `${settings.issuer}/.well-known/openid-configuration` },
    browser: [pages.authorization(), pages.signOut()],
    override: Object.fromEntries(
      Object.entries(overrides(pages)).map(([name, browser]) => [name, { browser }]),
    ),
    ...more,
  };
}

/** The plans of OpenID Connect, for clients that are registered beforehand, or that register themselves. */
export function openidPlans(
  settings: Settings,
  pages: Pages,
  clients: { readonly client: Json; readonly client2: Json; readonly client_secret_post: Json },
): Plan[] {
  const statically = configuration(settings, pages, clients);
  const dynamically = configuration(settings, pages, {
    client: { client_name: 'First' },
    client2: { client_name: 'Second' },
  });
  const known = '[server_metadata=discovery][client_registration=static_client]';
  const registering = '[response_type=code]';
  const logout = '[client_registration=static_client][response_type=code]';
  const plan = (name: string, file: string, contents: Json): Plan => ({
    name,
    file,
    configuration: contents,
  });
  return [
    plan(`oidcc-basic-certification-test-plan${known}`, 'static.json', statically),
    plan('oidcc-config-certification-test-plan', 'static.json', statically),
    plan(`oidcc-formpost-basic-certification-test-plan${known}`, 'static.json', statically),
    plan(`oidcc-rp-initiated-logout-certification-test-plan${logout}`, 'static.json', statically),
    plan(
      `oidcc-backchannel-rp-initiated-logout-certification-test-plan${logout}`,
      'static.json',
      statically,
    ),
    plan(`oidcc-dynamic-certification-test-plan${registering}`, 'dynamic.json', dynamically),
  ];
}

/** The plans of FAPI 2.0: what the tokens open is userinfo, which is ours. */
export function fapiPlans(
  settings: Settings,
  pages: Pages,
  given: {
    readonly dpop: Json;
    readonly mtls: Json;
    readonly signing: Json;
  },
): Plan[] {
  const resource = { resourceUrl: `${settings.issuer}/userinfo` };
  const { hostname } = new URL(settings.issuer);
  const bound = { resourceUrl: `https://${hostname}:${settings.mtlsPort}/userinfo` };
  const variant = '[openid=openid_connect][fapi_profile=plain_fapi]';
  const profile = 'fapi2-security-profile-final-test-plan';
  const signing = 'fapi2-message-signing-final-test-plan';
  return [
    {
      name: `${profile}${variant}[client_auth_type=private_key_jwt][sender_constrain=dpop]`,
      file: 'fapi-dpop.json',
      configuration: configuration(settings, pages, { resource, ...given.dpop }),
    },
    {
      name: `${profile}${variant}[client_auth_type=mtls][sender_constrain=mtls]`,
      file: 'fapi-mtls.json',
      configuration: configuration(settings, pages, { resource: bound, ...given.mtls }),
    },
    {
      name: `${signing}${variant}[client_auth_type=private_key_jwt][sender_constrain=dpop][fapi_request_method=signed_non_repudiation][fapi_response_mode=jarm]`,
      file: 'fapi-signing.json',
      configuration: configuration(settings, pages, { resource, ...given.signing }),
    },
  ];
}

/** The plans of CIBA; the suite asks at an address of ours for each request to be allowed or denied. */
export function cibaPlans(
  settings: Settings,
  given: { readonly poll: Json; readonly ping: Json },
): Plan[] {
  const { hostname } = new URL(settings.issuer);
  const plan = (mode: 'poll' | 'ping', clients: Json): Plan => ({
    name: `fapi-ciba-id1-test-plan[ciba_mode=${mode}][client_auth_type=private_key_jwt][fapi_ciba_profile=plain_fapi][client_registration=static_client]`,
    file: `ciba-${mode}.json`,
    configuration: {
      alias: settings.alias,
      description: 'Vouchsafe',
      server: { discoveryUrl: `${settings.issuer}/.well-known/openid-configuration` },
      resource: { resourceUrl: `https://${hostname}:${settings.mtlsPort}/userinfo` },
      automated_ciba_approval_url: `http://${hostname}:${settings.approvalPort}/?request={auth_req_id}&action={action}`,
      ...clients,
    },
  });
  return [plan('poll', given.poll), plan('ping', given.ping)];
}
