import { z } from 'zod';
import { withoutUndefined } from '../lib/without-undefined.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';
import { clientAccessSchema } from './client-access.ts';
import { clientAuthenticationSchema } from './client-authentication.ts';
import { clientCibaSchema } from './client-ciba.ts';
import { clientGrantsSchema } from './client-grants.ts';
import { clientKeysSchema } from './client-keys.ts';
import { clientLogoutSchema } from './client-logout.ts';
import { clientRedirectsSchema } from './client-redirects.ts';
import { clientRequestsSchema } from './client-requests.ts';
import { clientSubjectsSchema } from './client-subjects.ts';
import type { Metadata } from './metadata.ts';

const seconds = (min: number, max: number) => z.number().int().min(min).max(max);

/** Policy of ours for one client; lifetimes in seconds. */
const settings = {
  /** Its access tokens live this long, or as long as the API says if that is shorter. */
  accessTokenTtl: seconds(60, 86_400),
  /** The absolute end of what one sign-in gave it: no refresh moves it. */
  familyTtl: seconds(300, 31_536_000),
  /**
   * How long a repeated refresh gets the same successor again while that one is unused; 0 takes every repetition for a
   * replay. A public client without a bound key gets a tenth of its access token's lifetime at most (decision 25).
   */
  refreshGrace: seconds(0, 120),
  /**
   * `keep` gives the same refresh token again. Only where it is of use to nobody else: to a client that authenticates, or
   * whose tokens are bound to a key (RFC 9700, section 2.2.2).
   */
  refreshRotation: z.enum(['rotate', 'keep']),
  /**
   * `fapi2` holds the client to the FAPI 2.0 Security Profile: how it asks and authenticates, that its tokens are bound to
   * a key, and what is signed with what; `fapi2-message-signing` to signed requests and answers besides (client-fapi.ts).
   */
  profile: z.enum(['none', 'fapi2', 'fapi2-message-signing']),
  /** Whether its DPoP proofs need a nonce of ours: those of FAPI clients always do. */
  dpopNonce: z.enum(['optional', 'required']),
  /** The API that its tokens are for where it names none in `resource`. Such tokens do not open userinfo. */
  defaultResource: z.string().max(2000),
  /** The types of authorization details that it may ask for (RFC 9396, section 10): none unless told. */
  authorizationDetailsTypes: z.array(z.string().max(200)).max(100),
  /**
   * `identity` puts what the person let it know into its ID tokens as well (COMPATIBILITY 7); the engine tells it there
   * only where the access token does not open userinfo (OpenID Connect Core, section 5.4).
   */
  idTokenClaims: z.enum(['standard', 'identity']),
  /**
   * Whether a refresh returns a new ID token, which costs a signature. OpenID Connect Core, section 12.2, allows a
   * refresh response without one.
   */
  idTokenOnRefresh: z.enum(['always', 'never']),
  /**
   * `always` offers people on the consent page to keep access for a client that does not ask for `offline_access` itself;
   * `asked` leaves it to the client. By default `always` for clients that registered themselves.
   */
  offlineAccess: z.enum(['asked', 'always']),
  /** `optional` lets a confidential client that knows no PKCE go without; what it does send of it is enforced. */
  pkce: z.enum(['required', 'optional']),
};

/** As they count: with what holds where nothing was said. */
export const clientSettingsSchema = z.object({
  accessTokenTtl: settings.accessTokenTtl.optional(),
  /** REFRESH_TOKEN_TTL where nothing is set. */
  familyTtl: settings.familyTtl.optional(),
  refreshGrace: settings.refreshGrace.default(120),
  refreshRotation: settings.refreshRotation.default('rotate'),
  profile: settings.profile.default('none'),
  dpopNonce: settings.dpopNonce.default('optional'),
  defaultResource: settings.defaultResource.optional(),
  authorizationDetailsTypes: settings.authorizationDetailsTypes.default([]),
  idTokenClaims: settings.idTokenClaims.default('standard'),
  idTokenOnRefresh: settings.idTokenOnRefresh.default('always'),
  offlineAccess: settings.offlineAccess.optional(),
  pkce: settings.pkce.default('required'),
  /** Of its pairwise subjects: it follows from the registration (client-sector.ts), and nobody says it. */
  sector: z.string().optional(),
});
export type ClientSettings = z.output<typeof clientSettingsSchema>;

/** Whether FAPI 2.0 holds for a client of this profile. */
export function isFapiProfile(profile: unknown): boolean {
  return profile === 'fapi2' || profile === 'fapi2-message-signing';
}

/** What holds for a client of which nothing was said. */
export const defaultSettings: ClientSettings = clientSettingsSchema.parse({});

/** How answers that are signed for a client, or encrypted to it, are made; RFC 7591's metadata. */
export const clientCryptographySchema = z.object({
  idTokenSigningAlg: z.enum(signingAlgs).optional(),
  /** Userinfo answers in a JWT that is signed with it (OpenID Connect Core, section 5.3.2); in JSON unless told. */
  userinfoSigningAlg: z.enum(signingAlgs).optional(),
  introspectionSigningAlg: z.enum(signingAlgs).optional(),
  /** Its introspection answers are encrypted as well (RFC 9701), to a key in `jwks`. */
  introspectionEncryptionAlg: z.enum(['RSA-OAEP-256', 'ECDH-ES']).optional(),
});
export type ClientCryptography = z.output<typeof clientCryptographySchema>;

/** What is said of one client: everything may be left out. */
export const givenSettingsSchema = z.strictObject(settings).partial();

/** What may change of a client: only what is given. */
export const clientChangesSchema = givenSettingsSchema.extend({
  ...clientAccessSchema.shape,
  ...clientCryptographySchema.shape,
  ...clientAuthenticationSchema.shape,
  ...clientKeysSchema.shape,
  ...clientRedirectsSchema.shape,
  ...clientLogoutSchema.shape,
  ...clientRequestsSchema.shape,
  ...clientGrantsSchema.shape,
  ...clientCibaSchema.shape,
  ...clientSubjectsSchema.shape,
  name: z.string().trim().min(1).max(100).optional(),
});
export type ClientChanges = z.output<typeof clientChangesSchema>;

/** The metadata that says it to the engine; what is undefined stays out. */
export function cryptographyMetadata(input: ClientCryptography): Metadata {
  return withoutUndefined({
    id_token_signed_response_alg: input.idTokenSigningAlg,
    userinfo_signed_response_alg: input.userinfoSigningAlg,
    introspection_signed_response_alg: input.introspectionSigningAlg,
    introspection_encrypted_response_alg: input.introspectionEncryptionAlg,
    introspection_encrypted_response_enc:
      input.introspectionEncryptionAlg === undefined ? undefined : 'A256GCM',
  });
}
