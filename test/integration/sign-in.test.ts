import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { cookieOf } from '../support/protocol.ts';
import { Browser, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Ask, ask, enterPassword, redeem } from '../support/relying-party.ts';
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

/** Signs in and allows everything: the browser then has a session, and the app a code. */
async function signIn(
  account: TestAccount,
  browser = new Browser(),
  extra: Record<string, string> = {},
): Promise<{ browser: Browser; asked: Ask; back: Page }> {
  const asked = ask(server, client, extra);
  let back = await enterPassword(browser, await browser.get(asked.url), account);
  if (!back.external) back = await browser.submit(back, {}, 'allow');
  return { browser, asked, back };
}

const sessionsOf = (accountId: string) =>
  t.db.kysely
    .selectFrom('sessions')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('created_at')
    .execute();
const interactionOf = (page: Page) => `${server.issuer}/interaction/${page.path.split('/')[2]}`;

async function auditOf(accountId: string) {
  const rows = await t.db.kysely
    .selectFrom('audit_events')
    .selectAll()
    .where('account_id', '=', accountId)
    .orderBy('at')
    .execute();
  return rows.map(({ type, outcome, reason, client_id }) => ({ type, outcome, reason, client_id }));
}

test('a person signs in, consents, and the app gets its code', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const asked = ask(server, client, { scope: 'openid email' });
  const page = await browser.get(asked.url);
  expect(page.status).toBe(200);
  expect(page.title).toContain('Sign in to continue to Quillet');
  expect(page.headers.get('cache-control')).toBe('no-store');
  expect(page.headers.get('x-frame-options')).toBe('DENY');
  expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  const consent = await enterPassword(browser, page, account);
  expect(consent.title).toContain('Let Quillet use your account?');
  expect(consent.text).toContain(account.email);
  const back = await browser.submit(consent, {}, 'allow');
  expect(back.external).toBe(true);
  expect(Object.fromEntries(back.params)).toEqual({
    code: expect.any(String),
    state: 'the-state',
    iss: server.issuer,
  });
  const tokens = await redeem(server, client, asked, back);
  expect(tokens.status).toBe(200);
  expect(tokens.idToken).toMatchObject({
    sub: account.id,
    amr: ['pwd'],
    acr: 'urn:vouchsafe:acr:1fa',
  });
  expect(await auditOf(account.id)).toEqual(
    expect.arrayContaining([
      { type: 'sign_in', outcome: 'success', reason: null, client_id: client.clientId },
      { type: 'consent.granted', outcome: 'success', reason: null, client_id: client.clientId },
    ]),
  );
});

test('a sign-in that waited in another tab lowers nothing that was proven since', async () => {
  const account = await server.createAccount({ totp: true });
  const browser = new Browser();
  await t.db.kysely.deleteFrom('authenticators').where('account_id', '=', account.id).execute();
  const waiting = await enterPassword(browser, await browser.get(ask(server, client).url), account);
  expect(waiting.title).toContain('Let Quillet');
  const { secret } = server.services.authenticators.newTotpSecret('Vouchsafe', account.email);
  await t.db.transaction((db) =>
    server.services.authenticators.enrolTotp(db, account.id, { secret, step: 0 }, 'Phone', {}),
  );
  const other = ask(server, client, { acr_values: 'urn:vouchsafe:acr:2fa' });
  const code = await enterPassword(browser, await browser.get(other.url), account);
  await browser.submit(code, { code: await totpCode(secret) });
  expect((await sessionsOf(account.id))[0]?.payload).toMatchObject({
    acr: 'urn:vouchsafe:acr:2fa',
  });
  await browser.submit(waiting, {}, 'allow');
  expect((await sessionsOf(account.id))[0]?.payload).toMatchObject({
    acr: 'urn:vouchsafe:acr:2fa',
    amr: ['pwd', 'otp', 'mfa'],
  });
});

test('after that, the app gets its codes without a page; with prompt=none too', async () => {
  const { browser } = await signIn(await server.createAccount());
  expect((await browser.get(ask(server, client).url)).params.get('code')).toEqual(
    expect.any(String),
  );
  expect(
    (await browser.get(ask(server, client, { prompt: 'none' }).url)).params.get('code'),
  ).toEqual(expect.any(String));
});

