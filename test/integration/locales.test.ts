import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Html } from '../../src/pages/html.ts';
import { de } from '../../src/pages/messages/de.ts';
import { en } from '../../src/pages/messages/en.ts';
import { languageTags } from '../../src/pages/messages.ts';
import { createRenderer } from '../../src/pages/render.ts';
import { cookieOf } from '../support/protocol.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { NOW, pageStates } from '../support/page-fixtures.ts';
import { ask, enterPassword } from '../support/relying-party.ts';
import { startServer, type TestServer, testPassword } from '../support/server.ts';
import { send } from '../support/wire.ts';

/** Pages and mails in the reader's language: `ui_locales`, then what this browser was spoken to in, then Accept-Language. */

let database: TestDatabase;
let server: TestServer;
let client: ClientCredentials;

beforeAll(async () => {
  database = await createTestDatabase();
  server = await startServer(database);
  client = await server.createClient();
});

afterAll(async () => {
  await server.close();
  await database.drop();
});

const browserIn = (language: string): Browser => {
  const browser = new Browser();
  browser.headers = { 'accept-language': language };
  return browser;
};
const asking = (extra: Record<string, string | undefined> = {}) => ask(server, client, extra).url;
const langOf = (page: Page) => /<html lang="([^"]*)" dir="ltr">/.exec(page.html)?.[1];

test('discovery names the languages that there are', async () => {
  const metadata = (await (
    await fetch(`${server.issuer}/.well-known/openid-configuration`)
  ).json()) as Record<string, unknown>;
  expect(metadata.ui_locales_supported).toEqual(['en', 'de']);
  expect(metadata.ui_locales_supported).toEqual(languageTags);
});

describe('the choice', () => {
  test('by the browser’s own wish', async () => {
    for (const [wish, lang] of [
      ['de', 'de'],
      ['de-AT,de;q=0.9,en;q=0.8', 'de'],
      ['DE-CH', 'de'],
      ['fr, de;q=0.5, en;q=0.4', 'de'],
      ['en-US,de;q=0.9', 'en'],
      ['fr', 'en'],
      ['*', 'en'],
      ['de;q=0', 'en'],
      ['', 'en'],
      ['deutsch', 'en'],
      ['x'.repeat(8_000), 'en'],
    ] as const) {
      const page = await browserIn(wish).get(asking());
      expect({ wish, status: page.status, lang: langOf(page) }).toEqual({
        wish,
        status: 200,
        lang,
      });
    }
  });

  test('ui_locales comes first, in the order that the app gives, and is remembered in this browser', async () => {
    for (const [ui_locales, lang] of [
      ['de', 'de'],
      ['fr-CA de en', 'de'],
      ['de-Latn-DE-1996', 'de'],
      ['en de', 'en'],
    ] as const) {
      const other = lang === 'de' ? 'en' : 'de';
      const browser = browserIn(other);
      expect(langOf(await browser.get(asking({ ui_locales })))).toBe(lang);
      // Another app says nothing; then one says otherwise.
      expect(langOf(await browser.get(asking()))).toBe(lang);
      expect(langOf(await browser.get(asking({ ui_locales: other })))).toBe(other);
    }
    const browser = browserIn('de');
    expect(langOf(await browser.get(asking({ ui_locales: 'fr it' })))).toBe('de');
    expect(browser.cookies()).not.toHaveProperty(cookieOf(server.issuer, 'lang'));
  });

  test('it holds for every page after it: errors, the account, signing out', async () => {
    const browser = browserIn('en');
    let page = await browser.get(asking({ ui_locales: 'de' }));
    expect(page.title).toBe('Anmelden und weiter zu Quillet · Vouchsafe');
    page = await browser.submit(page, { email: 'nobody@example.com', password: 'wrong' });
    expect(page.title).toBe('Fehler: Anmelden und weiter zu Quillet · Vouchsafe');
    expect(page.text).toContain('E-Mail-Adresse oder Passwort ist falsch');
    expect(langOf(await browser.get(`${server.issuer}/interaction/gone`))).toBe('de');
    expect(langOf(await browser.get(`${server.issuer}/setup/gone`))).toBe('de');
    expect(langOf(await browser.get(`${server.issuer}/authorize?client_id=nobody`))).toBe('de');
    const account = await server.createAccount();
    page = await enterPassword(browser, await browser.get(`${server.issuer}/account`), account);
    expect(page.text).toContain('Ihr Konto');
    const signOut = await browserWithout(browser).get(`${server.issuer}/logout?ui_locales=en`);
    expect(langOf(signOut)).toBe('en');
  });

  /** The same browser: its cookies are kept. */
  const browserWithout = (browser: Browser) => {
    browser.headers = {};
    return browser;
  };
});

