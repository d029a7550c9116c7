import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { createServer, type Server, type ServerOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { AppError } from '../errors.ts';

export interface TlsOptions {
  /** The certificate with its chain, and its key, as PEM. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Clients are asked for a certificate; with authorities, those that these have issued count as verified. */
  readonly clientCertificates?: { readonly caFile: string | undefined } | undefined;
  /** Hears of files that have changed and can't be used: the server goes on with what it has. */
  readonly onProblem: (error: unknown) => void;
}

/** The cipher suites of TLS 1.3 as Node offers them, and of TLS 1.2 only those that BCP 195 recommends (RFC 9325, 4.2). */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/** How often the files are looked at. */
const WATCH_MS = 1_000;

/**
 * An HTTPS server that follows its files: a renewed certificate is used for new connections, without a restart.
 * A client without a certificate, or with any, gets its connection; what the certificate is worth is decided later.
 * @throws AppError `cannot_listen` where the files can't be used
 */
export function createTlsServer(
  options: TlsOptions,
  timeouts: ServerOptions = {},
): { server: Server; unwatch: () => void } {
  const { certFile, keyFile, clientCertificates } = options;
  const files = [certFile, keyFile, clientCertificates?.caFile].filter((one) => one !== undefined);
  const server = createServer({
    ...timeouts,
    ...contextOf(options),
    requestCert: clientCertificates !== undefined,
    rejectUnauthorized: false,
  });
  const follow = () => {
    try {
      server.setSecureContext(contextOf(options));
    } catch (error) {
      options.onProblem(error);
    }
  };
  for (const path of files) watchFile(path, { persistent: false, interval: WATCH_MS }, follow);
  return { server, unwatch: () => files.forEach((path) => unwatchFile(path, follow)) };
}

function contextOf({ certFile, keyFile, clientCertificates }: TlsOptions) {
  try {
    const ca = clientCertificates?.caFile;
    const context = {
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      minVersion: 'TLSv1.2' as const,
      ciphers: CIPHERS,
      ...(ca === undefined ? {} : { ca: readFileSync(ca) }),
    };
    createSecureContext(context);
    return context;
  } catch (cause) {
    const { reason, message } = cause as Error & { reason?: string };
    throw new AppError(
      'cannot_listen',
      `The files of TLS_CERT_FILE, TLS_KEY_FILE or TLS_CLIENT_CA_FILE can't be used: ${reason ?? message}.`,
      { cause },
    );
  }
}
