import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { sha256 } from '../../src/lib/hash.ts';
import type { NewClient } from '../../src/client/client.ts';
import type { Browser, Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openPingReceiver, type PingReceiver } from '../support/ping-receiver.ts';
import { browserFrom, cibaGrant, pollCiba } from '../support/polled.ts';
import { until } from '../support/process.ts';
import { newKey, jwksOf } from '../support/proofs.ts';
import { type Credentials, post, refresh, Seed } from '../support/protocol.ts';
import { ask, enterPassword, redeem } from '../support/relying-party.ts';
import { startServer, type TestAccount, type TestServer, totpCode } from '../support/server.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { decodeJwt, SignJWT } from 'jose';

/** OpenID Connect Client-Initiated Backchannel Authentication Core 1.0, with poll and ping. */

const payments = 'https://payments.example.com';

let t: TestDatabase;
let server: TestServer;
let another: ServerProcess;
let seed: Seed;
let bank: Credentials;
let receiver: PingReceiver;

beforeAll(async () => {
  t = await createTestDatabase();
  receiver = await openPingReceiver();
  server = await startServer(t, { TRUST_PROXY: '1', OUTBOUND_ALLOW: 'localhost' });
  seed = new Seed(t.db, ['localhost']);
  await server.createApi(payments, { pay: 'payments in your name' });
  bank = await asking({ apis: [{ identifier: payments, scopes: ['pay'] }] });
  // With HOST it has no mailbox of its own: mails are left to the other one.
  another = await startServerProcess(t, server.issuer, {
    HOST: '127.0.0.1',
    OUTBOUND_ALLOW: 'localhost',
    NODE_EXTRA_CA_CERTS: receiver.authorityFile,
  });
});

afterAll(async () => {
  await receiver.close();
  await another.stop();
  await server.close();
  await t.drop();
});

const asking = (more: Partial<NewClient> = {}) =>
  seed.client({
    name: 'Till',
    redirectUris: [],
    grantTypes: [cibaGrant, 'refresh_token'],
    ...more,
  });

const pinged = () => asking({ cibaDelivery: 'ping', cibaNotificationEndpoint: receiver.uri });

interface Asked {
  readonly auth_req_id: string;
  readonly expires_in: number;
  readonly interval: number;
}

const request = (form: Record<string, string>, client = bank) =>
  post(server.issuer, '/ciba', client, { scope: 'openid', ...form });

async function start(
  account: Pick<TestAccount, 'email'>,
  form: Record<string, string> = {},
  client = bank,
): Promise<Asked> {
  const { status, body } = await request({ login_hint: account.email, ...form }, client);
  if (status !== 200) throw new Error(`ciba: ${status} ${JSON.stringify(body)}`);
  return body as unknown as Asked;
}

const poll = ({ auth_req_id: id }: Asked, client = bank, at = server.issuer) =>
  pollCiba(at, client, id);

const rowOf = ({ auth_req_id: id }: Asked) =>
  t.db.kysely
    .selectFrom('polled_requests')
    .selectAll()
    .where('id_hash', '=', sha256(id))
    .executeTakeFirstOrThrow();

const wait = ({ auth_req_id: id }: Asked) =>
  sql`update polled_requests set polled_at = polled_at - interval '1 minute', consumed_at = consumed_at - interval '1 minute'
    where id_hash = ${sha256(id)}`.execute(t.db.kysely);

/** The link in the newest mail to the account. */
async function linkTo({ email }: TestAccount, mails = 1): Promise<string> {
  let links: string[] = [];
  await until(async () => {
    links = (await server.mails(email)).flatMap((mail) =>
      mail.links.filter((link) => link.includes('/asked/')),
    );
    return links.length >= mails;
  });
  return links[0] as string;
}

/** Opens the link, signs in where that is asked. */
async function open(browser: Browser, link: string, account: TestAccount): Promise<Page> {
  const page = await browser.get(link);
  return page.title.includes('Sign in') ? enterPassword(browser, page, account) : page;
}