test('SECURITY 27: endless and hostile locales are harmless', async () => {
  const hostile = [
    Array.from({ length: 10_000 }, (_, i) => `x${i}`)
      .join(' ')
      .slice(0, 12_000),
    'de'.repeat(5_000),
    ' '.repeat(5_000),
    '__proto__',
    'constructor toString',
    '../../etc/passwd',
    '"><script>alert(1)</script>',
    'de\r\nSet-Cookie: a=b',
    '\u0000',
    'd\u200be',
    '-'.repeat(2_000),
  ];
  for (const ui_locales of hostile) {
    const page = await browserIn('en').get(asking({ ui_locales }));
    const ours = page.external ? 'refused' : langOf(page);
    expect({ ui_locales: ui_locales.slice(0, 40), ours }).toEqual({
      ui_locales: ui_locales.slice(0, 40),
      ours: expect.stringMatching(/^(en|refused)$/),
    });
    expect(page.html).not.toContain('<script>alert');
    expect(page.headers.get('set-cookie') ?? '').not.toContain('a=b');
  }
  // The 21st is looked at no more.
  const late = [...Array.from({ length: 20 }, () => 'fr'), 'de'].join(' ');
  expect(langOf(await browserIn('en').get(asking({ ui_locales: late })))).toBe('en');
  for (const cookie of ['__proto__', 'de"; DROP', 'xx', 'de'.repeat(1_000)]) {
    const answer = await send(server.issuer, '/setup/gone', {
      headers: { accept: 'text/html', cookie: `${cookieOf(server.issuer, 'lang')}=${cookie}` },
    });
    expect({ cookie, lang: /lang="(..)"/.exec(answer.text)?.[1] }).toEqual({ cookie, lang: 'en' });
  }
});

describe('a person', () => {
  const localeOf = async (email: string) =>
    (
      await database.db.kysely
        .selectFrom('accounts')
        .select('locale')
        .where('email', '=', email)
        .executeTakeFirstOrThrow()
    ).locale;

  test('registers in German, and gets German mails from then on', async () => {
    const email = 'grete@example.com';
    const browser = browserIn('en');
    let page = await browser.get(asking({ ui_locales: 'de', prompt: 'create' }));
    expect(page.text).toContain('Konto anlegen und weiter zu Quillet');
    page = await browser.submit(page, { email, password: 'kurz' });
    expect(page.text).toContain('Verwenden Sie mindestens 15 Zeichen');
    page = await browser.submit(page, { email, password: testPassword });
    expect(page.text).toContain('Prüfen Sie Ihre E-Mails');
    const [mail] = await server.mails(email);
    expect(mail?.subject).toBe('Bestätigen Sie Ihre E-Mail-Adresse für Vouchsafe');
    page = await browser.submit(page, { code: mail?.code as string });
    expect(page.text).toContain('Darf Quillet Ihr Konto nutzen?');
    expect(page.text).toContain('erfahren');
    expect(await localeOf(email)).toBe('de');
    // Somebody else, in another language, with the same address: its owner reads German.
    const other = browserIn('en');
    page = await other.get(asking({ prompt: 'create' }));
    await other.submit(page, { email, password: testPassword });
    expect((await server.mails(email, 2))[0]?.subject).toBe(
      'Sie haben schon ein Konto bei Vouchsafe',
    );
  });

  test('is written to in the language of the last sign-in', async () => {
    const account = await server.createAccount({ name: 'Kim' });
    expect(await localeOf(account.email)).toBeNull();
    const signIn = async (language: string) => {
      const browser = browserIn(language);
      await enterPassword(browser, await browser.get(asking()), account);
    };
    await signIn('en');
    // Nothing is written where it changes nothing.
    expect(await localeOf(account.email)).toBeNull();
    await signIn('de-CH');
    expect(await localeOf(account.email)).toBe('de');
    await server.services.authenticators.reset(account.id, 'test');
    const [mail] = await server.mails(account.email);
    expect(mail?.subject).toBe('Der zweite Faktor Ihres Kontos bei Vouchsafe wurde zurückgesetzt');
    await signIn('en');
    expect(await localeOf(account.email)).toBe('en');
  });

  test('a name that an operator has given a region keeps it', async () => {
    const account = await server.createAccount();
    await database.db.kysely
      .updateTable('accounts')
      .set({ locale: 'de-AT' })
      .where('id', '=', account.id)
      .execute();
    const browser = browserIn('de');
    await enterPassword(browser, await browser.get(asking()), account);
    expect(await localeOf(account.email)).toBe('de-AT');
  });
});

