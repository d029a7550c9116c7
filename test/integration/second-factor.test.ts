import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { unusedCodes } from '../support/people.ts';
import { ask, enterPassword, redeem } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer, totpCode } from '../support/server.ts';

let t: TestDatabase;
let server: TestServer;
let client: ClientCredentials;

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
  client = await server.createClient();
});

afterAll(async () => {
  await server.close();
  await t.drop();
});

const twoFactors = { amr: ['pwd', 'otp', 'mfa'], acr: 'urn:vouchsafe:acr:2fa' };

async function upToCode(
  account: TestAccount,
  extra: Record<string, string> = {},
  browser = new Browser(),
) {
  const asked = ask(server, client, extra);
  const page = await enterPassword(browser, await browser.get(asked.url), account);
  return { browser, asked, page };
}

async function sessions(accountId: string): Promise<number> {
  return (
    await t.db.kysely
      .selectFrom('sessions')
      .select('uid')
      .where('account_id', '=', accountId)
      .where('ended_at', 'is', null)
      .execute()
  ).length;
}

async function refusals(accountId: string) {
  const rows = await t.db.kysely
    .selectFrom('audit_events')
    .select(['reason'])
    .where('account_id', '=', accountId)
    .where('outcome', '=', 'refused')
    .orderBy('at')
    .execute();
  return rows.map(({ reason }) => reason);
}

const newStep = (id: string) =>
  t.db.kysely
    .updateTable('authenticators')
    .set({ last_used_step: 0 })
    .where('account_id', '=', id)
    .execute();

test('the password, then the code of the app', async () => {
  const account = await server.createAccount({ totp: true });
  const { browser, asked, page } = await upToCode(account);
  expect(page.title).toContain('Enter your code');
  expect(page.text).toContain('Phone');
  const code = await totpCode(account.seed as string);
  const consent = await browser.submit(page, { code: `${code.slice(0, 3)} ${code.slice(3)}` });
  const back = await browser.submit(consent, {}, 'allow');
  expect((await redeem(server, client, asked, back)).idToken).toMatchObject({
    sub: account.id,
    ...twoFactors,
  });
});

test('whoever has every factor done and waits with it has nothing once all access was ended', async () => {
  const { accounts, authenticators } = server.services;
  const ends = {
    reset: (id: string) => authenticators.reset(id, 'test'),
    disabled: async (id: string) => {
      await accounts.setDisabled(id, true, 'test');
      await accounts.setDisabled(id, false, 'test');
    },
  };
  for (const end of Object.values(ends)) {
    // Done, and the last redirect not followed; and half done in another browser.
    const account = await server.createAccount({ totp: true });
    const { browser, page } = await upToCode(account);
    const half = await upToCode(account);
    const done = await browser.submitOnce(page, { code: await totpCode(account.seed as string) });
    await end(account.id);
    const resumed = await browser.get(
      new URL(done.headers.get('location') as string, page.url).href,
    );
    expect(resumed.title).not.toContain('Let Quillet');
    expect((await half.browser.get(half.page.url.replace('/totp', ''))).title).not.toContain(
      'Let Quillet',
    );
    expect(await sessions(account.id)).toBe(0);
  }
});

test('nobody signs in for somebody else whose cookies a sibling host has planted', async () => {
  const account = await server.createAccount({ totp: true });
  const attacker = new Browser();
  const page = await attacker.get(ask(server, client).url);
  // What another host of the domain can set: cookies with a path, and not those that only this host can.
  const victim = new Browser();
  const uid = page.path.split('/')[2] as string;
  victim.setCookie('vs_interaction', uid, page.path);
  const shown = await victim.get(page.url);
  expect(shown.status).toBe(400);
  expect(shown.forms).toEqual([]);
  const { email, password } = account;
  const posted = await victim.post(`${page.url}/sign-in`, { email, password });
  expect(posted.status).toBe(400);
  expect((await attacker.get(page.url)).title).toContain('Sign in to continue');
  expect(await sessions(account.id)).toBe(0);
});

test('nobody is signed in as somebody else by the cookie for the way back, planted', async () => {
  const account = await server.createAccount();
  const attacker = new Browser();
  const form = await attacker.get(ask(server, client).url);
  const done = await attacker.submitOnce(form, {
    email: account.email,
    password: account.password,
  });
  const back = done.headers.get('location') as string;
  const victim = new Browser();
  victim.setCookie('vs_resume', new URL(back).pathname.split('/')[2] as string);
  expect((await victim.get(back)).status).toBe(400);
  expect(Object.keys(victim.cookies()).join()).not.toContain('vs_session');
  expect(await sessions(account.id)).toBe(0);
  // The browser that began goes on.
  expect((await attacker.get(back)).title).toContain('Let Quillet');
});