const familiesOf = (clientId: string) =>
  t.db.kysely.selectFrom('grants').selectAll().where('client_id', '=', clientId).execute();

test('a person is mailed, signs in, sees who asks for what, and allows; the client gets tokens, once', async () => {
  const account = await server.createAccount();
  await until(async () => {
    const { status } = await request({
      login_hint: account.email,
      scope: 'openid pay offline_access',
      resource: payments,
      binding_message: 'Order 4711, € 12.50',
    });
    return status === 200;
  });
  const asked = await start(account, {
    scope: 'openid pay offline_access',
    resource: payments,
    binding_message: 'Order 4711, € 12.50',
  });
  expect(asked).toEqual({
    auth_req_id: expect.stringMatching(/^vs_ci_[\w-]{43}$/) as unknown,
    expires_in: 300,
    interval: 5,
  });
  expect((await poll(asked)).body.error).toBe('authorization_pending');
  expect((await poll(asked, bank, another.url)).body.error).toBe('slow_down');

  const [mail] = await server.mails(account.email, 2);
  expect(mail?.subject).toBe('Till needs your answer');
  // What is compared stands on the page alone.
  expect(mail?.text).not.toContain('4711');
  const browser = browserFrom();
  const signIn = await browser.get(await linkTo(account, 2));
  expect(signIn.title).toContain('Sign in to continue to Till');
  expect(signIn.forms[0]?.fields).toContainEqual(['email', account.email]);
  const page = await enterPassword(browser, signIn, account);
  expect(page.title).toContain('Till needs your answer');
  for (const shown of ['Order 4711, € 12.50', 'payments in your name', account.email])
    expect(page.text).toContain(shown);
  expect(page.html).not.toContain('switch=yes');
  const done = await browser.submit(page, {}, 'allow');
  expect([done.status, done.title]).toEqual([200, 'Till has your answer · Vouchsafe']);

  const { status, body } = await poll(asked);
  expect(status).toBe(200);
  expect(body.scope).toBe('pay');
  const idToken = decodeJwt(String(body.id_token));
  expect(idToken).toMatchObject({ sub: account.id, aud: bank.clientId, amr: ['pwd'] });
  expect((await refresh(server.issuer, bank, body.refresh_token)).status).toBe(200);
  expect((await poll(asked)).body.error).toBe('invalid_grant');
  // The link has done its work.
  const late = await browser.get(await linkTo(account, 2));
  expect([late.status, late.title]).toEqual([410, 'This link no longer works · Vouchsafe']);
});

test('what lies at rest opens nothing', async () => {
  const account = await server.createAccount();
  const client = await pinged();
  const asked = await start(
    account,
    { client_notification_token: 'the-client-knows-us-by-this' },
    client,
  );
  const link = await linkTo(account);
  const row = await rowOf(asked);
  const outbox = await t.db.kysely.selectFrom('outbox').selectAll().execute();
  const dump = [row.payload_sealed, ...outbox.map((one) => one.payload_sealed)]
    .map((sealed) => sealed?.toString('latin1') ?? '')
    .concat(JSON.stringify({ ...row, payload_sealed: null }), JSON.stringify(outbox));
  for (const secret of [
    asked.auth_req_id,
    'the-client-knows-us-by-this',
    link.split('/').at(-1) as string,
  ])
    expect(dump.some((text) => text.includes(secret))).toBe(false);
});

