import * as oauth from 'openid-client';
import type { Credentials } from './registration.ts';

/** The server's metadata for a client of it, read when they are first needed, and again where that failed. */
export function discovered(
  issuer: string,
  { clientId, clientSecret }: Credentials,
): () => Promise<oauth.Configuration> {
  let pending: Promise<oauth.Configuration> | undefined;
  return () => {
    pending ??= oauth
      .discovery(new URL(issuer), clientId, undefined, oauth.ClientSecretBasic(clientSecret), {
        // The demo's server is on this machine; http is for that alone.
        execute: [oauth.allowInsecureRequests],
      })
      .catch((error: unknown) => {
        pending = undefined;
        throw error;
      });
    return pending;
  };
}
