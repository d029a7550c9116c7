import { describe, expect, test } from '@jest/globals';
import { isLocalPath } from '../../src/console/local-path.ts';
import { findMissing } from '../../src/console/require-session.ts';
import { acr } from '../../src/oidc/authorization/acr.ts';
import type { BrowserSession } from '../../src/oidc/browser-session.ts';

describe('a return path', () => {
  test.each(['/account', '/account?x=//evil.example', '/account/a%2fb', '/'])(
    'may be %s',
    (path) => {
      expect(isLocalPath(path)).toBe(true);
    },
  );

  test.each([
    '',
    'account',
    'https://evil.example/',
    'javascript:alert(1)',
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/account\\..\\evil',
    '/\t/evil.example',
    '/account\r\nLocation: https://evil.example',
    '/ä',
    `/${'x'.repeat(500)}`,
  ])('is never %j', (path) => {
    expect(isLocalPath(path)).toBe(false);
  });
});

describe('what a session lacks', () => {
  const session = (change: Partial<BrowserSession> = {}, account: object = {}): BrowserSession => ({
    uid: 'uid',
    authTime: new Date(Date.now() - 60_000),
    acr: acr.oneFactor,
    amr: ['pwd'],
    account: {
      id: 'u_1',
      email: 'a@example.com',
      emailVerified: true,
      name: undefined,
      locale: undefined,
      admin: false,
      roles: [],
      disabled: false,
      updatedAt: new Date(),
      ...account,
    },
    ...change,
  });
  const missing = (
    of: BrowserSession | undefined,
    requirement: Parameters<typeof findMissing>[1] = {},
    policy: 'everyone' | 'administrators' = 'administrators',
  ) => findMissing(of, requirement, policy);

  test('nothing, where a password will do', () => {
    expect(missing(session())).toBeUndefined();
    expect(
      missing(session({ acr: acr.twoFactors }), { acr: acr.twoFactors, maxAge: 120 }),
    ).toBeUndefined();
  });

  test('itself, where there is none', () => {
    expect(missing(undefined)).toEqual({ acr: undefined, maxAge: undefined });
  });

  test('youth', () => {
    expect(missing(session(), { maxAge: 30 })).toEqual({ acr: undefined, maxAge: 30 });
  });

  test('a second factor: asked for, of an administrator, or of everyone', () => {
    const wanted = { acr: acr.twoFactors, maxAge: undefined };
    expect(missing(session(), { acr: acr.twoFactors })).toEqual(wanted);
    expect(missing(session({ acr: undefined }), { acr: acr.oneFactor })).toEqual({
      ...wanted,
      acr: acr.oneFactor,
    });
    expect(missing(session({}, { admin: true }))).toEqual(wanted);
    expect(missing(session({}, { admin: true }), { acr: acr.oneFactor })).toEqual(wanted);
    expect(missing(session(), {}, 'everyone')).toEqual(wanted);
    expect(missing(undefined, {}, 'everyone')).toEqual(wanted);
    expect(
      missing(session({ acr: acr.twoFactors }, { admin: true }), {}, 'everyone'),
    ).toBeUndefined();
  });
});