describe('who is asked', () => {
  test('SECURITY 20: an address without an account gets the same answer, and is never heard of', async () => {
    const account = await server.createAccount();
    const unverified = await server.createAccount({ verified: false });
    const nobody = `nobody-${Date.now()}@example.com`;
    for (const email of [account.email, nobody, unverified.email, 'no address at all']) {
      const asked = await start({ email });
      expect(asked).toEqual({
        auth_req_id: expect.stringMatching(/^vs_ci_[\w-]{43}$/) as unknown,
        expires_in: 300,
        interval: 5,
      });
      const { status, body } = await poll(asked);
      expect([status, body.error]).toEqual([400, 'authorization_pending']);
      const row = await rowOf(asked);
      expect(row.account_id).toBe(email === account.email ? account.id : null);
    }
    await linkTo(account);
    const waiting = async () =>
      (
        await t.db.kysely
          .selectFrom('outbox')
          .select('id')
          .where('kind', '=', 'ask_mail')
          .where('done_at', 'is', null)
          .execute()
      ).length;
    await until(async () => (await waiting()) === 0);
    const mailbox = await (await fetch(`${server.issuer}/dev/mail`)).text();
    for (const email of [nobody, unverified.email]) expect(mailbox).not.toContain(email);
  });

  test('an ID token of the client names the person; another client’s, and one that is none of ours, does not', async () => {
    const account = await server.createAccount();
    const both = await seed.client({
      name: 'Shop',
      grantTypes: ['authorization_code', cibaGrant],
    });
    const other = await seed.client({ name: 'Other' });
    const idTokenFor = async (client: Credentials) => {
      const browser = browserFrom();
      const asked = ask(server, client as never);
      let page = await browser.get(asked.url);
      page = await enterPassword(browser, page, account);
      page = await browser.submit(page, {}, 'allow');
      const code = await redeem(server, client as never, asked, page);
      return (code as unknown as { id_token: string }).id_token;
    };
    const hint = await idTokenFor(both);
    const { body } = await request({ id_token_hint: hint }, both);
    expect((await rowOf(body as unknown as Asked)).account_id).toBe(account.id);
    const foreign = await idTokenFor(other);
    const key = await newKey();
    const forged = await new SignJWT({ sub: account.id })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(server.issuer)
      .setAudience(both.clientId)
      .sign(key.privateKey);
    for (const wrong of [foreign, forged, 'nothing']) {
      const refused = await request({ id_token_hint: wrong }, both);
      expect([refused.status, refused.body.error]).toEqual([400, 'invalid_request']);
    }
  });

  test('what else may name a person is refused', async () => {
    const cases: [Record<string, string>, string][] = [
      [{ login_hint_token: 'a.b.c' }, 'invalid_request'],
      [{}, 'invalid_request'],
      [{ login_hint: 'a@example.com', login_hint_token: 'x' }, 'invalid_request'],
      [{ login_hint: 'a@example.com', request_context: '{}' }, 'invalid_request'],
      [{ login_hint: 'a@example.com', scope: 'pay' }, 'invalid_request'],
      [{ login_hint: 'a@example.com', requested_expiry: '0' }, 'invalid_request'],
      [{ login_hint: 'a@example.com', requested_expiry: '1e9999' }, 'invalid_request'],
      [{ login_hint: 'a@example.com', resource: 'https://x.example.com' }, 'invalid_target'],
    ];
    for (const [form, error] of cases) {
      const { status, body } = await request(form);
      expect([form, status, body.error]).toEqual([form, 400, error]);
    }
  });

  test('messages are short, and lead nowhere', async () => {
    const email = 'somebody@example.com';
    const client = await asking();
    for (const message of [
      'x'.repeat(65),
      'line\nbreak',
      'see https://evil.example.com',
      'www.evil.example',
      '<b>bold</b>',
      'turned \u202e around',
      '',
    ].filter((one) => one !== '')) {
      const { status, body } = await request(
        { login_hint: email, binding_message: message },
        client,
      );
      expect([message, status, body.error]).toEqual([message, 400, 'invalid_binding_message']);
    }
    for (const message of ['W4SCT', 'Überweisung über € 12,50 an Ádám', '品川 1234'])
      expect((await request({ login_hint: email, binding_message: message }, client)).status).toBe(
        200,
      );
  });

  test('requests last as long as the client asks, within bounds', async () => {
    const client = await asking();
    for (const [asked, given] of [
      ['1', 30],
      ['120', 120],
      ['86400', 900],
    ] as const) {
      const { body } = await request(
        { login_hint: 'one@example.com', requested_expiry: asked },
        client,
      );
      expect((body as unknown as Asked).expires_in).toBe(given);
    }
  });

  test('nobody is flooded: ten mails an hour from one client, whether or not there is an account', async () => {
    const account = await server.createAccount();
    for (const email of [account.email, `none-${Date.now()}@example.com`]) {
      const client = await asking();
      const answers = await Promise.all(
        Array.from({ length: 15 }, () => request({ login_hint: email }, client)),
      );
      const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
      expect(statuses).toEqual([
        ...Array.from({ length: 10 }, () => 200),
        ...Array.from({ length: 5 }, () => 429),
      ]);
      expect(answers.find(({ status }) => status === 429)?.body.error).toBe(
        'temporarily_unavailable',
      );
    }
    const rows = await t.db.kysely
      .selectFrom('polled_requests')
      .select('id')
      .where('account_id', '=', account.id)
      .execute();
    expect(rows).toHaveLength(10);
  });
});