test('many sign-ins that wait in one browser do not swell its requests', async () => {
  const browser = new Browser();
  for (let i = 0; i < 20; i++) await browser.get(ask(server, client).url);
  const marks = Object.keys(browser.cookies()).filter((name) => name.startsWith('vs_begun_'));
  expect(marks).toHaveLength(12);
  const page = await browser.get(ask(server, client).url);
  expect(page.title).toContain('Sign in to continue');
});

test('10: a sign-in that had to make room for newer ones starts again from its own cookie', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const first = await browser.get(ask(server, client, { state: 'the oldest' }).url);
  const second = await browser.get(ask(server, client, { state: 'the next' }).url);
  // Each that waits has one cookie of its own besides the one that remembers where it began.
  expect(
    Object.keys(browser.cookies()).filter((name) => /vs_(interaction|resume)/.test(name)),
  ).toEqual([]);
  for (let i = 0; i < 13; i++) await browser.get(ask(server, client).url);
  const { email, password } = account;
  // Reloaded, and posted: both show the sign-in again, and it leads to the request that it began with.
  const reloaded = await browser.get(first.url);
  expect(reloaded.title).toContain('Sign in to continue');
  expect(reloaded.path).not.toBe(first.path);
  const posted = await browser.submit(second, { email, password });
  expect(posted.title).toContain('Sign in to continue');
  expect(posted.path).not.toBe(second.path);
  const consent = await browser.submit(reloaded, { email, password });
  const back = await browser.submit(consent, {}, 'allow');
  expect(back.params.get('state')).toBe('the oldest');
  expect(back.params.get('code')).toMatch(/^vs_ac_/);
  // In another browser it stays closed, as before.
  const other = await new Browser().get(first.url);
  expect([other.status, other.forms]).toEqual([400, []]);
});

test('10: one that is over leaves no cookie that marks its browser', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const { email, password } = account;
  const consent = await browser.submit(await browser.get(ask(server, client).url), {
    email,
    password,
  });
  await browser.submit(consent, {}, 'deny');
  expect(Object.keys(browser.cookies()).filter((name) => name.includes('begun'))).toEqual([]);
});

test('10: two servers on one machine do not overwrite each other’s cookies', async () => {
  const second = await startServer(t);
  try {
    const account = await server.createAccount();
    const browser = new Browser();
    const { email, password } = account;
    const [here, there] = await Promise.all([
      browser.get(ask(server, client, { ui_locales: 'en' }).url),
      browser.get(ask(second, client, { ui_locales: 'de' }).url),
    ]);
    await browser.submit(here, { email, password });
    await browser.submit(there, { email, password });
    const cookies = browser.cookies();
    const ports = [server, second].map(({ issuer }) => new URL(issuer).port);
    for (const name of ['session', 'device', 'lang'])
      expect(Object.keys(cookies)).toEqual(
        expect.arrayContaining(ports.map((port) => `vs_${name}_${port}`)),
      );
    for (const name of Object.keys(cookies))
      expect(name).toMatch(new RegExp(`^vs_[a-z]+_(${ports.join('|')})(_|\\.sig$|$)`));
    // Both are still signed in.
    for (const each of [server, second])
      expect((await browser.get(`${each.issuer}/account`)).text).toContain(email);
  } finally {
    await second.close();
  }
});

test('half signed in, nobody is signed in: no code at the authorization endpoint, and no session', async () => {
  const account = await server.createAccount({ totp: true });
  const { browser, page } = await upToCode(account);
  expect(await sessions(account.id)).toBe(0);
  const again = await browser.get(ask(server, client).url);
  expect(again.title).toContain('Sign in');
  const silent = await browser.get(ask(server, client, { prompt: 'none' }).url);
  expect(silent.params.get('error')).toBe('login_required');
  // Nor by resuming the interaction as it stands.
  const resumed = await browser.get(`${server.issuer}/authorize/${page.path.split('/')[2]}`);
  expect(resumed.external).toBe(false);
  expect(await sessions(account.id)).toBe(0);
});