test('prompt=none is told what is missing, by a redirect', async () => {
  const account = await server.createAccount();
  const nobody = await new Browser().get(ask(server, client, { prompt: 'none' }).url);
  expect(nobody.params.get('error')).toBe('login_required');
  const { browser } = await signIn(account);
  const more = await browser.get(
    ask(server, client, { prompt: 'none', scope: 'openid email' }).url,
  );
  expect(more.params.get('error')).toBe('consent_required');
  const stronger = await browser.get(
    ask(server, client, { prompt: 'none', acr_values: 'urn:vouchsafe:acr:2fa' }).url,
  );
  expect(stronger.params.get('error')).toBe('login_required');
  await t.db.kysely
    .updateTable('sessions')
    .set({
      payload: JSON.stringify({
        loginTs: 1_700_000_000,
        acr: 'urn:vouchsafe:acr:1fa',
        amr: ['pwd'],
      }),
    })
    .where('account_id', '=', account.id)
    .execute();
  const fresher = await browser.get(ask(server, client, { prompt: 'none', max_age: '60' }).url);
  expect(fresher.params.get('error')).toBe('login_required');
});

test('a known and an unknown address, a wrong password and a disabled account get one answer', async () => {
  const known = await server.createAccount();
  const disabled = await server.createAccount();
  await server.services.accounts.setDisabled(disabled.id, true, 'test');
  const answers = [];
  for (const [email, password] of [
    [known.email, 'not the password at all'],
    ['nobody@example.com', 'not the password at all'],
    [disabled.email, disabled.password],
    ['not an address', 'x'],
    [known.email, 'x'.repeat(50_000)],
  ] as const) {
    const browser = new Browser();
    const page = await browser.get(ask(server, client).url);
    const refused = await browser.submit(page, { email, password });
    expect(refused.text).toContain('Incorrect email or password');
    const headers = Object.fromEntries(
      [...refused.headers].filter(
        ([name]) => !['date', 'x-request-id', 'content-length', 'set-cookie'].includes(name),
      ),
    );
    const html = refused.html
      .replaceAll(email, 'ADDRESS')
      .replaceAll(page.path.split('/')[2] as string, 'UID');
    answers.push({
      status: refused.status,
      headers,
      html,
      // The mark of the browser in which it began has the interaction in its name.
      cookies: Object.keys(browser.cookies()).map((name) =>
        name.replace(/(vs_begun_\d+_).*/, '$1'),
      ),
    });
  }
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  expect(answers[0]?.status).toBe(400);
  expect((await auditOf(known.id)).map(({ reason }) => reason)).toContain('wrong_password');
  expect((await auditOf(disabled.id)).map(({ reason }) => reason)).toContain('account_disabled');
});

test('23, 24: guesses with a password that is too long for a hash are counted, and no row is written for each', async () => {
  const account = await server.createAccount();
  const events = async () =>
    (await t.db.pool.query<{ id: string }>('select id from audit_events')).rows.map(({ id }) => id);
  const before = await events();
  // Counts are written once a minute, and when a process ends.
  const other = await startServer(t);
  try {
    const browser = new Browser();
    const page = await browser.get(ask(other, client).url);
    for (const email of [account.email, 'nobody@example.com'])
      for (let times = 0; times < 4; times++) {
        const refused = await browser.submit(page, { email, password: 'x'.repeat(1_025) });
        expect(refused.text).toContain('Incorrect email or password');
      }
    expect(await events()).toEqual(before);
    // One that is hashed is a guess, and has its row.
    await browser.submit(page, { email: account.email, password: 'x'.repeat(1_024) });
    expect(await events()).toHaveLength(before.length + 1);
  } finally {
    await other.close();
  }
  const { rows } = await t.db.pool.query(
    `select type, outcome, reason, account_id, client_id, data->'count' as count
     from audit_events where id <> all($1) order by reason, account_id`,
    [before],
  );
  const refused = { type: 'sign_in', outcome: 'refused', client_id: client.clientId };
  const counted = { ...refused, reason: 'password_too_long', count: 4 };
  expect(rows).toEqual([
    { ...counted, account_id: account.id },
    { ...counted, account_id: null },
    { ...refused, reason: 'wrong_password', account_id: account.id, count: null },
  ]);
});