describe('who answers', () => {
  test('who does not allow it: access_denied', async () => {
    const account = await server.createAccount();
    const asked = await start(account);
    const browser = browserFrom();
    const page = await open(browser, await linkTo(account), account);
    const denied = await browser.submit(page, {}, 'deny');
    expect([denied.status, denied.title]).toEqual([200, 'You didn’t allow Till · Vouchsafe']);
    expect((await poll(asked)).body.error).toBe('access_denied');
    expect((await rowOf(asked)).grant_id).toBeNull();
  });

  test('a second factor that is asked for is asked of the person', async () => {
    const account = await server.createAccount({ totp: true });
    const asked = await start(account, { acr_values: 'urn:vouchsafe:acr:2fa' });
    const browser = browserFrom();
    const page = await open(browser, await linkTo(account), account);
    expect(page.title).toContain('Enter your code');
    const next = await browser.submit(page, { code: await totpCode(account.seed as string) });
    await browser.submit(next, {}, 'allow');
    const { body } = await poll(asked);
    const claims = decodeJwt(String(body.id_token));
    expect(claims).toMatchObject({ acr: 'urn:vouchsafe:acr:2fa' });
  });

  test('SECURITY: only the account that is asked may answer, whoever holds the link', async () => {
    const account = await server.createAccount();
    const stranger = await server.createAccount();
    const asked = await start(account);
    const link = await linkTo(account);
    // Signed in as somebody else: a sign-in is asked for, and theirs will not do.
    const browser = browserFrom();
    const home = await browser.get(`${server.issuer}/account`);
    await enterPassword(browser, home, stranger);
    const page = await browser.get(link);
    expect(page.title).toContain('Sign in to continue to Till');
    const refused = await enterPassword(browser, page, stranger);
    expect([refused.status, refused.title]).toEqual([
      400,
      'This request is for another account · Vouchsafe',
    ]);
    expect(await rowOf(asked)).toMatchObject({ state: 'pending', account_id: account.id });
    expect((await poll(asked)).body.error).toBe('authorization_pending');
    // The right one may still, in the same browser too.
    const again = await enterPassword(browser, await browser.get(link), account);
    await browser.submit(again, {}, 'allow');
    expect((await poll(asked)).status).toBe(200);
  });

  test('SECURITY 26: a page that began in one browser answers in no other', async () => {
    const account = await server.createAccount();
    const asked = await start(account);
    const browser = browserFrom();
    const page = await open(browser, await linkTo(account), account);
    const { action = '' } = page.forms[0] ?? {};
    const carried = await browserFrom().post(new URL(action, page.url).href, { decision: 'allow' });
    expect(carried.status).toBe(400);
    expect((await rowOf(asked)).state).toBe('pending');
  });

  test('two answers at once: one counts', async () => {
    const account = await server.createAccount();
    const client = await asking();
    const asked = await start(account, {}, client);
    const link = await linkTo(account);
    const browsers = [browserFrom(), browserFrom()] as const;
    const pages = [await open(browsers[0], link, account), await open(browsers[1], link, account)];
    const answers = await Promise.all(
      browsers.map((browser, index) => browser.submit(pages[index] as Page, {}, 'allow')),
    );
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 400]);
    expect(await familiesOf(client.clientId)).toHaveLength(1);
    const polls = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        poll(asked, client, index % 2 === 0 ? server.issuer : another.url),
      ),
    );
    expect(polls.filter(({ status }) => status === 200)).toHaveLength(1);
  });

  test('SECURITY: disabled meanwhile, revoked meanwhile, of another client, used again', async () => {
    const allow = async (client: Credentials, account: TestAccount) => {
      const asked = await start(account, { scope: 'openid offline_access' }, client);
      const browser = browserFrom();
      const page = await open(browser, await linkTo(account), account);
      expect((await browser.submit(page, {}, 'allow')).status).toBe(200);
      return asked;
    };
    const leaver = await server.createAccount();
    const ofLeaver = await allow(bank, leaver);
    await server.services.accounts.setDisabled(leaver.id, true, 'test');
    expect((await poll(ofLeaver)).body.error).toBe('invalid_grant');
    // Who is disabled is like who was never there.
    expect((await rowOf(await start(leaver))).account_id).toBeNull();

    const revoked = await allow(bank, await server.createAccount());
    await sql`update grants set revoked_at = now(), revoked_reason = 'test'
      where id = ${(await rowOf(revoked)).grant_id}`.execute(t.db.kysely);
    expect((await poll(revoked)).body.error).toBe('invalid_grant');

    const stranger = await asking();
    const used = await allow(bank, await server.createAccount());
    expect((await poll(used, stranger)).body.error).toBe('invalid_grant');
    expect((await poll(used)).status).toBe(200);
    await wait(used);
    expect((await poll(used)).body.error).toBe('invalid_grant');
    const { grant_id: grantId } = await rowOf(used);
    expect((await familiesOf(bank.clientId)).find(({ id }) => id === grantId)).toMatchObject({
      revoked_reason: 'code_replayed',
    });
  });
});

