import { afterAll, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
const file = join(folder, 'file');
writeFileSync(file, '');
afterAll(() => rmSync(folder, { recursive: true }));

const issuer = 'https://id.example.com';
const own = { ISSUER: issuer, TLS_CERT_FILE: file, TLS_KEY_FILE: file };
const proxy = {
  CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
  CLIENT_CERTIFICATE_PROXIES: '10.0.0.5, fd00::/8',
};

function refusal(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

test('unless told there is no TLS, and nobody tells of certificates', () => {
  expect(loadConfig({})).toMatchObject({
    tls: undefined,
    clientCertificates: { port: undefined, caFile: undefined, proxy: undefined, host: undefined },
  });
});

test('TLS of our own, with a port for certificates and its host', () => {
  const { tls, clientCertificates } = loadConfig({
    ...own,
    MTLS_PORT: '8443',
    TLS_CLIENT_CA_FILE: file,
  });
  expect(tls).toEqual({ certFile: file, keyFile: file });
  expect(clientCertificates).toEqual({
    port: 8443,
    caFile: file,
    proxy: undefined,
    host: 'id.example.com:8443',
  });
  const named = loadConfig({ ...own, MTLS_PORT: '8443', MTLS_HOST: 'mtls.example.com' });
  expect(named.clientCertificates.host).toBe('mtls.example.com');
});

test('a proxy that tells of certificates, by headers in lower case', () => {
  expect(
    loadConfig({ ...proxy, CLIENT_CERTIFICATE_VERIFIED_HEADER: 'X-Client-Verify' })
      .clientCertificates,
  ).toEqual({
    port: undefined,
    caFile: undefined,
    host: undefined,
    proxy: {
      header: 'x-client-certificate',
      verifiedHeader: 'x-client-verify',
      peers: ['10.0.0.5', 'fd00::/8'],
    },
  });
});

test.each<[string, Record<string, string>]>([
  ['TLS_CERT_FILE', { ISSUER: issuer, TLS_CERT_FILE: file }],
  ['TLS_KEY_FILE', { ISSUER: issuer, TLS_KEY_FILE: file }],
  ['TLS_CERT_FILE', { TLS_CERT_FILE: file, TLS_KEY_FILE: file }],
  ['MTLS_PORT', { ISSUER: issuer, MTLS_PORT: '8443' }],
  ['MTLS_HOST', { ISSUER: issuer, MTLS_HOST: 'mtls.example.com' }],
  ['TLS_CLIENT_CA_FILE', { ...own, TLS_CLIENT_CA_FILE: file }],
  ['CLIENT_CERTIFICATE_HEADER', { CLIENT_CERTIFICATE_HEADER: 'x' }],
  ['CLIENT_CERTIFICATE_PROXIES', { CLIENT_CERTIFICATE_PROXIES: '10.0.0.5' }],
  ['CLIENT_CERTIFICATE_VERIFIED_HEADER', { CLIENT_CERTIFICATE_VERIFIED_HEADER: 'x' }],
])('%s needs its other half', (name, env) => {
  expect(refusal(env)).toMatch(
    new RegExp(`^ {2}${name}: expected together with .*\\. For example: .`, 'm'),
  );
});

test.each<[string, Record<string, string>]>([
  ['TLS_CERT_FILE', { ...own, TLS_CERT_FILE: join(folder, 'none') }],
  ['MTLS_HOST', { ...own, MTLS_PORT: '8443', MTLS_HOST: 'https://mtls.example.com' }],
  ['MTLS_HOST', { ...own, MTLS_PORT: '8443', MTLS_HOST: 'mtls.example.com/path' }],
  ['CLIENT_CERTIFICATE_HEADER', { ...proxy, CLIENT_CERTIFICATE_HEADER: 'x y' }],
  ['CLIENT_CERTIFICATE_PROXIES', { ...proxy, CLIENT_CERTIFICATE_PROXIES: 'proxy.internal' }],
  ['CLIENT_CERTIFICATE_PROXIES', { ...proxy, CLIENT_CERTIFICATE_PROXIES: '10.0.0.5/33' }],
  ['CLIENT_CERTIFICATE_PROXIES', { ...proxy, CLIENT_CERTIFICATE_PROXIES: '10.0.0.5,' }],
  ['CLIENT_CERTIFICATE_PROXIES', { ...proxy, CLIENT_CERTIFICATE_PROXIES: '*' }],
])('%s has its form', (name, env) => {
  expect(refusal(env)).toMatch(new RegExp(`^ {2}${name}: expected `, 'm'));
});