test('a hundred guesses at once count as a hundred; the owner’s own device still gets in', async () => {
  const account = await server.createAccount();
  const owner = (await signIn(account)).browser;
  owner.deleteCookies((name) => name.includes('device'));
  const stranger = new Browser();
  const page = await stranger.get(ask(server, client).url);
  const statuses = (
    await Promise.all(
      Array.from({ length: 100 }, () =>
        stranger.clone().submit(page, { email: account.email, password: 'guess guess guess' }),
      ),
    )
  ).map(({ status }) => status);
  expect(statuses.filter((status) => status === 400)).toHaveLength(10);
  expect(statuses.filter((status) => status === 429)).toHaveLength(90);
  // The right password gets no other answer than a wrong one.
  const right = await enterPassword(stranger, page, account);
  expect(right.status).toBe(429);
  expect(Number(right.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(
    (await enterPassword(owner, await owner.get(ask(server, client).url), account)).external,
  ).toBe(true);
  // A device is known for its own accounts alone.
  await t.db.kysely.deleteFrom('rate_limits').execute();
  const other = await server.createAccount();
  for (let i = 0; i < 10; i++)
    await stranger.submit(page, { email: other.email, password: 'guess guess guess' });
  const known = owner.clone();
  known.deleteCookies((name) => name.includes('device'));
  expect((await enterPassword(known, await known.get(ask(server, client).url), other)).status).toBe(
    429,
  );
});

test('the session id changes at each sign-in, and one that was planted never becomes the session', async () => {
  await t.db.kysely.deleteFrom('rate_limits').execute();
  const account = await server.createAccount();
  const attacker = new Browser();
  const planted = 'planted-session-id-0123456789';
  const victim = new Browser();
  const name = cookieOf(server.issuer, 'session');
  victim.setCookie(name, planted);
  await signIn(account, victim);
  const first = victim.cookies()[name];
  expect(first).not.toBe(planted);
  attacker.setCookie(name, planted);
  expect(
    (await attacker.get(ask(server, client, { prompt: 'none' }).url)).params.get('error'),
  ).toBe('login_required');
  // The attacker's own session, signed by the server, planted into the victim's browser.
  const mine = await server.createAccount();
  const { browser: thief } = await signIn(mine);
  const stolen = thief.cookies();
  const other = new Browser();
  for (const each of [name, `${name}.sig`]) other.setCookie(each, stolen[each] as string);
  const page = await other.get(ask(server, client, { prompt: 'login' }).url);
  const switched = await other.get(page.link('switch'));
  const back = await other.submit(switched, { email: account.email, password: account.password });
  expect(back.external).toBe(true);
  expect(other.cookies()[name]).not.toBe(stolen[name]);
  const asThief = await thief.get(ask(server, client, { prompt: 'none' }).url);
  expect(asThief.params.get('error')).toBe('login_required');
  const again = await signIn(account, victim, { prompt: 'login' });
  expect(again.back.external).toBe(true);
  expect(victim.cookies()[name]).not.toBe(first);
});

test('prompt=login and max_age: the account stays fixed, and what was proven is kept', async () => {
  const account = await server.createAccount();
  const { browser } = await signIn(account);
  const before = (await sessionsOf(account.id))[0];
  /** A sign-in of some time ago, with both factors. */
  const makeOld = () =>
    t.db.kysely
      .updateTable('sessions')
      .set({
        payload: JSON.stringify({
          loginTs: Math.floor(Date.now() / 1_000) - 7_200,
          acr: 'urn:vouchsafe:acr:2fa',
          amr: ['pwd', 'otp', 'mfa'],
        }),
      })
      .where('account_id', '=', account.id)
      .execute();
  await makeOld();
  for (const extra of [{ prompt: 'login' }, { max_age: '60' }]) {
    const asked = ask(server, client, extra);
    const page = await browser.get(asked.url);
    expect(page.title).toContain('Confirm it’s you');
    expect(page.forms[0]?.fields).toContainEqual(['email', account.email]);
    // Another address that is posted along is not looked at.
    const stranger = await server.createAccount();
    expect(
      (await browser.submit(page, { email: stranger.email, password: 'wrong wrong wrong' })).status,
    ).toBe(400);
    const back = await browser.submit(page, { email: stranger.email, password: account.password });
    const { idToken } = await redeem(server, client, asked, back);
    expect(idToken).toMatchObject({
      sub: account.id,
      acr: 'urn:vouchsafe:acr:2fa',
      amr: ['pwd', 'otp', 'mfa'],
    });
    expect(Number(idToken.auth_time)).toBeGreaterThan(Date.now() / 1000 - 60);
    await makeOld();
  }
  const sessions = await sessionsOf(account.id);
  expect(sessions.map(({ uid, ended_at }) => ({ uid, ended_at }))).toEqual([
    { uid: before?.uid, ended_at: null },
  ]);
});

test('"Not you?": somebody else signs in, and the first one is signed out, with no page in between', async () => {
  const first = await server.createAccount();
  const second = await server.createAccount();
  const { browser, asked, back } = await signIn(first, new Browser(), {
    scope: 'openid offline_access',
    prompt: 'consent',
  });
  const offline = await redeem(server, client, asked, back);
  const online = await server.createClient({ name: 'Heron' });
  const heron = ask(server, online);
  await redeem(
    server,
    online,
    heron,
    await browser.submit(await browser.get(heron.url), {}, 'allow'),
  );

  const again = ask(server, client, { prompt: 'login' });
  const confirm = await browser.get(again.url);
  const fresh = await browser.get(confirm.link('switch'));
  expect(fresh.title).toContain('Sign in');
  expect(fresh.text).not.toContain(first.email);
  const consent = await enterPassword(browser, fresh, second);
  expect(consent.title).toContain('Let Quillet');
  expect(consent.text).toContain(second.email);
  const tokens = await redeem(server, client, again, await browser.submit(consent, {}, 'allow'));
  expect(tokens.idToken.sub).toBe(second.id);
  expect((await sessionsOf(first.id)).filter(({ ended_at }) => ended_at === null)).toHaveLength(0);
  // What the first one had given for good lives on; what lived by the session ended with it.
  const grants = await t.db.kysely
    .selectFrom('grants')
    .select(['client_id', 'revoked_at', 'offline'])
    .where('account_id', '=', first.id)
    .execute();
  expect(grants.find(({ client_id }) => client_id === client.clientId)).toMatchObject({
    offline: true,
    revoked_at: null,
  });
  expect(grants.find(({ client_id }) => client_id === online.clientId)).toMatchObject({
    offline: false,
    revoked_at: expect.any(Date),
  });
  expect(offline.refresh_token).toBeDefined();
});

test('"Not you?" on the consent page', async () => {
  const first = await server.createAccount();
  const second = await server.createAccount();
  const browser = new Browser();
  const asked = ask(server, client);
  const consent = await enterPassword(browser, await browser.get(asked.url), first);
  const theirs = await enterPassword(browser, await browser.get(consent.link('Not you')), second);
  expect(theirs.title).toContain('Let Quillet');
  expect(theirs.text).toContain(second.email);
  const tokens = await redeem(server, client, asked, await browser.submit(theirs, {}, 'allow'));
  expect(tokens.idToken.sub).toBe(second.id);
  const consents = await t.db.kysely
    .selectFrom('consents')
    .select('account_id')
    .where('account_id', 'in', [first.id, second.id])
    .execute();
  expect(consents).toEqual([{ account_id: second.id }]);
});

test('somebody else has signed in in another tab meanwhile', async () => {
  const first = await server.createAccount();
  const second = await server.createAccount();
  const browser = new Browser();
  const asked = ask(server, client);
  const waiting = await browser.get(asked.url);
  await signIn(first, browser);
  const consent = await enterPassword(browser, waiting, second);
  const tokens = await redeem(server, client, asked, await browser.submit(consent, {}, 'allow'));
  expect(tokens.idToken.sub).toBe(second.id);
  expect((await sessionsOf(first.id)).filter(({ ended_at }) => ended_at === null)).toHaveLength(0);
});

test('the person that the app means is told in id_token_hint; somebody else is no answer', async () => {
  const first = await server.createAccount();
  const second = await server.createAccount();
  const { asked, back } = await signIn(first);
  const code = back.params.get('code') as string;
  const body = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    code_verifier: asked.verifier,
    redirect_uri: 'https://app.example.com/callback',
  });
  const authorization = `Basic ${Buffer.from(`${client.clientId}:${client.clientSecret}`).toString('base64')}`;
  const { id_token } = (await (
    await fetch(`${server.issuer}/token`, { method: 'POST', headers: { authorization }, body })
  ).json()) as { id_token: string };
  const { browser } = await signIn(second);
  const hinted = await browser.get(ask(server, client, { id_token_hint: id_token }).url);
  expect(hinted.title).toContain('Sign in to continue');
  expect((await enterPassword(browser, hinted, second)).params.get('error')).toBe('login_required');
  const right = await browser.get(ask(server, client, { id_token_hint: id_token }).url);
  expect((await enterPassword(browser, right, first)).params.get('code')).toEqual(
    expect.any(String),
  );
});

