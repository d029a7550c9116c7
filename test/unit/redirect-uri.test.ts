import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkRedirectUri, isLocalRedirect } from '../../src/client/client.ts';

const refused = (uri: string, type: 'web' | 'native' | 'spa' = 'web') =>
  expect(() => checkRedirectUri(uri, type)).toThrow(
    expect.objectContaining({ code: 'invalid_redirect_uri', status: 400 }),
  );
const taken = (uri: string, type: 'web' | 'native' | 'spa' = 'web') =>
  expect(() => checkRedirectUri(uri, type)).not.toThrow();

describe('redirect URIs that a client may register', () => {
  test.each([
    'https://app.example.com/cb',
    'https://app.example.com/cb?tenant=1',
    'https://app.example.com',
    'https://app.example.com:8443/a/b.c/d..e',
    'http://localhost:8080/cb',
    'http://127.0.0.1/cb',
    'http://[::1]:9000/cb',
  ])('%s is taken', (uri) => taken(uri));

  test('a private scheme is taken from a native app, and from no other', () => {
    taken('com.example.app:/callback', 'native');
    taken('com.example.app://callback', 'native');
    refused('com.example.app:/callback', 'web');
    refused('com.example.app:/callback', 'spa');
    refused('myapp:/callback', 'native');
  });

  test.each([
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\tscript:alert(1)',
    '\u0001javascript:alert(1)',
    'javascript://app.example.com/%0aalert(1)',
    'data:text/html,<script>1</script>',
    'DATA:text/html;base64,PHNjcmlwdD4=',
    'vbscript:x',
    'blob:https://app.example.com/x',
    'file:///etc/passwd',
    'ws://app.example.com/cb',
  ])('the scheme of %j is refused, for native apps too', (uri) => {
    refused(uri);
    refused(uri, 'native');
  });

  test.each([
    'http://app.example.com/cb',
    'http://localhost.evil.example/cb',
    'http://127.0.0.1.evil.example/cb',
    'http://0.0.0.0/cb',
    'http://127.1/cb',
    'http://2130706433/cb',
    'HTTP://localhost/cb',
  ])('%s is not plain http on loopback', (uri) => refused(uri));

  test.each([
    'https://app.example.com/cb#fragment',
    'https://app.example.com/cb#',
    'https://*.example.com/cb',
    'https://app.example.com/*',
    'https://user@app.example.com/cb',
    'https://user:pass@app.example.com/cb',
    'https://app.example.com@evil.example/cb',
    'https://a@b@evil.example/cb',
    'https://@app.example.com/cb',
    'https://app.example.com/../cb',
    'https://app.example.com/a/./cb',
    'https://app.example.com/%2e%2e/cb',
    'https://app.example.com/a/%2E./cb',
    'https://app.example.com/a/..;/cb',
    'https://app.example.com/a/..',
    'https://app.example.com\\@evil.example/cb',
    'https://app.example.com/\\evil',
    'https:/app.example.com/cb',
    'https:app.example.com/cb',
    'https:///app.example.com/cb',
    'https://APP.example.com/cb',
    'https://app.example.com:443/cb',
    'https://app.example.com/c b',
    'https://app.example.com/cb\n',
    ' https://app.example.com/cb',
    'https://app.example.com/\u0000',
    'https://аpp.example.com/cb',
    '/cb',
    '//app.example.com/cb',
    'app.example.com/cb',
    '',
  ])('%j is refused', (uri) => refused(uri));

  test('whatever is taken goes to the very host that it shows, without script, fragment or user', () => {
    const pieces = fc.constantFrom(
      'https://',
      'http://',
      'app.example.com',
      'evil.example',
      'localhost',
      '@',
      '#',
      '\\',
      '/',
      '..',
      ';',
      '%2e',
      ':',
      '?',
      '*',
      '\t',
      'javascript:',
      'data:',
      'a',
      '443',
    );
    fc.assert(
      fc.property(
        fc.array(pieces, { maxLength: 9 }),
        fc.constantFrom('web' as const, 'native' as const),
        (parts, type) => {
          const uri = parts.join('');
          try {
            checkRedirectUri(uri, type);
          } catch {
            return;
          }
          const url = new URL(uri);
          expect(uri).not.toMatch(/[#*\\\s]/);
          expect(url.username + url.password).toBe('');
          expect(['javascript:', 'data:']).not.toContain(url.protocol);
          if (url.protocol === 'http:')
            expect(['localhost', '127.0.0.1', '[::1]']).toContain(url.hostname);
          if (url.protocol.startsWith('http')) expect([uri, `${uri}/`]).toContain(url.href);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

test('a redirect is local on loopback and on private schemes', () => {
  expect(isLocalRedirect('http://localhost:1/cb')).toBe(true);
  expect(isLocalRedirect('http://[::1]/cb')).toBe(true);
  expect(isLocalRedirect('com.example.app:/cb')).toBe(true);
  expect(isLocalRedirect('https://app.example.com/cb')).toBe(false);
});
