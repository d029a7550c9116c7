import { expect, test } from '@jest/globals';
import { acr, acrOf, preferredAcr, rankOf } from '../../src/oidc/authorization/acr.ts';

test('two factors outrank one, and whatever is not known is worth nothing', () => {
  expect(rankOf(acr.twoFactors)).toBeGreaterThan(rankOf(acr.oneFactor));
  expect(rankOf(acr.oneFactor)).toBeGreaterThan(0);
  for (const unknown of [
    undefined,
    '',
    'urn:vouchsafe:acr:3fa',
    'URN:VOUCHSAFE:ACR:2FA',
    `${acr.twoFactors} `,
    'phr',
    '__proto__',
    'constructor',
    'toString',
  ]) {
    expect({ unknown, rank: rankOf(unknown) }).toEqual({ unknown, rank: 0 });
  }
});

test('the first known value is what the client would rather have', () => {
  expect(preferredAcr(['phr', 'constructor', acr.oneFactor, acr.twoFactors])).toBe(acr.oneFactor);
  expect(preferredAcr(['phr', '__proto__'])).toBeUndefined();
  expect(preferredAcr([])).toBeUndefined();
});

test('methods amount to two factors only where two were used', () => {
  expect(acrOf(['pwd', 'otp', 'mfa'])).toBe(acr.twoFactors);
  for (const amr of [[], ['pwd'], ['otp'], ['MFA']]) expect(acrOf(amr)).toBe(acr.oneFactor);
});
