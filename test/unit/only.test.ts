import { expect, test } from '@jest/globals';
import type { Context } from 'koa';
import { only } from '../../src/http/only.ts';

const endpoints = [
  { path: '/' },
  { path: '/account' },
  { path: '/interaction/:uid/consent' },
  { path: '/gateway/*' },
];

test.each([
  ['/', true],
  ['/account', true],
  ['/account/apps', true],
  ['/interaction', true],
  ['/interaction/x/consent', true],
  ['/interaction/', true],
  ['/gateway/api/envoy//x', true],
  ['/token', false],
  ['/accounts', false],
  ['/Account', false],
  ['/x/account', false],
  ['//', true],
  ['/.well-known/openid-configuration', false],
])('38: layers behind a path run for %s: %s', async (path, expected) => {
  const passed: string[] = [];
  const layer = (name: string) => async (_ctx: Context, next: () => Promise<unknown>) => {
    passed.push(name);
    await next();
    passed.push(`${name} again`);
  };
  await only(
    'test',
    endpoints,
    layer('one'),
    layer('two'),
  )({ path } as never, async () => {
    passed.push('next');
  });
  expect(passed).toEqual(expected ? ['one', 'two', 'next', 'two again', 'one again'] : ['next']);
});

test.each(['/:uid', '/*'])('38: no layers are behind %s, which can be any path', (path) => {
  expect(() => only('test', [{ path }])).toThrow(TypeError);
});