describe('the words', () => {
  /** Every text of a catalogue by its path; of functions what they make of their parameters' names. */
  function* texts(value: unknown, path = ''): Generator<[string, string]> {
    if (typeof value === 'string') yield [path, value];
    else if (value instanceof Html) yield [path, value.text];
    else if (typeof value === 'function') {
      const made = (value as (...names: string[]) => unknown)(
        ...Array.from({ length: value.length }, (_, i) => `{${i}}`),
      );
      yield* texts(made, path);
    } else
      for (const [key, one] of Object.entries(value as object)) yield* texts(one, `${path}.${key}`);
  }

  test('German has all of them, with the same names in each sentence', () => {
    const english = new Map(texts(en));
    const german = new Map(texts(de));
    expect([...german.keys()].sort()).toEqual([...english.keys()].sort());
    const names = (text = '') => [...new Set(text.match(/\{\d\}/g))].sort();
    for (const [path, text] of english)
      expect({ path, names: names(german.get(path)) }).toEqual({ path, names: names(text) });
    for (const [path, text] of german) {
      expect({ path, text }).toEqual({ path, text: expect.stringMatching(/\S/) });
      expect({ path, text }).toEqual({
        path,
        text: expect.not.stringMatching(/["!]|\bdu\b|\bdein/i),
      });
    }
  });

  test('no page in German holds an English sentence', () => {
    const sentences = [...texts(en)]
      .map(([, text]) => text)
      .filter(
        (text) =>
          text.length > 12 &&
          !text.includes('{') &&
          ![...texts(de)].some(([, one]) => one === text),
      );
    const renderer = createRenderer({ now: () => NOW });
    for (const { page, state, model } of pageStates) {
      // Mails that wait there are shown as they are.
      if (page === 'dev-mail') continue;
      const html = renderer.page(page, { lang: 'de', ...model } as never);
      const text = html.replace(/<[^>]*>/g, ' ').replaceAll('&#39;', "'");
      expect({ page, state, english: sentences.filter((one) => text.includes(one)) }).toEqual({
        page,
        state,
        english: [],
      });
      expect(html).toContain('<html lang="de" dir="');
    }
  });

  test('dates and numbers are the language’s own', () => {
    const renderer = createRenderer({ now: () => NOW });
    const model = { kind: 'too-many', requestId: 'r', at: NOW, retryAfter: 90 } as const;
    const text = renderer.page('error', { lang: 'de', ...model });
    expect(text).toContain('21. November 2026, 20:41 UTC');
    expect(text).toContain('in 2 Minuten wieder');
  });
});