test('the address is filled in from login_hint, escaped', async () => {
  const page = await new Browser().get(
    ask(server, client, { login_hint: '"><script>alert(1)</script>@example.com' }).url,
  );
  expect(page.html).not.toContain('<script>alert');
  expect(page.forms[0]?.fields).toContainEqual([
    'email',
    '"><script>alert(1)</script>@example.com',
  ]);
});

test('an interaction that was carried to another browser stays closed there', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const page = await browser.get(ask(server, client).url);
  const other = new Browser();
  const seen = await other.get(page.url);
  expect(seen.status).toBe(400);
  expect(seen.text).toContain('This started in another browser');
  expect(seen.link('account')).toBe(`${server.issuer}/account`);
  expect(
    (
      await other.post(`${interactionOf(page)}/sign-in`, {
        email: account.email,
        password: account.password,
      })
    ).status,
  ).toBe(400);
  // Nor with a cookie of another interaction, or one that nobody signed.
  const mine = await other.get(ask(server, client).url);
  const cookies = other.cookies();
  const forged = new Browser();
  const uid = page.path.split('/')[2] as string;
  const begun = `${cookieOf(server.issuer, 'begun')}_${uid.slice(0, 16)}`;
  for (const [name, value] of [
    // The one that remembers where a sign-in began would begin another one.
    ...Object.entries(cookies).filter(([name]) => !name.includes('again')),
    [begun, Object.values(cookies)[0] as string],
    [begun, uid.slice(0, -1)],
    ['vs_interaction', uid],
    ['vs_resume', uid],
  ] as const) {
    forged.setCookie(name, value);
    expect((await forged.get(page.url)).status).toBe(400);
  }
  expect(mine.status).toBe(200);
  expect(await sessionsOf(account.id)).toHaveLength(0);
});

