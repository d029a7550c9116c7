import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { newClientSchema, type NewClient } from '../../src/client/client.ts';
import { newRegistration } from '../../src/client/registration.ts';
import { OutboundAllow } from '../../src/outbound/outbound.ts';
import {
  hostile,
  localOfSomebodyElse,
  neverRegistered,
  ofSomebodyElse,
  privateOfSomebodyElse,
} from '../support/redirect-corpus.ts';
import { mayBeAnsweredAt, mutationsOf } from '../support/redirect-mutations.ts';

const types = ['web', 'spa', 'native'] as const;
const good = 'https://app.example.com/callback';

const register = (said: Partial<NewClient>) =>
  newRegistration(
    newClientSchema.parse({ name: 'Quillet', type: 'web', redirectUris: [good], ...said }),
    new OutboundAllow([]),
  );

describe('SECURITY Authorization 3, SECURITY 4, 7: what may be registered', () => {
  test.each(neverRegistered)('$why: no client has it, for sign-in or for sign-out', ({ uri }) => {
    for (const type of types) {
      expect(() => register({ type, redirectUris: [good, uri] })).toThrow();
      expect(() => register({ type, postLogoutRedirectUris: [uri] })).toThrow();
    }
  });

  test('what is good for its owner is taken, and kept byte for byte', () => {
    for (const { uri } of [...ofSomebodyElse, ...localOfSomebodyElse, ...privateOfSomebodyElse]) {
      const { metadata } = register({
        type: 'native',
        redirectUris: [uri],
        postLogoutRedirectUris: [uri],
      });
      expect(metadata).toMatchObject({ redirect_uris: [uri], post_logout_redirect_uris: [uri] });
    }
    for (const { uri } of privateOfSomebodyElse)
      expect(() => register({ type: 'web', redirectUris: [uri] })).toThrow();
  });

  test('each stands in the corpus once', () => {
    expect(new Set(hostile.map(({ uri }) => uri)).size).toBe(hostile.length);
  });
});

describe('the generator of mutations finds what went wrong elsewhere', () => {
  const registered = [good, 'http://127.0.0.1/callback', 'http://[::1]:4000/callback'];
  const parsed = (uri: string) => (URL.canParse(uri) ? new URL(uri) : undefined);
  const origin = (uri: string) => parsed(uri)?.origin;
  const wrong: Record<string, (uri: string, one: string) => boolean> = {
    'a prefix': (uri, one) => uri.startsWith(one),
    'the beginning of a step': (uri, one) => uri === one || uri.startsWith(`${one}/`),
    'a pattern whose dots were not escaped': (uri, one) =>
      new RegExp(`^${one.replace(/[[\]]/g, '\\$&')}$`).test(uri),
    'a pattern that is not closed': (uri, one) =>
      new RegExp(`^${one.replace(/[.[\]]/g, '\\$&')}`).test(uri),
    'a pattern over lines': (uri, one) =>
      new RegExp(`^${one.replace(/[.[\]]/g, '\\$&')}$`, 'm').test(uri),
    'any case': (uri, one) => uri.toLowerCase() === one.toLowerCase(),
    'without spaces around': (uri, one) => uri.trim() === one,
    'as a parser reads it': (uri, one) => parsed(uri)?.href === new URL(one).href,
    'without its query': (uri, one) => uri.split('?')[0] === one,
    'without its fragment': (uri, one) => uri.split('#')[0] === one,
    'the origin alone': (uri, one) => origin(uri) === new URL(one).origin,
    'the beginning of the origin': (uri, one) => uri.startsWith(new URL(one).origin),
    'host and path': (uri, one) =>
      parsed(uri)?.host === new URL(one).host && parsed(uri)?.pathname === new URL(one).pathname,
    'the end of the host': (uri, one) =>
      parsed(uri)?.hostname.endsWith(new URL(one).hostname) === true,
    'decoded once more': (uri, one) => {
      try {
        return decodeURIComponent(uri) === one;
      } catch {
        return false;
      }
    },
    'any port, of any host': (uri, one) =>
      uri.replace(/:\d+(?=\/)/, '') === one.replace(/:\d+(?=\/)/, ''),
    'any path on loopback': (uri, one) =>
      uri === one || (one.startsWith('http:') && parsed(uri)?.hostname === new URL(one).hostname),
  };

  test.each(Object.keys(wrong))('%s', (name) => {
    const takes = wrong[name] as (uri: string, one: string) => boolean;
    const { failed } = fc.check(
      fc.property(mutationsOf(registered), (uri) =>
        registered.some((one) => takes(uri, one)) ? mayBeAnsweredAt(uri, registered, true) : true,
      ),
      { numRuns: 20_000, seed: 9 },
    );
    expect(failed).toBe(true);
  });

  test('and nothing in what is right', () => {
    fc.assert(
      fc.property(mutationsOf(registered), (uri) => {
        if (!mayBeAnsweredAt(uri, registered, true) || registered.includes(uri)) return;
        const { protocol, hostname, pathname, search, hash, username } = new URL(uri);
        expect([protocol, search, hash, username]).toEqual(['http:', '', '', '']);
        expect(['127.0.0.1', '[::1]']).toContain(hostname);
        expect(pathname).toBe('/callback');
      }),
      { numRuns: 5_000 },
    );
  });
});
