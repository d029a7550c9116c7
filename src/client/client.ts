import { z } from 'zod';
import { AppError } from '../errors.ts';
import { newClientAccessSchema } from './client-access.ts';
import { clientAuthenticationSchema } from './client-authentication.ts';
import { clientCibaSchema } from './client-ciba.ts';
import { clientGrantsSchema } from './client-grants.ts';
import { clientKeysSchema } from './client-keys.ts';
import { clientLogoutSchema } from './client-logout.ts';
import { clientRequestsSchema } from './client-requests.ts';
import { clientSubjectsSchema } from './client-subjects.ts';
import {
  clientCryptographySchema,
  type ClientChanges,
  type ClientSettings,
  givenSettingsSchema,
} from './client-settings.ts';
import type { Metadata } from './metadata.ts';
import { isClaimable } from './private-schemes.ts';

export { identityScopes } from './client-access.ts';
export { clientAuthMethods, hasSecret } from './client-authentication.ts';
export { grantTypes, hasGrantType, JWT_BEARER, TOKEN_EXCHANGE } from './client-grants.ts';
export { hasPrivatePart, isOfKnownType, isUsableKey, type Jwk } from './jwks.ts';
export { isPublic } from './metadata.ts';
export { changesSince, type Shown, shownOf } from './client-shown.ts';
export { plainResponseModes, responseModes } from './client-requests.ts';
export {
  clientChangesSchema,
  defaultSettings,
  givenSettingsSchema,
  isFapiProfile,
} from './client-settings.ts';

export const clientTypes = ['web', 'spa', 'native', 'machine', 'device'] as const;
export type ClientType = (typeof clientTypes)[number];

/** A client as it is stored, with all that the protocol asks of it. */
export interface Client {
  readonly id: string;
  readonly name: string;
  readonly type: ClientType | 'resource_server';
  /** RFC 7591 metadata; never a secret. */
  readonly metadata: Metadata;
  readonly settings: ClientSettings;
  /** Set where these are the credentials with which an API introspects. */
  readonly resourceServerId: string | undefined;
  readonly firstParty: boolean;
  readonly verified: boolean;
  /** Who has registered it, where no operator has: anybody, a token's holder, or the metadata document at its id. */
  readonly registeredBy: 'anybody' | 'token' | 'document' | undefined;
  readonly developer: string | undefined;
  readonly disabled: boolean;
  readonly secrets: readonly { readonly hash: Buffer; readonly expiresAt: Date | undefined }[];
  /** What it may ask for, API by API: identifier → scopes. */
  readonly allowed: ReadonlyMap<string, ReadonlySet<string>>;
  readonly createdAt: Date;
  /** What it registered itself, before anything of the operator's was laid over it; undefined where there is nothing. */
  readonly said: Said | undefined;
  /** What an operator demands of a client that registered itself: laid over what it registered. */
  readonly demanded: ClientChanges;
  /** Raised with each change of its own registration that users have to allow again: see client-shown.ts. */
  readonly revision: number;
}

/** What a client registered itself. */
export interface Said {
  readonly name: string;
  readonly type: ClientType;
  readonly metadata: Metadata;
}

/** Whether people are offered to keep access without the client asking for it: what was set, or by where it comes from. */
export function offlineAccessOf({
  settings,
  registeredBy,
}: Pick<Client, 'registeredBy' | 'settings'>): 'asked' | 'always' {
  return settings.offlineAccess ?? (registeredBy === undefined ? 'asked' : 'always');
}

/** What a list shows of a client. */
export type ClientSummary = Pick<
  Client,
  'id' | 'name' | 'type' | 'disabled' | 'firstParty' | 'registeredBy' | 'resourceServerId'
>;

/** What may be shown of a secret: by its last four characters its owner knows which one it is. */
export interface ShownSecret {
  readonly lastFour: string;
  readonly createdAt: Date;
  readonly expiresAt: Date | undefined;
}

/** Whether it could be the id of a client at all (RFC 6749, appendix A.1); other text never reaches the database. */
export function isClientId(id: string): boolean {
  return /^[\x20-\x7e]{1,2000}$/.test(id);
}

/** Whether the id is the address of a metadata document: ours never are. */
export function isDocumentId(id: string): boolean {
  return id.startsWith('https://');
}

