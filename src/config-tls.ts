import { accessSync, constants } from 'node:fs';
import { z } from 'zod';
import { parseNetwork } from './lib/network.ts';

/** The settings of TLS and of client certificates (RFC 8705); src/config.ts reads them with the others. */

const file = z.string().refine(
  (path) => {
    try {
      accessSync(path, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  },
  { message: 'not readable' },
);

/** Lower case, as Node has them. */
const header = z
  .string()
  .regex(/^[a-z0-9-]+$/i)
  .transform((name) => name.toLowerCase());

const networks = z.string().transform((value, context) => {
  const entries = value.split(',').map((part) => part.trim());
  if (!entries.every((entry) => parseNetwork(entry) !== undefined)) {
    context.addIssue({ code: 'custom', message: 'not addresses' });
    return z.NEVER;
  }
  return entries;
});

export const tlsVariables = {
  TLS_CERT_FILE: {
    form: file.optional(),
    expected:
      'the file of the certificate (PEM, with its chain) with which the server terminates TLS itself',
    example: '/run/secrets/tls.crt',
  },
  TLS_KEY_FILE: {
    form: file.optional(),
    expected: 'the file of the private key (PEM) of that certificate',
    example: '/run/secrets/tls.key',
  },
  MTLS_PORT: {
    form: z.coerce.number().int().min(0).max(65535).optional(),
    expected: 'a second port, where clients can present a certificate; requires TLS_CERT_FILE',
    example: '8443',
  },
  MTLS_HOST: {
    form: z
      .string()
      .regex(/^([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?$/i)
      .optional(),
    expected: 'the host, with a port if needed, to which clients with a certificate connect',
    example: 'mtls.id.example.com',
  },
  TLS_CLIENT_CA_FILE: {
    form: file.optional(),
    expected:
      'the file of the certificate authorities (PEM) whose certificates authenticate clients on MTLS_PORT',
    example: '/run/secrets/client-ca.crt',
  },
  CLIENT_CERTIFICATE_HEADER: {
    form: header.optional(),
    expected: "the header in which your proxy passes on the client's certificate",
    example: 'X-Client-Certificate',
  },
  CLIENT_CERTIFICATE_VERIFIED_HEADER: {
    form: header.optional(),
    expected: 'the header in which that proxy sends SUCCESS if it has verified the certificate',
    example: 'X-Client-Verify',
  },
  CLIENT_CERTIFICATE_PROXIES: {
    form: networks.optional(),
    expected:
      'the addresses and networks of those proxies, separated by commas; from all others, the headers are ignored',
    example: '10.0.0.5,fd00::/8',
  },
} as const;

type Parsed = {
  [K in keyof typeof tlsVariables]: z.output<(typeof tlsVariables)[K]['form']>;
};

/** The proxies that tell of the client's certificate, and in which headers; their names are in lower case. */
export interface CertificateProxy {
  readonly header: string;
  /** Its value is SUCCESS where the proxy has verified the certificate. */
  readonly verifiedHeader: string | undefined;
  /** Addresses and networks. */
  readonly peers: readonly string[];
}

export interface TlsConfig {
  /** We end TLS ourselves. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly clientCertificates: {
    /** Where our own TLS asks for them. */
    readonly port: number | undefined;
    readonly caFile: string | undefined;
    readonly proxy: CertificateProxy | undefined;
    /** Where clients that have one go, if that is not the issuer. */
    readonly host: string | undefined;
  };
}

/** What of these settings does not go together, a line for each. */
export function tlsMistakes(values: Parsed, isHttps: boolean): string[] {
  const mistakes: string[] = [];
  const needs = (name: keyof Parsed, needed: keyof Parsed) => {
    if (values[name] !== undefined && values[needed] === undefined)
      mistakes.push(
        `${name}: expected together with ${needed}. For example: ${tlsVariables[needed].example}`,
      );
  };
  needs('TLS_CERT_FILE', 'TLS_KEY_FILE');
  needs('TLS_KEY_FILE', 'TLS_CERT_FILE');
  needs('MTLS_PORT', 'TLS_CERT_FILE');
  needs('TLS_CLIENT_CA_FILE', 'MTLS_PORT');
  needs('CLIENT_CERTIFICATE_HEADER', 'CLIENT_CERTIFICATE_PROXIES');
  needs('CLIENT_CERTIFICATE_PROXIES', 'CLIENT_CERTIFICATE_HEADER');
  needs('CLIENT_CERTIFICATE_VERIFIED_HEADER', 'CLIENT_CERTIFICATE_HEADER');
  if (values.MTLS_HOST !== undefined && values.MTLS_PORT === undefined)
    needs('MTLS_HOST', 'CLIENT_CERTIFICATE_HEADER');
  if (values.TLS_CERT_FILE !== undefined && !isHttps)
    mistakes.push(
      'TLS_CERT_FILE: expected together with an https ISSUER. For example: https://id.example.com',
    );
  return mistakes;
}

export function assembleTls(values: Parsed, issuer: string): TlsConfig {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile, MTLS_PORT: port } = values;
  const { CLIENT_CERTIFICATE_HEADER: name, CLIENT_CERTIFICATE_PROXIES: peers } = values;
  return {
    tls: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile },
    clientCertificates: {
      port,
      caFile: values.TLS_CLIENT_CA_FILE,
      proxy:
        name === undefined || peers === undefined
          ? undefined
          : { header: name, verifiedHeader: values.CLIENT_CERTIFICATE_VERIFIED_HEADER, peers },
      host:
        values.MTLS_HOST ??
        (port === undefined ? undefined : `${new URL(issuer).hostname}:${port}`),
    },
  };
}
