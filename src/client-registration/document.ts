import { isLocalRedirect } from '../client/client.ts';
import type { SelfDescription } from '../client/self-registered.service.ts';
import { AppError } from '../errors.ts';
import { parseObject } from './json.ts';
import { readMetadata } from './metadata.ts';

/** Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document-02): what they may say. */

/**
 * Why an id can't be the address of a document (section 3), in words; undefined where it can: https, with a path, in its
 * plain form, without dot segments, fragment, user information and query.
 */
export function findUrlProblem(id: string): string | undefined {
  if (!URL.canParse(id)) return 'the client id is no URL';
  const url = new URL(id);
  if (url.protocol !== 'https:') return 'the client id is no https URL';
  if (url.username !== '' || url.password !== '') return 'the client id has user information';
  if (id.includes('#') || id.includes('?')) return 'the client id has a query or a fragment';
  if (url.pathname === '/') return 'the client id has no path';
  if (url.href !== id) return `the client id is not in its plain form, which is ${url.href}`;
  return undefined;
}

/** Everything that the document may name on its own host alone. */
const ofItsOrigin = ['jwks_uri', 'backchannel_logout_uri', 'sector_identifier_uri', 'client_uri'];

/**
 * Reads a document that was found at its address. What it names is on its own origin, or a redirect to the person's own
 * machine: a document speaks for the host that it is on, and for no other (section 8.1).
 * @throws AppError `invalid_redirect_uri`, `invalid_client_metadata`
 */
export function readDocument(id: string, text: string): SelfDescription {
  const body = parseObject(text);
  const refuse = (reason: string): never => {
    throw new AppError('invalid_client_metadata', reason, { status: 400 });
  };
  if (body.client_id !== id) refuse('the client_id in the document is not its address');
  if ('client_secret' in body || 'client_secret_expires_at' in body)
    refuse('a document that everybody reads holds no secret');
  // Nothing is shared between us (section 4.1): without a word it has none, as it can't have a secret.
  const described = readMetadata({ token_endpoint_auth_method: 'none', ...body });
  if (described.authMethod.startsWith('client_secret'))
    refuse('a client with a document does not authenticate by a secret');
  const { origin } = new URL(id);
  const isOurs = (uri: string) => URL.canParse(uri) && new URL(uri).origin === origin;
  for (const uri of [...described.redirectUris, ...described.postLogoutRedirectUris]) {
    const isLoopback = isLocalRedirect(uri) && uri.startsWith('http:');
    if (!isOurs(uri) && !isLoopback)
      refuse(`${uri} is neither on the host of the document nor a loopback address`);
  }
  for (const name of ofItsOrigin) {
    const uri = body[name];
    if (typeof uri === 'string' && !isOurs(uri))
      refuse(`${name} is not on the host of the document`);
  }
  return described;
}