test('no step can be skipped by its address', async () => {
  const account = await server.createAccount({ totp: true });
  const browser = new Browser();
  const signIn = await browser.get(ask(server, client).url);
  const base = `${server.issuer}/interaction/${signIn.path.split('/')[2]}`;
  const code = await totpCode(account.seed as string);
  // A code without a password, a consent without a sign-in, recovery codes without an enrolment.
  for (const [path, fields] of [
    ['totp', { code }],
    ['recovery-code', { code: account.recoveryCodes[0] }],
    ['consent', { decision: 'allow' }],
    ['recovery-codes', { saved: 'yes' }],
    ['enrol', { code, device_name: 'Mine' }],
  ] as const) {
    expect((await browser.post(`${base}/${path}`, fields)).title).toContain('Sign in');
  }
  // With the password alone, only the code leads on.
  await enterPassword(browser, await browser.get(base), account);
  for (const path of ['recovery-codes', 'enrol', 'consent']) {
    const page = await browser.post(`${base}/${path}`, {
      saved: 'yes',
      code,
      device_name: 'Mine',
      decision: 'allow',
    });
    expect(page.title).toContain('Enter your code');
  }
  expect(await sessions(account.id)).toBe(0);
  expect(await server.services.authenticators.list(account.id)).toHaveLength(1);
});

test('a code works once, and none that is older than it', async () => {
  const account = await server.createAccount({ totp: true });
  const seed = account.seed as string;
  const [code, before] = await Promise.all([totpCode(seed), totpCode(seed, -1)]);
  const first = await upToCode(account);
  expect((await first.browser.submit(first.page, { code })).title).toContain('Let Quillet');
  for (const late of [code, before]) {
    const { browser, page } = await upToCode(account);
    const refused = await browser.submit(page, { code: late });
    expect(refused.status).toBe(400);
    expect(refused.text).toContain('That code didn’t work');
  }
  expect(await sessions(account.id)).toBe(1);
  expect(await refusals(account.id)).toEqual(['wrong_code', 'wrong_code']);
});

test('two steps back is too old', async () => {
  const account = await server.createAccount({ totp: true });
  const { browser, page } = await upToCode(account);
  expect(
    (await browser.submit(page, { code: await totpCode(account.seed as string, -2) })).status,
  ).toBe(400);
});

test('of many who show one code at once, one gets in', async () => {
  const account = await server.createAccount({ totp: true });
  const visits = [];
  for (let i = 0; i < 5; i++) visits.push(await upToCode(account));
  const code = await totpCode(account.seed as string);
  const pages = await Promise.all(
    visits.map(({ browser, page }) => browser.submit(page, { code })),
  );
  expect(pages.filter((page) => page.title.includes('Let Quillet'))).toHaveLength(1);
  expect(await sessions(account.id)).toBe(1);
});

describe('13: a code from a slow phone', () => {
  test('is refused and counted, and the page says to check the clock', async () => {
    const account = await server.createAccount({ totp: true });
    const { browser, page } = await upToCode(account);
    const late = await browser.submit(page, { code: await totpCode(account.seed as string, -4) });
    expect(late.status).toBe(400);
    expect(late.text).toContain('That code has expired');
    expect(late.text).toContain('your phone’s clock is slow');
    expect(await sessions(account.id)).toBe(0);
    const points = await t.db.kysely.selectFrom('rate_limits').selectAll().execute();
    expect(points.length).toBeGreaterThan(0);
    for (let tries = 1; tries < 10; tries++)
      await browser.submit(page, { code: await totpCode(account.seed as string, -4) });
    expect(
      (await browser.submit(page, { code: await totpCode(account.seed as string) })).status,
    ).toBe(429);
  });

  test('one that was used, is older than the last one used, or comes too early is only wrong', async () => {
    const account = await server.createAccount({ totp: true });
    const seed = account.seed as string;
    const used = await totpCode(seed);
    const first = await upToCode(account);
    await first.browser.submit(first.page, { code: used });
    const { browser, page } = await upToCode(account);
    for (const code of [used, await totpCode(seed, -4), await totpCode(seed, 4), '000000']) {
      const refused = await browser.submit(page, { code });
      expect([refused.status, refused.text]).toEqual([
        400,
        expect.stringContaining('That code didn’t work'),
      ]);
      expect(refused.text).not.toContain('clock is slow');
    }
  });

  test('is told at enrolment too, and the seed stays', async () => {
    const account = await server.createAccount();
    const { browser, page } = await upToCode(account, { acr_values: 'urn:vouchsafe:acr:2fa' });
    const seed = (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(page.html)?.[1] ?? '').replaceAll(
      /\s/g,
      '',
    );
    const late = await browser.submit(page, { code: await totpCode(seed, -4), device_name: 'x' });
    expect(late.text).toContain('your phone’s clock is slow');
    await enrol(browser, late);
  });
});

