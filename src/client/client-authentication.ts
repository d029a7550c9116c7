import { isIP } from 'node:net';
import { z } from 'zod';
import { parseDistinguishedName } from '../lib/distinguished-name.ts';
import { signingAlgs } from '../resource-server/resource-server.ts';
import { isPublic, type Metadata } from './metadata.ts';

/** How clients that can keep something to themselves authenticate; public ones have `none`. */
export const clientAuthMethods = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
] as const;

const dnsName = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;

/** What a certificate may be known by (RFC 8705, section 2.1.2), and what such a name looks like. */
const certificateNames = {
  subject_dn: (name: string) => parseDistinguishedName(name) !== undefined,
  san_dns: (name: string) => dnsName.test(name),
  san_uri: (name: string) => URL.canParse(name) && /^[\x21-\x7e]+$/.test(name),
  san_ip: (name: string) => isIP(name) !== 0,
  san_email: (name: string) => /^[\x21-\x7e]+@[\x21-\x7e]+$/.test(name),
} as const;

const certificateName = z
  .strictObject({
    kind: z.enum(Object.keys(certificateNames) as (keyof typeof certificateNames)[]),
    name: z.string().min(1).max(1000),
  })
  .refine(({ kind, name }) => certificateNames[kind](name), {
    message: 'expected a name of that kind, as it stands in the certificate',
  });

/** How a client authenticates, and what its tokens are bound to. */
export const clientAuthenticationSchema = z.object({
  authMethod: z.enum(clientAuthMethods).optional(),
  /** Of its assertions; any that we know unless told. */
  authSigningAlg: z.enum(signingAlgs).optional(),
  /** Who its certificate must name, for tls_client_auth. */
  certificateName: certificateName.optional(),
  /** Its tokens are bound to a key (RFC 9449) or to its certificate (RFC 8705), and it gets no others. */
  bound: z.enum(['dpop', 'mtls', 'none']).optional(),
});
export type ClientAuthentication = z.output<typeof clientAuthenticationSchema>;

const nameOf = (kind: string) => `tls_client_auth_${kind}`;
const nameKeys = Object.keys(certificateNames).map(nameOf);

/** The metadata with what is said; what belonged to another method than the client's now has goes. */
export function withAuthentication(
  metadata: Metadata,
  { authMethod, authSigningAlg, certificateName: name, bound }: ClientAuthentication,
): Record<string, unknown> {
  const next: Record<string, unknown> = { ...metadata };
  const forget = (keys: readonly string[]) => keys.forEach((key) => delete next[key]);
  // A public client stays one: whether that was asked of it is for the check to say.
  if (authMethod !== undefined && !isPublic(next)) next.token_endpoint_auth_method = authMethod;
  if (next.token_endpoint_auth_method !== 'private_key_jwt')
    forget(['token_endpoint_auth_signing_alg']);
  if (authSigningAlg !== undefined) next.token_endpoint_auth_signing_alg = authSigningAlg;
  if (next.token_endpoint_auth_method !== 'tls_client_auth' || name !== undefined) forget(nameKeys);
  if (name !== undefined) next[nameOf(name.kind)] = name.name;
  if (bound !== undefined) {
    forget(['dpop_bound_access_tokens', 'tls_client_certificate_bound_access_tokens']);
    if (bound === 'dpop') next.dpop_bound_access_tokens = true;
    if (bound === 'mtls') next.tls_client_certificate_bound_access_tokens = true;
  }
  return next;
}

/** Whether the client authenticates with a secret. */
export function hasSecret({ token_endpoint_auth_method: method }: Metadata): boolean {
  return method === 'client_secret_basic' || method === 'client_secret_post';
}

/** What the client's tokens are bound to. */
export function boundTo(metadata: Metadata): 'dpop' | 'mtls' | undefined {
  if (metadata.dpop_bound_access_tokens === true) return 'dpop';
  return metadata.tls_client_certificate_bound_access_tokens === true ? 'mtls' : undefined;
}
