import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Context, Middleware } from 'koa';
import type { CertificateProxy } from '../config-tls.ts';
import { holds, listNetworks } from '../lib/network.ts';

/** The certificate of the TLS connection that a client opened, and whose key it has. */
export interface ClientCertificate {
  readonly certificate: X509Certificate;
  /** It was issued by an authority that the operator trusts for this. */
  readonly verified: boolean;
}

export interface CertificateOptions {
  /** We end TLS ourselves, and know authorities of client certificates. */
  readonly ownAuthorities: boolean;
  readonly proxy: CertificateProxy | undefined;
}

/**
 * Knows the client's certificate: that of our own TLS connection, or what a named proxy says of its. The proxy's headers
 * are read from its connections alone, and taken off every request.
 */
export function identifyCertificate({ ownAuthorities, proxy }: CertificateOptions): Middleware {
  const peers = listNetworks(proxy?.peers ?? []);
  return (ctx, next) => {
    const { req } = ctx;
    const told =
      // By the connection alone: what a request says of its way is not asked.
      proxy !== undefined && holds(peers, req.socket.remoteAddress ?? '')
        ? {
            certificate: single(ctx, proxy.header),
            verified:
              proxy.verifiedHeader !== undefined && single(ctx, proxy.verifiedHeader) === 'SUCCESS',
          }
        : undefined;
    if (proxy !== undefined) {
      delete req.headers[proxy.header];
      if (proxy.verifiedHeader !== undefined) delete req.headers[proxy.verifiedHeader];
    }
    ctx.state.clientCertificate = () => {
      const own = ofConnection(ctx, ownAuthorities);
      if (own !== undefined || told?.certificate === undefined) return own;
      const certificate = parseCertificate(told.certificate);
      return certificate && { certificate, verified: told.verified };
    };
    return next();
  };
}

/** The certificate of the client that made this request; it is looked for when it is asked for, and once. */
export function clientCertificate(ctx: Context): ClientCertificate | undefined {
  const find = ctx.state.clientCertificate as (() => ClientCertificate | undefined) | undefined;
  const found = find?.();
  ctx.state.clientCertificate = () => found;
  return found;
}

function ofConnection(ctx: Context, ownAuthorities: boolean): ClientCertificate | undefined {
  const socket = ctx.req.socket as Partial<TLSSocket>;
  const certificate = socket.getPeerX509Certificate?.();
  // Without authorities of the operator's, Node would have asked those of the whole web.
  return certificate && { certificate, verified: ownAuthorities && socket.authorized === true };
}

/** The header's value, if it came once: a second one was sent by somebody before the proxy. */
function single(ctx: Context, header: string): string | undefined {
  const values = ctx.req.headersDistinct[header];
  return values?.length === 1 ? values[0] : undefined;
}

/**
 * The one certificate that a proxy wrote into a header: PEM, percent-encoded (nginx) or with spaces for its line ends; in
 * colons (RFC 9440); after `Cert=` (Envoy); or bare Base64 (Traefik). Undefined for anything else, and for more than one.
 */
export function parseCertificate(header: string): X509Certificate | undefined {
  const envoy = /(?:^|;)Cert="([^"]*)"/i.exec(header)?.[1];
  const text = decode(envoy ?? header).trim();
  const body =
    /^:([^:]*):$/.exec(text)?.[1] ??
    /^-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----$/.exec(text)?.[1] ??
    text;
  const base64 = body.replace(/\s/g, '');
  if (base64 === '' || (envoy !== undefined && header.includes(',')) || !isBase64(base64))
    return undefined;
  try {
    return new X509Certificate(Buffer.from(base64, 'base64'));
  } catch {
    return undefined;
  }
}

const isBase64 = (text: string) => /^[A-Za-z0-9+/]+={0,2}$/.test(text);

/** Without `+` for a space, which Base64 has a use for. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