test('34: a second factor that an app requires is explained, and can be put off', async () => {
  const account = await server.createAccount();
  const { browser, asked, page } = await upToCode(account, { acr_values: 'urn:vouchsafe:acr:2fa' });
  expect(page.text).toContain('Quillet requires a second factor');
  const back = await browser.submit(page, {}, 'Not now');
  expect(back.external).toBe(true);
  expect(back.params.get('error')).toBe('access_denied');
  expect(back.params.get('state')).toBe(new URL(asked.url).searchParams.get('state'));
  expect(await sessions(account.id)).toBe(0);
  const factors = await t.db.kysely
    .selectFrom('authenticators')
    .select('id')
    .where('account_id', '=', account.id)
    .execute();
  expect(factors).toEqual([]);
});

test('guesses count across interactions, and a hundred at once count as a hundred', async () => {
  const account = await server.createAccount({ totp: true });
  const one = await upToCode(account);
  const guesses = Array.from({ length: 100 }, () =>
    one.browser.clone().submit(one.page, { code: '000000' }),
  );
  const statuses = (await Promise.all(guesses)).map((page) => page.status);
  expect(statuses.filter((status) => status === 400)).toHaveLength(10);
  expect(statuses.filter((status) => status === 429)).toHaveLength(90);
  const other = await upToCode(account);
  const refused = await other.browser.submit(other.page, {
    code: await totpCode(account.seed as string),
  });
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.text).toContain('Too many attempts');
  // The recovery codes are guarded by the same count.
  const byRecovery = await other.browser.get(refused.link('recovery code'));
  expect((await other.browser.submit(byRecovery, { code: account.recoveryCodes[0] })).status).toBe(
    429,
  );
  expect(await sessions(account.id)).toBe(0);
});

test('a recovery code in place of the app, once', async () => {
  const account = await server.createAccount({ totp: true });
  const code = (account.recoveryCodes[0] as string).toLowerCase().replaceAll('-', ' ');
  const { browser, asked, page } = await upToCode(account);
  const byRecovery = await browser.get(page.link('recovery code'));
  expect(byRecovery.title).toContain('Enter a recovery code');
  const consent = await browser.submit(byRecovery, { code });
  const tokens = await redeem(server, client, asked, await browser.submit(consent, {}, 'allow'));
  expect(tokens.idToken).toMatchObject(twoFactors);
  const again = await upToCode(account);
  const refused = await again.browser.submit(
    await again.browser.get(again.page.link('recovery code')),
    { code },
  );
  expect(refused.status).toBe(400);
  expect(await unusedCodes(t.db, account.id)).toBe(9);
});

/** The whole enrolment on the page that shows the seed; gives the page after it. */
async function enrol(
  browser: Browser,
  page: Page,
): Promise<{ after: Page; seed: string; codes: string[] }> {
  expect(page.title).toContain('Set up an authenticator app');
  const seed = (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(page.html)?.[1] ?? '').replaceAll(
    /\s/g,
    '',
  );
  const codesPage = await browser.submit(page, {
    code: await totpCode(seed),
    device_name: 'Imani’s phone',
  });
  expect(codesPage.title).toContain('Save your recovery codes');
  const codes = [...codesPage.html.matchAll(/<li>([0-9A-Z-]{19})<\/li>/g)].map(
    ([, code]) => code as string,
  );
  expect(codes).toHaveLength(10);
  const unsaved = await browser.submit(codesPage, {});
  expect(unsaved.status).toBe(400);
  expect(unsaved.text).toContain('Save your codes first');
  const file = await browser.submit(unsaved, {}, 'Download');
  expect(file.headers.get('content-disposition')).toContain('attachment');
  for (const code of codes) expect(file.html).toContain(code);
  return { after: await browser.submit(unsaved, { saved: 'yes' }), seed, codes };
}

test('acr_values lead who has no second factor through setting one up, within the sign-in', async () => {
  const account = await server.createAccount();
  const { browser, asked, page } = await upToCode(account, { acr_values: 'urn:vouchsafe:acr:2fa' });
  expect(await sessions(account.id)).toBe(0);
  const wrong = await browser.submit(page, { code: '123456', device_name: '' });
  expect(wrong.status).toBe(400);
  // The seed stays, so that what was scanned works.
  const { after, seed, codes } = await enrol(
    browser,
    await browser.submit(wrong, { code: '000000', device_name: 'x' }),
  );
  const tokens = await redeem(server, client, asked, await browser.submit(after, {}, 'allow'));
  expect(tokens.idToken).toMatchObject(twoFactors);
  // The code that confirmed it is used up; the recovery codes work.
  const next = await upToCode(account);
  expect((await next.browser.submit(next.page, { code: await totpCode(seed) })).status).toBe(400);
  const byRecovery = await next.browser.get(next.page.link('recovery code'));
  expect((await next.browser.submit(byRecovery, { code: codes[3] })).external).toBe(true);
  await newStep(account.id);
  const last = await upToCode(account);
  expect((await last.browser.submit(last.page, { code: await totpCode(seed) })).external).toBe(
    true,
  );
});

