import { describe, expect, test } from '@jest/globals';
import { parseCertificate } from '../../src/http/client-certificate.ts';
import { parseDistinguishedName } from '../../src/lib/distinguished-name.ts';
import { certificate } from '../support/certificates.ts';

describe('a distinguished name', () => {
  const same = (one: string, other: string) =>
    expect(parseDistinguishedName(one)).toEqual(parseDistinguishedName(other));

  test('is the same however it is written', () => {
    same('CN=client,O=Acme,C=DE', 'cn = client , o=Acme;2.5.4.6=DE');
    same('CN=a\\,b', 'CN=a\\2Cb');
    same('CN=\\C3\\BC', 'CN=ü');
    same('CN=a\\ ', 'CN=a\\20');
    same('CN=a\\   ,C=DE', 'CN=a\\20,C=DE');
    same('CN=a\\\\  ', 'CN=a\\5C');
    same('OU=one+CN=two', 'CN=two+OU=one');
    same('E=a@example.com', '1.2.840.113549.1.9.1=a@example.com');
    expect(parseDistinguishedName('CN= a  b ,C=DE')).toEqual([['CN=a  b'], ['C=DE']]);
  });

  test.each([
    ['CN=a,O=b', 'O=b,CN=a'],
    ['CN=a,O=b', 'CN=a+O=b'],
    ['CN=a', 'CN=A'],
    ['CN=a', 'O=a'],
    ['CN=a', 'CN=a,CN=a'],
    ['CN=a\\,O=b', 'CN=a,O=b'],
    ['CN=a\\+O=b', 'CN=a+O=b'],
  ])('%s is not %s', (one, other) => {
    expect(parseDistinguishedName(one)).toBeDefined();
    expect(parseDistinguishedName(one)).not.toEqual(parseDistinguishedName(other));
  });

  test.each([
    '',
    'a',
    'CN',
    'CN=',
    'CN= ',
    '=a',
    'CN=a,',
    'CN=a+',
    'CN=a"b',
    'CN=a\\',
    'CN=a\\x',
    'CN=#0401',
    'CN=a\\FF',
    'CN=a\0',
    '1=a',
    'CN=a/O=b,',
  ])('%j is none', (text) => expect(parseDistinguishedName(text)).toBeUndefined());

  test('takes no time for a long one', () => {
    expect(parseDistinguishedName(`CN=${'\\\\'.repeat(50_000)} ,`)).toBeUndefined();
    expect(parseDistinguishedName(`CN=${' '.repeat(50_000)}`)).toBeUndefined();
    expect(parseDistinguishedName(`CN=a${' '.repeat(50_000)}b`)).toEqual([
      [`CN=a${' '.repeat(50_000)}b`],
    ]);
  });
});

describe('a certificate in a header', () => {
  const { cert, der } = certificate();
  const base64 = der.toString('base64');

  test.each([
    cert,
    encodeURIComponent(cert),
    cert.replaceAll('\n', '\t'),
    `:${base64}:`,
    base64,
    `By=x;Cert="${encodeURIComponent(cert)}"`,
  ])('is found', (header) => {
    expect(parseCertificate(header)?.raw.equals(der)).toBe(true);
  });

  test.each([
    '',
    ' ',
    '::',
    ':x:',
    '(null)',
    `${base64},${base64}`,
    cert + cert,
    `x${cert}`,
    cert.replace('CERTIFICATE', 'PRIVATE KEY'),
    `Cert="${encodeURIComponent(cert)}",Cert="${encodeURIComponent(cert)}"`,
    base64.slice(0, -12),
    '%E0%A4%A',
    'A'.repeat(10_000),
  ])('or is not: %j', (header) => {
    expect(parseCertificate(header)).toBeUndefined();
  });
});