test('a page that was left too long says so, and starts again where it was', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const asked = ask(server, client, { login_hint: account.email });
  const page = await browser.get(asked.url);
  await t.db.kysely
    .updateTable('interactions')
    .set({ expires_at: new Date(Date.now() - 1_000) })
    .execute();
  await t.db.kysely.deleteFrom('interactions').execute();
  const seen = await browser.get(page.url);
  expect(seen.status).toBe(400);
  expect(seen.text).toContain('This sign-in has expired');
  expect((await browser.get(seen.link('Start again'))).title).toContain('Sign in');
  const again = await enterPassword(browser, page, account);
  expect(again.status).toBe(200);
  expect(again.text).toContain('We’ve started it again');
  const consent = await enterPassword(browser, again, account);
  const tokens = await redeem(server, client, asked, await browser.submit(consent, {}, 'allow'));
  expect(tokens.idToken.sub).toBe(account.id);
  // Told once.
  expect((await new Browser().get(asked.url)).text).not.toContain('started it again');
});

test('one whose end has come while its row is still there has ended', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const page = await browser.get(ask(server, client).url);
  const payload = await t.db.kysely
    .selectFrom('interactions')
    .select(['id_hash', 'payload'])
    .execute();
  for (const { id_hash, payload: stored } of payload) {
    const aged = {
      ...(stored as Record<string, unknown>),
      exp: Math.floor(Date.now() / 1000) - 300,
    };
    await t.db.kysely
      .updateTable('interactions')
      .set({ expires_at: new Date(Date.now() - 300_000), payload: JSON.stringify(aged) })
      .where('id_hash', '=', id_hash)
      .execute();
  }
  expect((await browser.get(page.url)).text).toContain('This sign-in has expired');
  expect((await new Browser().get(page.url)).text).toContain('This sign-in has expired');
  expect((await enterPassword(browser, page, account)).text).toContain('We’ve started it again');
});