describe('ping', () => {
  const token = 'a-token-of-the-client';

  test('the client is told with its own token once there is an answer, also when that is no', async () => {
    const client = await pinged();
    for (const decision of ['allow', 'deny']) {
      const account = await server.createAccount();
      const asked = await start(account, { client_notification_token: token }, client);
      const before = receiver.received.length;
      // Asked again after an answer that says nothing.
      receiver.answerWith(204);
      const browser = browserFrom();
      const page = await open(browser, await linkTo(account), account);
      expect(receiver.received).toHaveLength(before);
      await browser.submit(page, {}, decision);
      await until(() => receiver.received.length > before);
      expect(receiver.received.at(-1)).toEqual({
        authorization: `Bearer ${token}`,
        contentType: 'application/json',
        body: { auth_req_id: asked.auth_req_id },
      });
      const { status, body } = await poll(asked, client);
      expect(body.error ?? status).toBe(decision === 'allow' ? 200 : 'access_denied');
      expect((await rowOf(asked)).payload_sealed).toBeNull();
    }
  });

  test('what fails is tried again', async () => {
    const client = await pinged();
    const account = await server.createAccount();
    await start(account, { client_notification_token: token }, client);
    receiver.answerWith(500, 503, 204);
    const before = receiver.received.length;
    const browser = browserFrom();
    await browser.submit(await open(browser, await linkTo(account), account), {}, 'allow');
    await until(async () => {
      await sql`update outbox set due_at = now() where kind = 'ciba_ping' and done_at is null`.execute(
        t.db.kysely,
      );
      const left = await t.db.kysely
        .selectFrom('outbox')
        .select('id')
        .where('kind', '=', 'ciba_ping')
        .where('done_at', 'is', null)
        .execute();
      return left.length === 0;
    });
    expect(receiver.received).toHaveLength(before + 3);
  });

  test('a token that could not be a bearer token is refused, as is none', async () => {
    const client = await pinged();
    for (const wrong of [undefined, 'with space', 'x'.repeat(1025)]) {
      const { status, body } = await request(
        {
          login_hint: 'a@example.com',
          ...(wrong === undefined ? {} : { client_notification_token: wrong }),
        },
        client,
      );
      expect([status, body.error]).toEqual([400, 'invalid_request']);
    }
  });
});

