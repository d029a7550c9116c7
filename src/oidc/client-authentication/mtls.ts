import type { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Middleware } from 'koa';
import type { Configuration, default as Provider } from 'oidc-provider';
import { clientCertificate } from '../../http/client-certificate.ts';
import { parseDistinguishedName } from '../../lib/distinguished-name.ts';

type MutualTls = NonNullable<NonNullable<Configuration['features']>['mTLS']>;

/**
 * Clients that show a certificate (RFC 8705). It is always on: a client whose tokens are bound to its certificate gets
 * none where there is nobody to tell us of one, rather than tokens that anybody can use.
 */
export const mutualTls: MutualTls = {
  enabled: true,
  certificateBoundAccessTokens: true,
  selfSignedTlsClientAuth: true,
  tlsClientAuth: true,
  getCertificate: (ctx) => clientCertificate(ctx)?.certificate,
  certificateAuthorized: (ctx) => clientCertificate(ctx)?.verified === true,
  certificateSubjectMatches: (ctx, property, expected) => {
    const found = clientCertificate(ctx);
    return found !== undefined && isOf(found.certificate, property, expected);
  },
};

/** Whether the certificate's subject is the one that the client registered (section 2.1.2). */
function isOf(certificate: X509Certificate, property: string, expected: string): boolean {
  switch (property) {
    case 'tls_client_auth_subject_dn': {
      const name = parseDistinguishedName(expected);
      return name !== undefined && isDeepStrictEqual(name, subjectOf(certificate));
    }
    case 'tls_client_auth_san_dns':
      return certificate.checkHost(expected, { subject: 'never', wildcards: false }) !== undefined;
    case 'tls_client_auth_san_ip':
      return certificate.checkIP(expected) !== undefined;
    case 'tls_client_auth_san_email':
      return certificate.checkEmail(expected, { subject: 'never' }) !== undefined;
    case 'tls_client_auth_san_uri':
      return alternativeUris(certificate).includes(expected);
    default:
      return false;
  }
}

/** Node shows one relative name a line, the first one first, each with the escapes of RFC 4514, which begins with the last. */
function subjectOf({ subject }: X509Certificate) {
  return parseDistinguishedName(subject.split('\n').reverse().join(','));
}

/** Node quotes a name that holds what could be taken for the beginning of the next one. */
function alternativeUris({ subjectAltName }: X509Certificate): string[] {
  const names = subjectAltName?.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return names
    .map((name) => name.trim())
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice('URI:'.length))
    .map((name) => (name.startsWith('"') ? (JSON.parse(name) as string) : name));
}

export interface PresentedCertificates {
  /** Certificates come to us at all. */
  readonly any: boolean;
  /** Some of them are verified, by an authority or by the proxy. */
  readonly verified: boolean;
  /** Where clients with a certificate have to go, if that is not the issuer: a host, and a port where it needs one. */
  readonly host: string | undefined;
}

const methodLists = [
  'token_endpoint_auth_methods_supported',
  'introspection_endpoint_auth_methods_supported',
  'revocation_endpoint_auth_methods_supported',
];
const aliased = [
  'token_endpoint',
  'introspection_endpoint',
  'revocation_endpoint',
  'userinfo_endpoint',
  'pushed_authorization_request_endpoint',
  'device_authorization_endpoint',
  'backchannel_authentication_endpoint',
];

/** The metadata says of certificates what is so here: what the engine can do is not what this server was set up for. */
export function presentCertificates({ any, verified, host }: PresentedCertificates): Middleware {
  const missing = new Set<unknown>([
    ...(any ? [] : ['self_signed_tls_client_auth']),
    ...(verified ? [] : ['tls_client_auth']),
  ]);
  return async (ctx, next) => {
    await next();
    const { route } = (ctx as { oidc?: { route?: string } }).oidc ?? {};
    if (route !== 'discovery' || ctx.status !== 200) return;
    const metadata = ctx.body as Record<string, unknown>;
    for (const name of methodLists)
      metadata[name] = (metadata[name] as unknown[]).filter((method) => !missing.has(method));
    if (!any) delete metadata.tls_client_certificate_bound_access_tokens;
    else if (host !== undefined)
      metadata.mtls_endpoint_aliases = Object.fromEntries(
        aliased.map((name) => [name, withHost(metadata[name] as string, host)]),
      );
  };
}

interface ExpectsAudience {
  clientJwtAuthExpectedAudience: (this: { readonly issuer: string }) => Set<string>;
}

/**
 * An assertion may name the endpoint that the client has called (RFC 7523, section 3), by its other URL too where clients
 * with a certificate have a host of their own.
 */
export function takeAliasedAssertions(provider: Provider, host: string | undefined): void {
  if (host === undefined) return;
  const prototype = provider.OIDCContext.prototype as unknown as ExpectsAudience;
  const original = prototype.clientJwtAuthExpectedAudience;
  prototype.clientJwtAuthExpectedAudience = function clientJwtAuthExpectedAudience() {
    const ours = original.call(this);
    const endpoints = [...ours].filter((one) => one !== this.issuer);
    return new Set([...ours, ...endpoints.map((one) => withHost(one, host))]);
  };
}

function withHost(endpoint: string, host: string): string {
  const { pathname } = new URL(endpoint);
  return `https://${host}${pathname}`;
}
