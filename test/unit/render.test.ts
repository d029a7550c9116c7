import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { depths } from '../../src/pages/cut.ts';
import { html } from '../../src/pages/html.ts';
import { messagesFor } from '../../src/pages/messages.ts';
import type { Pages } from '../../src/pages/pages.ts';
import { createRenderer } from '../../src/pages/render.ts';
import { heron, NOW, pageStates } from '../support/page-fixtures.ts';

const VIEWS = join(import.meta.dirname, '../../views');
const HOSTILE = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&`;
/** Values that choose a state, and are no text. */
const CHOICES = new Set(['kind', 'problem', 'notice', 'link', 'dir', 'errors']);

const renderer = createRenderer({ now: () => NOW });

/** Copies of a model, in each of which one of its strings is hostile. */
function* poisoned(value: unknown, path = ''): Generator<[path: string, copy: unknown]> {
  if (typeof value === 'string') yield [path, HOSTILE];
  else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      for (const [where, copy] of poisoned(item, `${path}[${i}]`)) {
        yield [where, value.with(i, copy)];
      }
    }
  } else if (typeof value === 'object' && value !== null && !(value instanceof Date)) {
    for (const [key, item] of Object.entries(value)) {
      if (CHOICES.has(key)) continue;
      for (const [where, copy] of poisoned(item, `${path}.${key}`)) {
        yield [where, { ...value, [key]: copy }];
      }
    }
  }
}

const cases = pageStates.map((state) => [`${state.page} ${state.state}`, state] as const);

test.each(cases)('%s escapes every string of its model', (_name, { page, model }) => {
  const tags = (text: string) => text.match(/<[a-z]+/g)?.toSorted() ?? [];
  for (const [path, copy] of poisoned(model)) {
    const text = renderer.page(page, copy as never);
    const where = `${page}${path}`;
    expect({ where, alert: text.includes('<script>alert') }).toEqual({ where, alert: false });
    expect({ where, image: tags(text).includes('<img') }).toEqual({ where, image: false });
    expect({ where, undefined: text.includes('undefined') }).toEqual({ where, undefined: false });
  }
});

test('names of hidden fields are escaped too', () => {
  const text = renderer.page('form-post', { action: '/x', hidden: { [HOSTILE]: HOSTILE } });
  expect(text).not.toContain('<script>alert');
  expect(text).not.toContain('<img');
});

test('an app’s links are left out unless they are web addresses', () => {
  const model: Pages['consent'] = {
    action: '/x',
    app: heron,
    account: { email: 'imani@okoro.test' },
    claims: [],
    scopes: [],
    ownMachine: false,
    privacyUrl: 'javascript:alert(1)',
    termsUrl: 'data:text/html,<script>alert(1)</script>',
  };
  const text = renderer.page('consent', model);
  expect(text).not.toMatch(/javascript:|data:/);
  expect(renderer.page('consent', { ...model, termsUrl: 'https://heron.example/t' })).toContain(
    'href="https://heron.example/t"',
  );
});

test('what is allowed once and no more is not said to be taken back', () => {
  const consents = pageStates.filter(({ page }) => page === 'consent');
  const said = (state: string) => {
    const model = consents.find((one) => one.state === state)?.model as Pages['consent'];
    return renderer.page('consent', model).includes('You can change this at any time.');
  };
  expect([said('payment'), said('details')]).toEqual([false, true]);
});

test('34: every error page has a next step', () => {
  const errors = pageStates.filter(({ page }) => page === 'error');
  expect(errors.length).toBeGreaterThan(15);
  for (const { state, model } of errors) {
    const html = renderer.page('error', model as Pages['error']);
    expect([state, html.match(/<a class="button/g)?.length ?? 0]).not.toEqual([state, 0]);
  }
});

describe('the templates', () => {
  const files = readdirSync(VIEWS, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.eta'))
    .map((name) => [name, readFileSync(join(VIEWS, name), 'utf8')] as const);

  test.each(files)('%s puts nothing in unescaped but other templates', (_name, source) => {
    const raw = [...source.matchAll(/<%~\s*(\S+?)[\s(]/g)].map(([, what]) => what);
    for (const what of raw) expect(['include', 'it.body', 'it.ask', 'it.bar']).toContain(what);
  });

  test.each(files)('%s has no inline style or script, and no words of its own', (_name, source) => {
    expect(source).not.toMatch(/\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)/);
    const own = source
      .replace(/<%[\s\S]*?%>/g, '')
      .replace(/<(svg|dt)\b[\s\S]*?<\/\1>/g, '') // drawings, and the wire names of OAuth
      .replace(/<[^>]*>/g, '');
    expect(own.replace(/[\s\d·]/g, '')).toBe('');
  });
});

test('each page has a title of its own, and says which server it belongs to', () => {
  const named = createRenderer({ name: 'Moorings & Co' });
  expect(named.page('sign-in', { action: '/x', app: heron })).toContain(
    '<title>Sign in to continue to Heron · Moorings &amp; Co</title>',
  );
  expect(named.page('sign-in', { action: '/x', problem: 'incorrect' })).toContain(
    '<title>Error: Sign in · Moorings &amp; Co</title>',
  );
});

test('a language that is not there is English, and says so', () => {
  const text = renderer.page('signed-out', { lang: 'xx-YY', dir: 'rtl' });
  expect(text).toContain('<html lang="en" dir="rtl">');
  expect(messagesFor('en-US').lang).toBe('en');
  expect(messagesFor('__proto__').lang).toBe('en');
});

describe('assets', () => {
  test('lie under a path with their hash, and nowhere else', () => {
    const url = renderer.assetUrl('vouchsafe.css');
    expect(url).toMatch(/^\/assets\/vouchsafe\.[\w-]{12}\.css$/);
    expect(renderer.asset(url)).toMatchObject({ type: 'text/css; charset=utf-8' });
    expect(renderer.asset('/assets/vouchsafe.css')).toBeUndefined();
    expect(renderer.asset('/assets/../layout.eta')).toBeUndefined();
    expect(renderer.page('signed-out', {})).toContain(`<link rel="stylesheet" href="${url}">`);
    expect(() => renderer.assetUrl('brand.css')).toThrow('There is no asset brand.css');
  });
});

describe('the operator’s brand', () => {
  const styles = (brand: Parameters<typeof createRenderer>[0]) => {
    const made = createRenderer(brand);
    return String(made.asset(made.assetUrl('brand.css'))?.body);
  };

  test('is one more stylesheet, with a pair for dark screens', () => {
    const made = createRenderer({ brand: { brand: '#7a1fa2', onBrand: '#fff', radius: '2px' } });
    expect(made.page('signed-out', {})).toContain(made.assetUrl('brand.css'));
    const css = styles({ brand: { brand: '#7a1fa2', onBrand: '#fff', radius: '2px' } });
    expect(css).toContain(':root{--brand:#7a1fa2;--on-brand:#fff;--radius:2px}');
    expect(css).toMatch(/dark\)\{:root\{--brand:#[\da-f]{6};--on-brand:#0b0f0d\}\}/);
  });

  test('is refused where text could not be read', () => {
    expect(() => createRenderer({ brand: { brand: '#ffd400', onBrand: '#ffffff' } })).toThrow(
      /#ffffff on #ffd400 has a contrast of 1\.\d\d:1, and text needs 4.5:1/,
    );
    // one step on either side of 4.5:1
    expect(() => createRenderer({ brand: { brand: '#777', onBrand: '#fff' } })).toThrow('4.48:1');
    createRenderer({ brand: { brand: '#767676', onBrand: '#fff' } });
    expect(() =>
      styles({
        brand: { brand: '#000', onBrand: '#fff', dark: { brand: '#333', onBrand: '#444' } },
      }),
    ).toThrow('for dark screens');
  });

  test.each([
    { brand: 'red}body{display:none', onBrand: '#fff' },
    { brand: '#000', onBrand: '#fff', radius: '1px;} *{display:none' },
    { brand: '#000', onBrand: '#fff', serif: 'x}@import url(//evil.example)' },
  ])('cannot carry anything but its values: %j', (brand) => {
    expect(() => createRenderer({ brand })).toThrow(/The brand's/);
  });
});

test('the cut is the same for the same app, and never flat', () => {
  for (let i = 0; i < 500; i++) {
    const ds = depths(`client-${i}`);
    expect(ds).toHaveLength(7);
    expect(ds).toEqual(depths(`client-${i}`));
    for (let at = 1; at < ds.length; at++) {
      const step = Math.abs((ds[at] ?? 0) - (ds[at - 1] ?? 0));
      expect(step).toBeGreaterThan(0);
      expect(step).toBeLessThanOrEqual(2);
    }
  }
});

test('html escapes what is put in, and knows its own text', () => {
  const words = html`<b>Let ${'<i>'} in</b> or ${html`<bdi>${'&'}</bdi>`}`;
  expect(words.markup).toBe('<b>Let &lt;i&gt; in</b> or <bdi>&amp;</bdi>');
  expect(words.text).toBe('Let <i> in or &');
});
