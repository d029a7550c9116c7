import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { Refusal } from './errors.ts';
import { sha256 } from './hash.ts';
import type { AnyRequest } from './request.ts';

/** A client certificate: parsed, as PEM, or as its DER bytes. */
export type ClientCertificate = X509Certificate | string | Uint8Array;

/** Where the certificate of a request's client is to be had. */
export type CertificateSource = (request: AnyRequest) => ClientCertificate | undefined;

/** The certificate of the TLS connection itself, which the client has proven to hold. */
export const fromConnection: CertificateSource = (request) => {
  const socket = 'socket' in request ? (request.socket as Partial<TLSSocket>) : undefined;
  // Without a certificate Node gives an empty object.
  return socket?.getPeerCertificate?.().raw as Uint8Array | undefined;
};

/**
 * Passes one whose certificate is the one that the token is bound to (RFC 8705, section 3).
 * @throws Refusal for everybody else
 */
export function checkCertificate(certificate: ClientCertificate | undefined, bound: unknown): void {
  if (certificate === undefined || typeof bound !== 'string' || thumbprint(certificate) !== bound)
    throw new Refusal('invalid_token', 'the token is bound to another certificate');
}

/** The SHA-256 of the DER form (RFC 8705, section 3.1); undefined where it is no certificate. */
function thumbprint(certificate: ClientCertificate): string | undefined {
  try {
    const { raw } =
      certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate);
    return sha256(raw);
  } catch {
    return undefined;
  }
}