test('a sign-in that is done leads on, however often its page is posted', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const page = await browser.get(ask(server, client).url);
  const consent = await enterPassword(browser, page, account);
  await browser.submit(consent, {}, 'allow');
  // Back to the first page: it is over, and the request starts again with the session that is there.
  expect((await enterPassword(browser, page, account)).params.get('code')).toEqual(
    expect.any(String),
  );
  expect(
    (await browser.get((await browser.get(page.url)).link('Start again'))).params.get('code'),
  ).toEqual(expect.any(String));
});

test('two posts at once make one session', async () => {
  const account = await server.createAccount();
  const browser = new Browser();
  const page = await browser.get(ask(server, client).url);
  const tabs = [browser.clone(), browser.clone(), browser.clone()];
  const pages = await Promise.all(tabs.map((tab) => enterPassword(tab, page, account)));
  expect(pages.filter((one) => one.title.includes('Let Quillet')).length).toBeGreaterThanOrEqual(1);
  for (const one of pages) expect(one.status).toBeLessThan(500);
  expect(await sessionsOf(account.id)).toHaveLength(1);
});

test('a form that another site sent is refused, and nothing is tried', async () => {
  const account = await server.createAccount();
  for (const headers of [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
  ]) {
    const browser = new Browser();
    const page = await browser.get(ask(server, client).url);
    browser.headers = headers as unknown as Record<string, string>;
    const refused = await enterPassword(browser, page, account);
    expect(refused.status).toBe(403);
    expect(refused.link('Start again')).toBe(interactionOf(page));
  }
  expect(await sessionsOf(account.id)).toHaveLength(0);
});

test('bodies are bounded, and only forms are read', async () => {
  const browser = new Browser();
  const page = await browser.get(ask(server, client).url);
  expect(
    (await browser.submit(page, { email: 'a@example.com', password: 'x'.repeat(70_000) })).status,
  ).toBe(413);
  expect(
    (
      await browser.post(
        `${interactionOf(page)}/sign-in`,
        Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`f${i}`, '1'])),
      )
    ).status,
  ).toBe(400);
  const response = await fetch(`${interactionOf(page)}/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  expect(response.status).toBe(415);
});

test('a disabled account’s sign-in that is under way ends', async () => {
  const account = await server.createAccount({ totp: true });
  const browser = new Browser();
  const page = await enterPassword(browser, await browser.get(ask(server, client).url), account);
  expect(page.title).toContain('Enter your code');
  await server.services.accounts.setDisabled(account.id, true, 'test');
  expect((await browser.submit(page, { code: '123456' })).title).toContain('Sign in');
});

test('the links of a page are made of the issuer, whatever a request says', async () => {
  const browser = new Browser();
  browser.headers = { 'x-forwarded-host': 'evil.example', forwarded: 'host=evil.example' };
  const page = await browser.get(ask(server, client).url);
  expect(page.html).not.toContain('evil.example');
});

test('an issuer with a path of its own', async () => {
  const probe = createServer().listen(0);
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  const below = await startServer(t, { PORT: String(port), ISSUER: `http://localhost:${port}/id` });
  try {
    const metadata = (await (
      await fetch(`${below.issuer}/.well-known/openid-configuration`)
    ).json()) as Record<string, string>;
    expect(metadata).toMatchObject({
      issuer: below.issuer,
      authorization_endpoint: `${below.issuer}/authorize`,
      token_endpoint: `${below.issuer}/token`,
    });
    const account = await below.createAccount();
    const browser = new Browser();
    const asked = ask(below, client);
    const page = await browser.get(asked.url);
    expect(page.path).toMatch(/^\/id\/interaction\//);
    const linked = [...page.html.matchAll(/(?:href|src)="([^"]*\/assets\/[^"]*)"/g)];
    expect(linked.length).toBeGreaterThan(1);
    for (const [, path = ''] of linked)
      expect((await fetch(new URL(path, below.issuer))).status).toBe(200);
    const consent = await enterPassword(browser, page, account);
    expect(
      (await redeem(below, client, asked, await browser.submit(consent, {}, 'allow'))).idToken.sub,
    ).toBe(account.id);
  } finally {
    await below.close();
  }
});
