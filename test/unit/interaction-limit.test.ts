import { describe, expect, test } from '@jest/globals';
import type { Context } from 'koa';
import type { AppError } from '../../src/errors.ts';
import { interactionFigures, limitInteractions } from '../../src/interaction/interaction-limit.ts';
import { Sealer } from '../../src/lib/seal.ts';

/** 23: how many sign-ins begin at one address. */

const issuer = 'https://id.example.com';
/** Smaller than the server's, where so many requests would only take time. */
const few = { begun: 20, returned: 200, perCookie: 5 };

interface Outcome {
  readonly code: 'begun' | 'sent back' | 'too_many_attempts' | 'too_many_sign_ins';
  readonly cookie: string | undefined;
  readonly retryAfter?: number | undefined;
}

function limited(figures?: typeof interactionFigures) {
  const sealer = new Sealer([Buffer.alloc(32)]);
  const { count, sendBack } = limitInteractions({ issuer, sealer, figures });
  return async (
    address: string,
    { path = '/authorize', cookie, marked = false }: Partial<Visit> = {},
  ): Promise<Outcome> => {
    let set: string | undefined;
    const ctx = {
      state: { address },
      path,
      method: 'GET',
      query: marked ? { vs_returned: '1' } : {},
      querystring: 'client_id=c',
      cookies: { get: () => cookie, set: (_name: string, value: string) => (set = value) },
      remove: () => undefined,
      set: () => undefined,
      redirect: () => undefined,
    } as unknown as Context;
    const begin = () => {
      ctx.state.begun = true;
      return Promise.resolve();
    };
    try {
      await sendBack(ctx as never, () => count(ctx as never, begin) as Promise<void>);
      return { code: set === undefined ? 'begun' : 'sent back', cookie: set };
    } catch (error) {
      const { code, retryAfter } = error as AppError & { retryAfter?: number };
      return { code: code as Outcome['code'], cookie: undefined, retryAfter };
    }
  };
}

interface Visit {
  readonly path: string;
  readonly cookie: string | undefined;
  readonly marked: boolean;
}

/** So many sign-ins begin, all of them. */
async function allBegin(times: number, begin: () => Promise<Outcome>): Promise<void> {
  const codes = new Set<string>();
  for (let time = 0; time < times; time++) codes.add((await begin()).code);
  expect([...codes]).toEqual(['begun']);
}

describe('23: sign-ins that begin at one address', () => {
  test('the figures', () => {
    expect(interactionFigures).toEqual({ begun: 2_000, returned: 20_000, perCookie: 50 });
  });

  test('browsers that come back may begin so many and no more; others go on', async () => {
    const { begun, perCookie, returned } = few;
    const begin = limited(few);
    const address = '203.0.113.7';
    await allBegin(begun, () => begin(address));
    for (let browser = 0; browser < returned / perCookie; browser++) {
      const { code, cookie } = await begin(address);
      expect(code).toBe('sent back');
      await allBegin(perCookie, () => begin(address, { cookie, marked: true }));
    }
    const { cookie } = await begin(address);
    const refused = await begin(address, { cookie, marked: true });
    expect(refused.code).toBe('too_many_attempts');
    expect(refused.retryAfter).toBeGreaterThan(0);
    expect(refused.retryAfter).toBeLessThanOrEqual(900);
    // It is not sent back once more, also without the mark: that would never end.
    expect((await begin(address, { cookie })).code).toBe('too_many_attempts');
    expect((await begin('203.0.113.8')).code).toBe('begun');
  });

  test('codes of devices count with them, and without what began there', async () => {
    const { begun, returned } = interactionFigures;
    const begin = limited();
    const device = { path: '/device' };
    await allBegin(returned, () => begin('203.0.113.7', device));
    expect((await begin('203.0.113.7', device)).code).toBe('too_many_attempts');
    expect((await begin('203.0.113.7', { path: '/Device' })).code).toBe('too_many_attempts');
    // A browser there that begins anything else does so, until it would have to come back.
    await allBegin(begun, () => begin('203.0.113.7'));
    const { code, cookie } = await begin('203.0.113.7');
    expect(code).toBe('sent back');
    expect((await begin('203.0.113.7', { cookie, marked: true })).code).toBe('too_many_attempts');
  });

  test('all addresses of a /64 are one, and a /24 has sixteen shares', async () => {
    const { returned } = few;
    const begin = limited(few);
    const device = { path: '/device' };
    let host = 0;
    const spread = () => begin(`2001:db8:1:2::${(++host).toString(16)}`, device);
    await allBegin(returned, spread);
    expect((await spread()).code).toBe('too_many_attempts');
    expect((await begin('2001:db8:1:3::1', device)).code).toBe('begun');
    for (let last = 1; last <= 16; last++)
      await allBegin(returned, () => begin(`203.0.113.${last}`, device));
    expect((await begin('203.0.113.200', device)).code).toBe('too_many_attempts');
    expect((await begin('203.0.114.1', device)).code).toBe('begun');
  });
});
