import type { BrowserEntry, Pages } from './pages.ts';
import type { Settings } from './settings.ts';

/** A test plan of the suite: its name there with its variants, and its configuration. */
export interface Plan {
  /** As `run-test-plan.py` takes it. */
  readonly name: string;
  readonly file: string;
  readonly configuration: Readonly<Record<string, unknown>>;
}

export type Json = Readonly<Record<string, unknown>>;

/** The two clients that most plans need, as the suite reads them. */
export interface Pair {
  readonly client: Json;
  readonly client2: Json;
}

/** What a module has in place of the plan's configuration, by the module's name. */
type Overrides = Readonly<Record<string, Json>>;

const refusedRedirects = [
  'oidcc-ensure-registered-redirect-uri',
  'oidcc-ensure-redirect-uri-in-authorization-request',
  'oidcc-redirect-uri-query-added',
  'oidcc-redirect-uri-query-mismatch',
  'fapi2-security-profile-final-ensure-registered-redirect-uri',
];
const refusedRequests = [
  'fapi2-security-profile-final-par-attempt-to-use-expired-request_uri',
  'fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client',
];
const signInAgain = ['oidcc-prompt-login', 'oidcc-max-age-1'];
const denied = 'fapi2-security-profile-final-user-rejects-authentication';
const usedTwice = ['fapi2-security-profile-final-par-attempt-reuse-request_uri'];
const visitedTwice = [
  'fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds',
];
const distrustedLogouts = [
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
  const each = (names: readonly string[], browser: readonly BrowserEntry[]) =>
    names.map((name) => [name, { browser }] as const);
  // Every error page has the OAuth error under this heading.
  const error = 'For developers';
  return Object.fromEntries([
    ...each(refusedRedirects, [pages.errorPage(error)]),
    ...each(refusedRequests, [pages.refusal(error)]),
    ...each(signInAgain, pages.signInAgain('Confirm it.s you')),
    ...each(usedTwice, [pages.once(pages.authorization()), pages.refusal(error)]),
    ...each(visitedTwice, pages.secondVisit('Sign in')),
    ...each(['oidcc-registration-logo-uri'], [pages.signInPage('Sign in')]),
    ...each(['oidcc-registration-policy-uri'], [pages.consentPage('Privacy notice')]),
    ...each(['oidcc-registration-tos-uri'], [pages.consentPage('Terms')]),
    ...each(distrustedLogouts, [pages.authorization(), pages.signOutAsked('Stay signed in')]),
    ...each(logoutsHere, [pages.authorization(), pages.signOutHere('signed out')]),
  ]);
}

function server({ issuer }: Settings): Json {
  return {
    discoveryUrl: `${issuer}/.well-known/openid-configuration`,
    // The feed of revoked tokens is an extension of this server.
    allow_unexpected_metadata_fields: ['revocations_endpoint'],
  };
}

/** What each plan is configured with besides its clients. */
function configuration(settings: Settings, pages: Pages, more: object, different = {}): Json {
  return {
    alias: settings.alias,
    description: 'Vouchsafe',
    server: server(settings),
    browser: [pages.authorization(), pages.signOut()],
    override: { ...overrides(pages), ...different },
    ...more,
  };
}

/** The plans of OpenID Connect, for clients that are registered beforehand, or that register themselves. */
export function openidPlans(
  settings: Settings,
  pages: Pages,
  given: {
    readonly basic: Pair & { readonly client_secret_post: Json };
    readonly backchannel: Pair;
  },
): Plan[] {
  const statically = configuration(settings, pages, given.basic);
  const backchannel = configuration(settings, pages, given.backchannel);
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
      'backchannel.json',
      backchannel,
    ),
    plan(`oidcc-dynamic-certification-test-plan${registering}`, 'dynamic.json', dynamically),
  ];
}

/** The clients of a FAPI plan, and two more that the user has not allowed yet. */
export interface FapiClients {
  readonly clients: Pair;
  readonly denied: Pair;
  /** The certificates of the clients that use them. */
  readonly certificates?: Json;
}

/** The plans of FAPI 2.0. The resource that the tokens open is userinfo. */
export function fapiPlans(
  settings: Settings,
  pages: Pages,
  given: {
    readonly dpop: FapiClients;
    readonly mtls: FapiClients;
    readonly signing: FapiClients;
  },
): Plan[] {
  const resource = { resourceUrl: `${settings.issuer}/userinfo` };
  const { hostname } = new URL(settings.issuer);
  const bound = { resourceUrl: `https://${hostname}:${settings.mtlsPort}/userinfo` };
  const variant = '[openid=openid_connect][fapi_profile=plain_fapi]';
  const profile = 'fapi2-security-profile-final-test-plan';
  const signing = 'fapi2-message-signing-final-test-plan';
  const configured = (at: Json, { clients, denied: others, certificates }: FapiClients) =>
    configuration(
      settings,
      pages,
      { resource: at, ...clients, ...certificates },
      { [denied]: { browser: [pages.denial()], ...others } },
    );
  return [
    {
      name: `${profile}${variant}[client_auth_type=private_key_jwt][sender_constrain=dpop]`,
      file: 'fapi-dpop.json',
      configuration: configured(resource, given.dpop),
    },
    {
      name: `${profile}${variant}[client_auth_type=mtls][sender_constrain=mtls]`,
      file: 'fapi-mtls.json',
      configuration: configured(bound, given.mtls),
    },
    {
      name: `${signing}${variant}[client_auth_type=private_key_jwt][sender_constrain=dpop][fapi_request_method=signed_non_repudiation][fapi_response_mode=jarm]`,
      file: 'fapi-signing.json',
      configuration: configured(resource, given.signing),
    },
  ];
}

/** The plans of CIBA. The suite calls the approver after each request that the user must allow or deny. */
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
      server: server(settings),
      resource: { resourceUrl: `https://${hostname}:${settings.mtlsPort}/userinfo` },
      automated_ciba_approval_url: `http://${hostname}:${settings.approvalPort}/?request={auth_req_id}&action={action}`,
      ...clients,
    },
  });
  return [plan('poll', given.poll), plan('ping', given.ping)];
}
