import { z } from 'zod';
import type { Metadata } from './metadata.ts';

const uris = z.array(z.string().max(2000)).max(50);

/** Where a browser may be sent back to: all of them, as they are from now on. */
export const clientRedirectsSchema = z.object({
  redirectUris: uris.optional(),
  postLogoutRedirectUris: uris.optional(),
});
export type ClientRedirects = z.output<typeof clientRedirectsSchema>;

/** The metadata with what is said. */
export function withRedirects(
  metadata: Metadata,
  { redirectUris, postLogoutRedirectUris }: ClientRedirects,
): Record<string, unknown> {
  return {
    ...metadata,
    ...(redirectUris === undefined ? {} : { redirect_uris: [...new Set(redirectUris)] }),
    ...(postLogoutRedirectUris === undefined
      ? {}
      : { post_logout_redirect_uris: [...new Set(postLogoutRedirectUris)] }),
  };
}