test('an essential acr leads there too, and one that can’t be reached is an answer of its own', async () => {
  const account = await server.createAccount();
  const essential = (value: string) => ({
    claims: JSON.stringify({ id_token: { acr: { essential: true, values: [value] } } }),
  });
  const { browser, page } = await upToCode(account, essential('urn:vouchsafe:acr:2fa'));
  await enrol(browser, page);
  expect(await sessions(account.id)).toBe(1);
  const unmet = await new Browser().get(
    ask(server, client, essential('urn:vouchsafe:acr:phr')).url,
  );
  expect(unmet.params.get('error')).toBe('unmet_authentication_requirements');
});

test('an administrator without a second factor is led through setting one up', async () => {
  const account = await server.createAccount({ admin: true });
  const { browser, page } = await upToCode(account);
  await enrol(browser, page);
  expect(await sessions(account.id)).toBe(1);
});

test('of two sign-ins that began before there was a factor, the second must show the first one’s', async () => {
  const account = await server.createAccount({ admin: true });
  const owner = await upToCode(account);
  const thief = await upToCode(account);
  await enrol(owner.browser, owner.page);
  const seed = (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(thief.page.html)?.[1] ?? '').replaceAll(
    /\s/g,
    '',
  );
  const refused = await thief.browser.submit(thief.page, {
    code: await totpCode(seed),
    device_name: 'Thief',
  });
  expect(refused.title).toContain('Enter your code');
  expect((await server.services.authenticators.list(account.id)).map(({ label }) => label)).toEqual(
    ['Imani’s phone'],
  );
  expect(await sessions(account.id)).toBe(1);
});

test('both at once: one is enrolled', async () => {
  const account = await server.createAccount({ admin: true });
  const visits = [await upToCode(account), await upToCode(account)];
  const codes = await Promise.all(
    visits.map(({ page }) =>
      totpCode(
        (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(page.html)?.[1] ?? '').replaceAll(/\s/g, ''),
      ),
    ),
  );
  const pages = await Promise.all(
    visits.map(({ browser, page }, i) =>
      browser.submit(page, { code: codes[i] as string, device_name: `Phone ${i}` }),
    ),
  );
  expect(pages.map((page) => page.title).toSorted()).toEqual([
    expect.stringContaining('Enter your code'),
    expect.stringContaining('Save your recovery codes'),
  ]);
  expect(await server.services.authenticators.list(account.id)).toHaveLength(1);
});

test('nothing of a seed or a recovery code lies open in the interaction', async () => {
  const account = await server.createAccount({ admin: true });
  const { page } = await upToCode(account);
  const seed = (/<textarea[^>]*id="key"[^>]*>([^<]*)</.exec(page.html)?.[1] ?? '').replaceAll(
    /\s/g,
    '',
  );
  const rows = await t.db.kysely.selectFrom('interactions').selectAll().execute();
  expect(JSON.stringify(rows)).not.toContain(seed);
});

test('a session that is older than the rule is led to a second factor too', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const loose = await startServer(t);
  const page = await enterPassword(browser, await browser.get(ask(loose, client).url), account);
  await browser.submit(page, {}, 'allow');
  expect((await browser.get(ask(loose, client).url)).external).toBe(true);
  await loose.close();
  // The same server, started again with another rule.
  const strict = await startServer(t, {
    REQUIRE_SECOND_FACTOR: 'everyone',
    PORT: new URL(loose.issuer).port,
    ISSUER: loose.issuer,
  });
  try {
    const silent = await browser.get(ask(strict, client, { prompt: 'none' }).url);
    expect(silent.params.get('error')).toBe('login_required');
    const confirm = await browser.get(ask(strict, client).url);
    expect(confirm.title).toContain('Confirm it’s you');
    const { after } = await enrol(browser, await enterPassword(browser, confirm, account));
    expect(after.params.get('code')).toEqual(expect.any(String));
  } finally {
    await strict.close();
  }
  // And who has become an administrator since.
  const other = await server.createAccount();
  const visit = await upToCode(other);
  await visit.browser.submit(visit.page, {}, 'allow');
  await t.db.kysely
    .updateTable('accounts')
    .set({ admin: true })
    .where('id', '=', other.id)
    .execute();
  expect((await visit.browser.get(ask(server, client).url)).title).toContain('Confirm it’s you');
});