export const newClientSchema = z.strictObject({
  name: z.string().trim().min(1).max(100),
  type: z.enum(clientTypes),
  redirectUris: z.array(z.string().max(2000)).max(50).default([]),
  postLogoutRedirectUris: z.array(z.string().max(2000)).max(50).default([]),
  ...newClientAccessSchema.shape,
  settings: givenSettingsSchema.default({}),
  ...clientCryptographySchema.shape,
  ...clientAuthenticationSchema.shape,
  ...clientKeysSchema.shape,
  ...clientLogoutSchema.shape,
  ...clientRequestsSchema.shape,
  ...clientGrantsSchema.shape,
  ...clientCibaSchema.shape,
  ...clientSubjectsSchema.shape,
});
export type NewClient = z.output<typeof newClientSchema>;

const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]']);
const scriptSchemes = new Set([
  'javascript:',
  'data:',
  'vbscript:',
  'blob:',
  'file:',
  'about:',
  'ws:',
  'wss:',
  'ftp:',
]);

/** Whether a redirect goes to the person's own machine: loopback, or a scheme that an app on it claimed. */
export function isLocalRedirect(uri: string): boolean {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url === undefined) return true;
  return (url.protocol !== 'https:' && url.protocol !== 'http:') || loopbackHosts.has(url.hostname);
}

/** Dots, slashes and semicolons as they are for who decodes them, however often that is. */
function decodedSeparators(path: string): string {
  const next = path.replace(/%(25|2e|2f|3b)/gi, decodeURIComponent);
  return next === path ? path : decodedSeparators(next);
}

/**
 * Checks a URI to which a browser will be sent: https anywhere, http on loopback alone, private schemes with a dot
 * for native apps alone (RFC 8252, section 7.1), and with `dotless` those that an app may have claimed; no fragment, user information, wildcard, backslash, control
 * character or dot segment, whatever the encoding.
 * @throws AppError `invalid_redirect_uri`, with the reason in words.
 */
export function checkRedirectUri(
  uri: string,
  type: ClientType,
  { dotless = false }: { readonly dotless?: boolean } = {},
): void {
  const refuse = (reason: string): never => {
    throw new AppError(
      'invalid_redirect_uri',
      `The redirect URI ${JSON.stringify(uri)} is refused: ${reason}.`,
      { status: 400 },
    );
  };
  if (!URL.canParse(uri)) refuse('it is not an absolute URI');
  // Printing ASCII, and no backslash.
  if (!/^[\x21-\x5b\x5d-\x7e]+$/.test(uri))
    refuse('it holds a space, a backslash, a control character, or a letter outside ASCII');
  const url = new URL(uri);
  if (scriptSchemes.has(url.protocol))
    refuse(`the scheme ${url.protocol} runs script or leaves the browser`);
  if (uri.includes('#')) refuse('it has a fragment');
  if (url.username !== '' || url.password !== '' || /^[a-z][a-z0-9+.-]*:\/\/[^/?]*@/i.test(uri))
    refuse('it has user information');
  if (uri.includes('*')) refuse('it has a wildcard');
  if (/%([01][0-9a-f]|7f|5c)/i.test(uri))
    refuse('it holds an encoded control character or backslash');
  if (/(^|[/;])\.{1,2}(;|[/?]|$)/.test(decodedSeparators(uri.replace(/^[^:]+:(\/\/[^/?]*)?/, ''))))
    refuse('its path has a dot segment');
  const loopback = loopbackHosts.has(url.hostname);
  if (url.protocol === 'https:') {
    if (url.href !== uri && url.href !== `${uri}/`)
      refuse(`it is not in its plain form, which is ${url.href}`);
    return;
  }
  if (url.protocol === 'http:') {
    if (!loopback) refuse('http is for loopback addresses alone; use https');
    if (url.href !== uri && url.href !== `${uri}/`)
      refuse(`it is not in its plain form, which is ${url.href}`);
    return;
  }
  if (type !== 'native') refuse('a private scheme is for native apps alone');
  if (!uri.startsWith(url.protocol)) refuse('its scheme is not in lower case');
  if (dotless && isClaimable(uri)) return;
  if (!/^[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:$/.test(url.protocol))
    refuse(
      'a private scheme is a domain name of yours turned around, as in com.example.app:/callback',
    );
}
