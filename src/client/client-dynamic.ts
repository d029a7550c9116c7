import type { OutboundAllow } from '../outbound/outbound.ts';
import type { clientAuthMethods } from './client-authentication.ts';
import { type ClientType, checkRedirectUri, type identityScopes } from './client.ts';
import type { GrantType } from './client-grants.ts';
import { checkKeys } from './client-keys.ts';
import { checkLogout } from './client-logout.ts';
import type { Registration } from './client-rules.ts';
import type { ClientChanges } from './client-settings.ts';
import { checked, withAspects } from './registration.ts';

/**
 * What a client says of itself by protocol, parsed. There is no policy of ours in it: settings, first-party, verified, its
 * id and its secret are not the client's to say.
 */
export interface SelfDescription {
  readonly name: string;
  readonly applicationType: 'web' | 'native';
  readonly authMethod: (typeof clientAuthMethods)[number] | 'none';
  readonly redirectUris: readonly string[];
  readonly postLogoutRedirectUris: readonly string[];
  readonly grantTypes: readonly GrantType[];
  readonly scopes: readonly (typeof identityScopes)[number][];
  readonly aspects: Pick<
    ClientChanges,
    | 'authorizationSigningAlg'
    | 'authSigningAlg'
    | 'backchannelLogoutSessionRequired'
    | 'backchannelLogoutUri'
    | 'bound'
    | 'idTokenSigningAlg'
    | 'jwks'
    | 'jwksUri'
    | 'requestObjectSigningAlg'
    | 'requirePushed'
    | 'requireSignedRequest'
    | 'sectorIdentifierUri'
    | 'subjectType'
    | 'userinfoSigningAlg'
  >;
  /** What else RFC 7591 and OpenID Connect let it tell, in their own names. */
  readonly about: Readonly<Record<string, unknown>>;
}

/**
 * The registration of a client that describes itself: held to all that holds for those that operators register.
 * @throws AppError `invalid_redirect_uri`, `invalid_client`
 */
export function selfRegistration(
  said: SelfDescription,
  outboundAllow: OutboundAllow,
): Registration & { readonly type: ClientType } {
  const { applicationType, authMethod, redirectUris, postLogoutRedirectUris } = said;
  const type = applicationType === 'native' ? 'native' : authMethod === 'none' ? 'spa' : 'web';
  for (const uri of [...redirectUris, ...postLogoutRedirectUris])
    checkRedirectUri(uri, type, { dotless: true });
  const basis = {
    ...said.about,
    redirect_uris: redirectUris,
    post_logout_redirect_uris: postLogoutRedirectUris,
    grant_types: said.grantTypes,
    application_type: applicationType,
    token_endpoint_auth_method: authMethod,
    scope: said.scopes.join(' '),
  };
  const metadata = withAspects(basis, said.aspects);
  const registration = checked({ metadata, settings: {} }, new Map(), said.aspects);
  checkLogout(registration.metadata, outboundAllow);
  checkKeys(registration.metadata, outboundAllow);
  return { ...registration, type };
}
