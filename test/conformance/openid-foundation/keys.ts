import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { type Certificate, certificate } from '../../support/certificates.ts';

/** A key of a client: the suite gets all of it, the server the public part, in a file. */
export interface ClientKey {
  readonly jwk: JWK;
  readonly publicFile: string;
}

/** Makes a key, and writes its public part as a JWK Set. */
export async function makeKey(
  folder: string,
  kid: string,
  alg: 'PS256' | 'ES256',
): Promise<ClientKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, {
    extractable: true,
    ...(alg === 'PS256' ? { modulusLength: 2048 } : {}),
  });
  const named = { kid, alg, use: 'sig' };
  const publicFile = join(folder, `${kid}.jwks.json`);
  await writeFile(
    publicFile,
    JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), ...named }] }),
  );
  return { jwk: { ...(await exportJWK(privateKey)), ...named }, publicFile };
}

export interface Certificates {
  readonly ca: Certificate;
  readonly server: Certificate;
  /** Files of the server: its certificate with its key, and who issues those of clients. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  readonly clients: readonly [Certificate, Certificate];
}

/** An authority of our own, the server's certificate, and one for each of two clients. */
export async function makeCertificates(folder: string, host: string): Promise<Certificates> {
  await mkdir(folder, { recursive: true });
  const ca = certificate({ subject: [['CN', 'Vouchsafe conformance']], ca: true });
  // FAPI-CIBA is based on FAPI 1, which allows only cipher suites for RSA certificates with TLS 1.2.
  const server = certificate({
    subject: [['CN', host]],
    issuer: ca,
    names: { dns: host },
    key: 'rsa',
  });
  const files = {
    certFile: join(folder, 'server.crt'),
    keyFile: join(folder, 'server.key'),
    caFile: join(folder, 'ca.crt'),
  };
  await writeFile(files.certFile, server.cert);
  await writeFile(files.keyFile, server.key, { mode: 0o600 });
  await writeFile(files.caFile, ca.cert);
  const client = (name: string) => certificate({ subject: [['CN', name]], issuer: ca });
  return {
    ca,
    server,
    ...files,
    clients: [client('vouchsafe-client-1'), client('vouchsafe-client-2')],
  };
}