describe('clients', () => {
  test('public ones, and those that were not given the grant type, ask nobody', async () => {
    await expect(asking({ type: 'native' })).rejects.toThrow('A public client asks nobody');
    const web = await seed.client();
    expect((await request({ login_hint: 'a@example.com' }, web)).status).toBe(400);
    const device = await seed.client({ type: 'device', redirectUris: [] });
    expect((await request({ login_hint: 'a@example.com' }, device)).status).toBe(400);
    const { status } = await request(
      { login_hint: 'a@example.com' },
      { clientId: bank.clientId, clientSecret: 'wrong' },
    );
    expect(status).toBe(401);
  });

  test('SECURITY 9: a notification endpoint is https, and outside', async () => {
    for (const uri of [
      'http://client.example.com/ping',
      'http://localhost/ping',
      'https://user@client.example.com/ping',
      'https://10.0.0.1/ping',
      'https://[::1]/ping',
      'https://client.example.com/ping#x',
      'javascript:alert(1)',
    ])
      await expect(
        asking({ cibaDelivery: 'ping', cibaNotificationEndpoint: uri }),
      ).rejects.toMatchObject({ code: 'invalid_client' });
    await expect(asking({ cibaDelivery: 'ping' })).rejects.toThrow('needs a notification endpoint');
    const client = await pinged();
    await seed.updateClient(client.clientId, {
      cibaDelivery: 'poll',
      cibaNotificationEndpoint: null,
    });
    await seed.updateClient(client.clientId, { grantTypes: ['client_credentials'] });
    const { metadata } = await t.db.kysely
      .selectFrom('clients')
      .select('metadata')
      .where('id', '=', client.clientId)
      .executeTakeFirstOrThrow();
    expect(Object.keys(metadata)).not.toContain('backchannel_token_delivery_mode');
  });

  test('requests that have to be signed', async () => {
    const key = await newKey();
    const account = await server.createAccount();
    const client = await asking({ cibaSigningAlg: 'ES256', jwks: jwksOf(key) as never });
    const signed = (signer = key.privateKey, more: Record<string, unknown> = {}) =>
      new SignJWT({ scope: 'openid', login_hint: account.email, ...more })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(client.clientId)
        .setAudience(server.issuer)
        .setJti(crypto.randomUUID())
        .setIssuedAt()
        .setNotBefore('0s')
        .setExpirationTime('1m')
        .sign(signer);
    const sent = { request: await signed() };
    const good = await post(server.issuer, '/ciba', client, sent);
    expect(good.status).toBe(200);
    // SECURITY JWT: it asks a person once, whichever process it comes to.
    const again = await post(another.url, '/ciba', client, sent);
    expect([again.status, again.body.error]).toEqual([400, 'invalid_request']);
    // It has named its client in the signed request alone.
    const page = await open(browserFrom(), await linkTo(account), account);
    expect(page.title).toContain('Till needs your answer');
    const stranger = await newKey();
    for (const form of [
      { login_hint: account.email, scope: 'openid' },
      { request: await signed(stranger.privateKey) },
      { request: 'a.b.c' },
    ]) {
      const { status, body } = await post(server.issuer, '/ciba', client, form as never);
      expect([status, body.error]).toEqual([400, 'invalid_request']);
    }
  });

  test('discovery says what there is', async () => {
    const metadata = (await (
      await fetch(`${server.issuer}/.well-known/openid-configuration`)
    ).json()) as Record<string, unknown>;
    expect(metadata).toMatchObject({
      backchannel_authentication_endpoint: `${server.issuer}/ciba`,
      backchannel_token_delivery_modes_supported: ['poll', 'ping'],
      backchannel_user_code_parameter_supported: false,
      grant_types_supported: expect.arrayContaining([cibaGrant]) as unknown,
    });
  });
});
