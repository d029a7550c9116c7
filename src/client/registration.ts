import type { OutboundAllow } from '../outbound/outbound.ts';
import { type Client, type ClientType, checkRedirectUri, type NewClient } from './client.ts';
import { checkScopes, usualScopes, withScopes, withUsualScopes } from './client-access.ts';
import { withAuthentication } from './client-authentication.ts';
import { checkCiba, checkCibaEndpoint, withCiba } from './client-ciba.ts';
import { mergeDemands } from './client-demands.ts';
import { checkFapi, completed } from './client-fapi.ts';
import {
  checkGrants,
  DEVICE_CODE,
  type GrantType,
  isForMachines,
  withGrants,
} from './client-grants.ts';
import { checkKeys, withKeys } from './client-keys.ts';
import { checkLogout, saysLogout, withLogout } from './client-logout.ts';
import { checkRequests, withRequests } from './client-requests.ts';
import { type ClientRedirects, withRedirects } from './client-redirects.ts';
import { sectorOf } from './client-sector.ts';
import { withSubjects } from './client-subjects.ts';
import { checkRegistration, type Registration } from './client-rules.ts';
import type { Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';
import {
  type ClientChanges,
  clientSettingsSchema,
  cryptographyMetadata,
  givenSettingsSchema,
} from './client-settings.ts';

/**
 * What is said of a client becomes a registration. Each aspect (`client-*.ts`) puts what is said of it into the metadata, and
 * says what does not go together; here they come one after the other.
 */

interface Kind {
  readonly public: boolean;
  readonly grantTypes: GrantType[];
  readonly applicationType: 'web' | 'native';
}

const kinds: Record<ClientType, Kind> = {
  web: {
    public: false,
    grantTypes: ['authorization_code', 'refresh_token'],
    applicationType: 'web',
  },
  spa: {
    public: true,
    grantTypes: ['authorization_code', 'refresh_token'],
    applicationType: 'web',
  },
  native: {
    public: true,
    grantTypes: ['authorization_code', 'refresh_token'],
    applicationType: 'native',
  },
  machine: { public: false, grantTypes: ['client_credentials'], applicationType: 'web' },
  device: {
    public: true,
    grantTypes: [DEVICE_CODE, 'refresh_token'],
    applicationType: 'native',
  },
};

/**
 * The registration of a new client, as it is to be stored.
 * @throws AppError `invalid_redirect_uri`, `invalid_client`
 */
export function newRegistration(input: NewClient, outboundAllow: OutboundAllow): Registration {
  const kind = kinds[input.type];
  if (input.firstParty && kind.public) {
    refuse('A public client cannot be first-party: anybody can pretend to be it.');
  }
  const basis = {
    redirect_uris: input.redirectUris,
    post_logout_redirect_uris: input.postLogoutRedirectUris,
    grant_types: kind.grantTypes,
    application_type: kind.applicationType,
    token_endpoint_auth_method: kind.public ? 'none' : 'client_secret_basic',
  };
  const withAll = withAspects(basis, input);
  // A machine has nobody to tell of: without a scope of its own, the engine lets it ask for no identity.
  const isMachine = isForMachines(withAll.grant_types as GrantType[]);
  const metadata = isMachine
    ? withAll
    : { ...withAll, scope: (input.scopes ?? usualScopes).join(' ') };
  const allowed = new Map(input.apis.map(({ identifier, scopes }) => [identifier, scopes]));
  const registration = checked({ metadata, settings: input.settings }, allowed, input);
  for (const uri of [...input.redirectUris, ...input.postLogoutRedirectUris])
    checkRedirectUri(uri, input.type);
  checkLogout(registration.metadata, outboundAllow);
  checkKeys(registration.metadata, outboundAllow);
  checkCibaEndpoint(registration.metadata, outboundAllow);
  return registration;
}

/** The stored client, and what it may ask for after the change. */
export interface ChangedClient extends Pick<Client, 'allowed' | 'registeredBy' | 'type'> {
  readonly stored: Registration & {
    readonly said: Pick<Client['said'] & object, 'metadata'> | undefined;
    readonly demanded: ClientChanges;
  };
}

/**
 * The registration with what an operator changes. Of a client that registered itself, the changes are demands: they stay apart,
 * and are laid over what it registered.
 * @throws AppError `invalid_client`, `invalid_redirect_uri`
 */
export function changedRegistration(
  { stored, ...client }: ChangedClient,
  changes: ClientChanges,
  outboundAllow: OutboundAllow,
): Registration & { readonly demanded: ClientChanges } {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  const isSetting = ([key]: [string, unknown]) => key in givenSettingsSchema.shape;
  const isOwn = client.registeredBy === undefined;
  const demanded = isOwn
    ? {}
    : mergeDemands(
        stored.demanded,
        Object.fromEntries(given.filter((one) => !isSetting(one) && !heldElsewhere.has(one[0]))),
      );
  const metadata = isOwn
    ? laidOver(stored.metadata, changes)
    : laidOver((stored.said ?? stored).metadata, demanded);
  const settings = { ...stored.settings, ...Object.fromEntries(given.filter(isSetting)) };
  const registration = checked({ metadata, settings }, client.allowed, changes);
  checkScopes(metadata, changes);
  checkChangedRedirects(client, changes);
  // What the operator lists may have changed since: that is seen with each delivery.
  if (saysLogout(changes)) checkLogout(registration.metadata, outboundAllow);
  if (changes.cibaNotificationEndpoint !== undefined)
    checkCibaEndpoint(registration.metadata, outboundAllow);
  if (changes.jwksUri !== undefined) checkKeys(registration.metadata, outboundAllow);
  return { ...registration, demanded };
}

/** These have columns of their own that no registration writes. */
const heldElsewhere = new Set(['apis', 'developer', 'firstParty', 'verified']);

/** The metadata with all that an operator changes. */
export function laidOver(metadata: Metadata, changes: ClientChanges): Metadata {
  return withUsualScopes(withScopes(withAspects(metadata, changes), changes));
}

/**
 * Checks what is said as it is checked of a new client.
 * @throws AppError `invalid_redirect_uri`, `invalid_client` where they are not for us to change
 */
function checkChangedRedirects(
  { type, registeredBy }: Pick<Client, 'registeredBy' | 'type'>,
  { redirectUris = [], postLogoutRedirectUris = [] }: ClientRedirects,
): void {
  const all = [...redirectUris, ...postLogoutRedirectUris];
  if (all.length === 0) return;
  if (registeredBy === 'document') refuse('Where it redirects to is what its document says.');
  for (const uri of all)
    checkRedirectUri(uri, type as ClientType, { dotless: registeredBy !== undefined });
}

/** The metadata with what is said of every aspect. */
export function withAspects(metadata: Metadata, said: NewClient | ClientChanges): Metadata {
  const basis = withKeys({ ...withRedirects(metadata, said), ...cryptographyMetadata(said) }, said);
  const withAll = withLogout(
    withRequests(withAuthentication(withGrants(basis, said), said), said),
    said,
  );
  return withCiba(withSubjects(withAll, said), said);
}

/** The registration as it is stored, if all of it goes together. */
export function checked(
  registration: Registration,
  allowed: ReadonlyMap<string, unknown>,
  said: NewClient | ClientChanges,
): Registration {
  const { settings, metadata } = completed(registration);
  checkGrants(metadata);
  checkRequests(metadata);
  checkCiba(metadata);
  const counted = clientSettingsSchema.parse(settings);
  checkRegistration(counted, metadata, allowed, said);
  checkFapi(counted, metadata);
  const { sector: _, ...given } = settings;
  const sector = sectorOf(metadata);
  return { settings: sector === undefined ? given : { ...given, sector }, metadata };
}
