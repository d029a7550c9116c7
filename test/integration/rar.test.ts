import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { ClientCredentials } from '../../src/client/client.service.ts';
import { Browser, type Fields, type Page } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { addDetailType, files, payment, statements } from '../support/detail-types.ts';
import { askForCodes, cibaGrant, enterCode, pollDevice } from '../support/polled.ts';
import { until } from '../support/process.ts';
import { post, refresh, type TokenAnswer } from '../support/protocol.ts';
import { type Ask, ask, enterPassword, redeem, type Tokens } from '../support/relying-party.ts';
import {
  appRedirectUri,
  startServer,
  type TestAccount,
  type TestServer,
} from '../support/server.ts';

/** Rich authorization requests (RFC 9396), from the page that asks to the API that is told. */

const bank = 'https://bank.example.com';
const drive = 'https://drive.example.com';

let t: TestDatabase;
let server: TestServer;
let app: ClientCredentials;
let bankApi: ClientCredentials;
let driveApi: ClientCredentials;
let machine: ClientCredentials;
let ours: ClientCredentials;

type Detail = Record<string, unknown> & { readonly type: string };

const pay = (more: Record<string, unknown> = {}): Detail => ({
  type: payment.type,
  instructedAmount: { amount: '123.50', currency: 'EUR' },
  creditorName: 'Merchant A',
  ...more,
});
const read = (more: Record<string, unknown> = {}): Detail => ({
  type: statements.type,
  account: 'DE40100100103307118608',
  ...more,
});
const open = (path = '/photos', more: Record<string, unknown> = {}): Detail => ({
  type: files.type,
  path,
  ...more,
});

beforeAll(async () => {
  t = await createTestDatabase();
  server = await startServer(t);
  bankApi = await server.createApi(bank, { 'accounts:read': 'your accounts' });
  driveApi = await server.createApi(drive, { 'files:read': 'your files' });
  await addDetailType(t.db, bank, payment);
  await addDetailType(t.db, bank, statements);
  await addDetailType(t.db, drive, files);
  const types = [payment.type, statements.type, files.type];
  const apis = [{ identifier: bank, scopes: ['accounts:read'] }];
  app = await server.createClient({ apis, settings: { authorizationDetailsTypes: types } });
  ours = await server.createClient({
    name: 'MailBrand',
    firstParty: true,
    settings: { authorizationDetailsTypes: types },
  });
  machine = await server.createClient({
    type: 'machine',
    settings: { authorizationDetailsTypes: [payment.type, files.type] },
  });
  await until(async () => (await metadata()).includes(files.type));
});

afterAll(async () => {
  await server.close();
  await t.drop();
});

async function metadata(): Promise<string[]> {
  const response = await fetch(`${server.issuer}/.well-known/openid-configuration`);
  const told = (await response.json()) as { authorization_details_types_supported?: string[] };
  return told.authorization_details_types_supported ?? [];
}

interface AtPage {
  readonly account: TestAccount;
  readonly browser: Browser;
  readonly asked: Ask;
  readonly page: Page;
}

async function atPage(
  details: unknown,
  extra: Record<string, string | undefined> = {},
  given?: Pick<AtPage, 'account' | 'browser'>,
  client = app,
): Promise<AtPage> {
  const account = given?.account ?? (await server.createAccount());
  const browser = given?.browser ?? new Browser();
  const written = typeof details === 'string' ? details : JSON.stringify(details);
  const asked = ask(server, client, { authorization_details: written, ...extra });
  let page = await browser.get(asked.url);
  if (page.title.includes('Sign in')) page = await enterPassword(browser, page, account);
  return { account, browser, asked, page };
}

type Given = Tokens & { readonly authorization_details?: Detail[] };

async function allow(at: AtPage, fields: Fields = {}, client = app): Promise<Given> {
  const back = await at.browser.submit(at.page, fields, 'allow');
  return redeem(server, client, at.asked, back);
}

const told = async (caller: ClientCredentials, token: string) =>
  (await post(server.issuer, '/introspect', caller, { token })).body;

/** The error that the app is sent back with, and what is said of it. */
async function refusal(details: unknown, extra: Record<string, string> = {}, client = app) {
  const { page } = await atPage(details, extra, undefined, client);
  return `${page.params.get('error')}: ${page.params.get('error_description')}`;
}

const boxes = (page: Page) => page.forms[0]?.fields.filter(([name]) => name === 'detail').length;

const familyOf = async (account: TestAccount) =>
  t.db.kysely
    .selectFrom('grants')
    .select(['id', 'payload', 'revoked_at'])
    .where('account_id', '=', account.id)
    .orderBy('created_at')
    .execute();

const consentOf = async (account: TestAccount) =>
  t.db.kysely
    .selectFrom('consents')
    .select(['granted', 'rejected'])
    .where('account_id', '=', account.id)
    .executeTakeFirst();

describe('a payment', () => {
  test('is spelled out, given in the answer, told to its API, and asked again each time', async () => {
    const detail = pay({ remittanceInformation: 'Ref 4711', creditorAccount: { iban: 'DE02' } });
    const at = await atPage([detail]);
    expect(at.page.text).toContain('pay 123.50 EUR to Merchant A');
    expect(at.page.text).toContain('Account DE02');
    expect(at.page.text).toContain('Reference Ref 4711');
    expect(at.page.text).toContain('You’ll be asked each time.');
    expect(at.page.text).toContain('instructedAmount.amount');
    // The only thing there is: the buttons decide it.
    expect(boxes(at.page)).toBe(0);
    const tokens = await allow(at);
    expect(tokens.authorization_details).toEqual([detail]);
    expect(await told(bankApi, tokens.access_token)).toMatchObject({
      active: true,
      aud: bank,
      authorization_details: [detail],
    });
    expect(await told(driveApi, tokens.access_token)).toEqual({ active: false });
    expect((await familyOf(at.account))[0]?.payload).toMatchObject({ rar: [detail] });
    expect((await consentOf(at.account))?.granted).toEqual({
      scopes: ['openid'],
      claims: [],
      resources: {},
    });
    const again = await atPage([detail], {}, at);
    expect(again.page.text).toContain('pay 123.50 EUR to Merchant A');
    const silent = await at.browser.get(
      ask(server, app, { authorization_details: JSON.stringify([detail]), prompt: 'none' }).url,
    );
    expect(silent.params.get('error')).toBe('consent_required');
  });

  test('denied: nothing is given, and nothing is kept', async () => {
    const at = await atPage([pay()]);
    const back = await at.browser.submit(at.page, {}, 'deny');
    expect(back.params.get('error')).toBe('access_denied');
    expect(await familyOf(at.account)).toEqual([]);
    expect(await consentOf(at.account)).toBeUndefined();
  });

  test('two of them: each is decided as a whole', async () => {
    const [one, two] = [pay(), pay({ creditorName: 'Merchant B' })];
    const at = await atPage([one, two]);
    expect(boxes(at.page)).toBe(2);
    const [, second] = at.page.forms[0]?.fields.filter(([name]) => name === 'detail') ?? [];
    const tokens = await allow(at, { detail: second?.[1] });
    expect(tokens.authorization_details).toEqual([two]);
    expect((await told(bankApi, tokens.access_token)).authorization_details).toEqual([two]);
  });

  test('none of two, without a scope either, is a no', async () => {
    const at = await atPage([pay(), pay({ creditorName: 'B' })], { scope: undefined });
    const back = await at.browser.submit(at.page, { detail: undefined }, 'allow');
    expect(back.params.get('error')).toBe('access_denied');
    expect(await familyOf(at.account)).toEqual([]);
  });

  test('is asked of an app of our own as well, and nothing else is', async () => {
    const at = await atPage([pay(), read()], { scope: 'openid email' }, undefined, ours);
    expect(at.page.text).toContain('pay 123.50 EUR');
    expect(at.page.text).not.toContain('what goes in and out');
    expect(at.page.forms[0]?.fields).toEqual([]);
    const tokens = await allow(at, {}, ours);
    expect(tokens.authorization_details).toEqual([pay(), read()]);
    expect(await consentOf(at.account)).toBeUndefined();
    // It goes on as before, without the page.
    const plain = await at.browser.get(ask(server, ours, { scope: 'openid email' }).url);
    expect(plain.params.get('code')).toEqual(expect.any(String));
  });

  test('is a family of its own: what comes later changes nothing of it, and ends nothing of it', async () => {
    const at = await atPage([pay()], { scope: 'openid offline_access' });
    const first = await allow(at);
    const plain = ask(server, app, { scope: 'openid offline_access' });
    const second = await redeem(server, app, plain, await at.browser.get(plain.url));
    const third = await allow(
      await atPage([pay({ creditorName: 'B' })], { scope: 'openid offline_access' }, at),
    );
    expect(await familyOf(at.account)).toHaveLength(3);
    await post(server.issuer, '/revoke', app, { token: third.refresh_token as string });
    expect(await told(bankApi, third.access_token)).toEqual({ active: false });
    expect(await told(bankApi, first.access_token)).toMatchObject({
      authorization_details: [pay()],
    });
    expect(second.refresh_token).toEqual(expect.any(String));
    const { body } = await refresh(server.issuer, app, first.refresh_token as string, {
      resource: bank,
    });
    expect(body.authorization_details).toEqual([pay()]);
  });
});

describe('standing access', () => {
  test('is asked once for exactly the same, and may be taken back', async () => {
    const at = await atPage([read()]);
    expect(at.page.text).toContain('You won’t be asked again for exactly this.');
    const first = await allow(at);
    expect(first.authorization_details).toEqual([read()]);
    expect((await consentOf(at.account))?.granted).toMatchObject({ details: [read()] });
    // The order of members is none of its content.
    const { type, ...rest } = read();
    const silent = ask(server, app, {
      authorization_details: JSON.stringify([{ ...rest, type }]),
      prompt: 'none',
    });
    const second = (await redeem(server, app, silent, await at.browser.get(silent.url))) as Given;
    expect(second.authorization_details).toEqual([read()]);
    expect(await familyOf(at.account)).toHaveLength(1);
    for (const other of [
      read({ account: 'X' }),
      read({ always: true }),
      read({ actions: ['all'] }),
    ]) {
      const page = await at.browser.get(
        ask(server, app, { authorization_details: JSON.stringify([other]), prompt: 'none' }).url,
      );
      expect(page.params.get('error')).toBe('consent_required');
    }
    // Asked anew and turned down: it is taken back, with the tokens that hold it.
    const again = await atPage([read(), pay()], { prompt: 'consent' }, at);
    const [, payBox] = again.page.forms[0]?.fields.filter(([name]) => name === 'detail') ?? [];
    const third = await allow(again, { detail: payBox?.[1] });
    expect(third.authorization_details).toEqual([pay()]);
    expect((await consentOf(at.account))?.granted).not.toHaveProperty('details');
    expect(await told(bankApi, first.access_token)).toEqual({ active: false });
  });

  test('stands among the connected apps in its words', async () => {
    const at = await atPage([read()]);
    await allow(at);
    const page = await at.browser.get(`${server.issuer}/account`);
    expect(page.text).toContain('read what goes in and out of DE40100100103307118608');
  });
});

describe('what may not be asked for is invalid_authorization_details', () => {
  const refused = (reason: string) => `invalid_authorization_details: ${reason}`;

  test('unknown types, types of others, and what breaks the schema', async () => {
    expect(await refusal([{ type: 'unknown' }])).toContain(
      'unsupported authorization details type',
    );
    for (const name of ['__proto__', 'constructor', 'toString'])
      expect(await refusal(`[{"type":"${name}"}]`)).toContain('unsupported authorization details');
    const stranger = await server.createClient();
    expect(await refusal([pay()], {}, stranger)).toBe(
      refused('the type is not open to this client'),
    );
    expect(await refusal([pay({ surprise: 1 })])).toContain('must NOT have additional properties');
    expect(await refusal([{ type: payment.type }])).toContain('must have required property');
    expect(await refusal([pay({ creditorName: 5 })])).toContain('creditorName must be string');
    expect(
      await refusal([pay({ instructedAmount: { amount: '1e9', currency: 'EUR' } })]),
    ).toContain('instructedAmount.amount must match pattern');
    expect(await refusal([pay({ locations: ['https://evil.example.com'] })])).toContain(
      'names another API',
    );
    expect(await refusal([pay()], { resource: drive })).toContain('resource does not name');
  });

  test('what is no list of details', async () => {
    for (const text of ['{', '5', '{}', '[5]', '[[]]', '[null]', '[{}]', '[{"type":5}]'])
      expect(await refusal(text)).toContain('invalid_authorization_details');
  });

  test('the same twice, too much, too deep, and characters that are none', async () => {
    expect(await refusal([pay(), pay()])).toContain('one of them is there twice');
    const { type, ...rest } = pay();
    expect(await refusal([pay(), { ...rest, type }])).toContain('there twice');
    expect(
      await refusal(
        Array.from({ length: 11 }, (_, index) => open('/a', { actions: [`${index}`] })),
      ),
    ).toContain('more than 10');
    const deep = (levels: number) =>
      `[{"type":"${files.type}","path":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}]`;
    expect(await refusal(deep(100))).toContain('deeper than');
    const form = Object.fromEntries(new URL(ask(server, app).url).searchParams);
    const pushed = await post(server.issuer, '/par', app, {
      ...form,
      authorization_details: deep(2_000),
    });
    expect([pushed.status, pushed.body.error]).toEqual([400, 'invalid_authorization_details']);
    expect(await refusal([pay({ creditorName: 'x'.repeat(1_001) })])).toContain('more than 1000');
    const many = Array.from({ length: 300 }, () => 'a');
    expect(await refusal([open('/a', { actions: many })])).toContain('more than 200 values');
    expect(
      await refusal(
        Array.from({ length: 10 }, (_, i) =>
          pay({ remittanceInformation: `${i}${'y'.repeat(900)}` }),
        ),
      ),
    ).toContain('longer than');
    for (const character of ['\\u0000', '\\ud800'])
      expect(await refusal(`[{"type":"${statements.type}","account":"${character}"}]`)).toContain(
        'a character that is none',
      );
    expect(await refusal(`[{"type":"${files.type}","path":"/a","__proto__":{}}]`)).toContain(
      '__proto__',
    );
    expect(await refusal(`[{"type":"${files.type}","path":1e999}]`)).toContain('out of range');
  });

  test('patterns take no longer for hostile text', async () => {
    const started = performance.now();
    expect(await refusal([open(`${'/aaaaaaaa'.repeat(100)}!`)])).toContain('must match pattern');
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe('what people see is the text that was sent', () => {
  test('markup is text, hidden characters show, what is long is cut and stands below in full', async () => {
    const hostile = '<img src=x onerror=alert(1)>"\'&amp;{creditorName}';
    const at = await atPage([pay({ creditorName: hostile })]);
    expect(at.page.html).not.toContain('<img');
    expect(at.page.html).toContain(
      '&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;amp;{creditorName}',
    );
    const turned = await atPage([pay({ creditorName: 'A\u202eB\u200bC\nD' })]);
    expect(turned.page.text).toContain('A\ufffdB\ufffdC D');
    expect(turned.page.html).not.toMatch(/[\u202e\u200b]/);
    // Letters by their kind, that show nothing.
    for (const blank of ['\u3164', '\uffa0', '\u115f', '\u2800', '\u180e']) {
      const within = await atPage([pay({ creditorName: `A${blank}B` })]);
      expect(within.page.text).toContain('A\ufffdB');
    }
    for (const nothing of ['\u200d', '\ufe0f\ufe0f']) {
      const all = await atPage([pay({ creditorName: nothing })]);
      expect(all.page.text).toContain('to \ufffd');
    }
    const joined = await atPage([pay({ creditorName: 'नामक्\u200dष 👩\u200d💻' })]);
    expect(joined.page.text).toContain('नामक्\u200dष 👩\u200d💻');
    const long = `${'Long '.repeat(40)}End`;
    const cut = await atPage([pay({ creditorName: long })]);
    expect(cut.page.text).toMatch(/to Long Long .{60,80}… /);
    expect(cut.page.text).toContain(long);
  });

  test('what is not there is said to be so, and a fact without its value is left out', async () => {
    await addDetailType(t.db, bank, {
      ...statements,
      type: 'odd',
      words: {
        en: {
          verb: 'see',
          text: '{account} and {actions} and {always}',
          facts: [{ label: 'Deeds', value: '{actions}' }],
        },
      },
    });
    const client = await server.createClient({ settings: { authorizationDetailsTypes: ['odd'] } });
    await until(async () => (await metadata()).includes('odd'));
    const { page } = await atPage(
      [{ type: 'odd', account: 'A', always: true }],
      {},
      undefined,
      client,
    );
    expect(page.text).toContain('see A and not set and yes');
    expect(page.text).not.toContain('Deeds');
    const more = await atPage(
      [{ type: 'odd', account: 'A', actions: ['x', 'y', 'z'] }],
      {},
      undefined,
      client,
    );
    expect(more.page.text).toContain('see A and x, y and z and not set');
    expect(more.page.text).toContain('Deeds x, y and z');
  });
});

describe('between the page and the tokens', () => {
  test('what the form is made to say changes nothing of what is given', async () => {
    const at = await atPage([pay(), pay({ creditorName: 'B' })]);
    const other = await atPage([
      pay({ instructedAmount: { amount: '99999.00', currency: 'EUR' } }),
      pay(),
    ]);
    const foreign = other.page.forms[0]?.fields.filter(([name]) => name === 'detail') ?? [];
    const tokens = await allow(at, {
      detail: [...foreign.map(([, value]) => value), '0', 'all', JSON.stringify(pay())],
      authorization_details: JSON.stringify([pay({ creditorName: 'Mallory' })]),
    });
    // Of the posted names, that of its own first payment alone names something that was asked for.
    expect(tokens.authorization_details).toEqual([pay()]);
  });

  test('the address that the page leads back to takes no parameters', async () => {
    const at = await atPage([pay()]);
    const answer = await at.browser.submitOnce(at.page, {}, 'allow');
    const resume = new URL(answer.headers.get('location') as string, server.issuer);
    resume.searchParams.set('authorization_details', JSON.stringify([pay({ creditorName: 'M' })]));
    const tokens: Given = await redeem(server, app, at.asked, await at.browser.get(resume.href));
    expect(tokens.authorization_details).toEqual([pay()]);
  });

  test('a type that is gone, or no longer open to the client, when the person answers is not given', async () => {
    await addDetailType(t.db, bank, { ...payment, type: 'passing' });
    const types = { authorizationDetailsTypes: ['passing', payment.type] };
    const client = await server.createClient({ settings: types });
    await until(async () => (await metadata()).includes('passing'));
    const at = await atPage([pay({ type: 'passing' }), pay()], {}, undefined, client);
    await server.services.clients.update(
      client.clientId,
      { authorizationDetailsTypes: [payment.type] },
      'test',
    );
    expect(boxes(at.page)).toBe(2);
    await until(async () => boxes(await at.browser.get(at.page.url)) === 0);
    const again = await at.browser.get(at.page.url);
    expect((await allow({ ...at, page: again }, {}, client)).authorization_details).toEqual([
      pay(),
    ]);
  });
});

describe('at the token endpoint', () => {
  const exchange = async (at: AtPage, extra: Record<string, string>) => {
    const back = await at.browser.submit(at.page, {}, 'allow');
    return post(server.issuer, '/token', app, {
      grant_type: 'authorization_code',
      code: back.params.get('code') as string,
      code_verifier: at.asked.verifier,
      redirect_uri: appRedirectUri,
      ...extra,
    });
  };
  const details = (list: unknown[]) => ({ authorization_details: JSON.stringify(list) });
  const error = ({ status, body }: TokenAnswer) => [status, body.error];

  test('a code gives less where less is asked for, never anything else; a wrong question costs no code', async () => {
    const granted = [pay({ actions: ['initiate', 'status'] }), pay({ creditorName: 'B' })];
    const at = await atPage(granted);
    const narrowed = await exchange(at, details([pay({ actions: ['status'] })]));
    expect(narrowed.body.authorization_details).toEqual([pay({ actions: ['status'] })]);
    const token = narrowed.body.access_token;
    expect((await told(bankApi, token)).authorization_details).toEqual([
      pay({ actions: ['status'] }),
    ]);
    for (const swapped of [
      pay({ creditorName: 'C' }),
      pay({ instructedAmount: { amount: '124.50', currency: 'EUR' } }),
      pay({ actions: ['initiate', 'cancel'] }),
      pay({ creditorName: 'B', actions: ['initiate'] }),
      // An empty set may stand for all there is, and none may, too.
      pay({ actions: [] }),
      pay(),
      read(),
    ])
      expect(error(await exchange(await atPage(granted), details([swapped])))).toEqual([
        400,
        'invalid_authorization_details',
      ]);
    const plain = await atPage([], { scope: 'openid' });
    expect(error(await exchange(plain, details([pay()])))).toEqual([400, 'invalid_target']);
  });

  test('a refresh token may give less, and never more; what it gives later is what was allowed', async () => {
    const granted = [pay(), read()];
    const at = await atPage(granted, { scope: 'openid offline_access' });
    const first = await allow(at);
    expect(first.authorization_details).toEqual(granted);
    const narrow = await refresh(
      server.issuer,
      app,
      first.refresh_token as string,
      details([read()]),
    );
    expect(narrow.body.authorization_details).toEqual([read()]);
    const grown = await refresh(server.issuer, app, narrow.body.refresh_token, {
      ...details([pay({ creditorName: 'B' })]),
    });
    expect(error(grown)).toEqual([400, 'invalid_authorization_details']);
    const again = await refresh(server.issuer, app, narrow.body.refresh_token);
    expect(again.body.authorization_details).toEqual(granted);
    expect((await told(app, again.body.refresh_token)).authorization_details).toEqual(granted);
  });

  test('a token for one API holds that API’s details and no others', async () => {
    const at = await atPage([pay(), open()], { scope: 'openid offline_access' });
    const back = await at.browser.submit(at.page, {}, 'allow');
    const first = await post(server.issuer, '/token', app, {
      grant_type: 'authorization_code',
      code: back.params.get('code') as string,
      code_verifier: at.asked.verifier,
      redirect_uri: appRedirectUri,
      resource: drive,
    });
    expect(first.body.authorization_details).toEqual([open()]);
    expect((await told(driveApi, first.body.access_token)).authorization_details).toEqual([open()]);
    expect(await told(bankApi, first.body.access_token)).toEqual({ active: false });
    const second = await refresh(server.issuer, app, first.body.refresh_token, { resource: bank });
    expect(second.body.authorization_details).toEqual([pay()]);
    // Named by what is asked for, without a resource.
    const third = await refresh(server.issuer, app, second.body.refresh_token, details([open()]));
    expect(third.body.authorization_details).toEqual([open()]);
    expect((await told(driveApi, third.body.access_token)).aud).toBe(drive);
    const both = await refresh(
      server.issuer,
      app,
      third.body.refresh_token,
      details([open(), pay()]),
    );
    expect(error(both)).toEqual([400, 'invalid_target']);
  });

  test('JWT access tokens hold them as a claim', async () => {
    const jwt = 'https://jwt.example.com';
    await server.createApi(jwt);
    await server.services.resourceServers.update(jwt, { tokenFormat: 'jwt' }, 'test');
    await addDetailType(t.db, jwt, { ...payment, type: 'jwt_payment', machines: true });
    const settings = { authorizationDetailsTypes: ['jwt_payment'] };
    const client = await server.createClient({ settings });
    const bot = await server.createClient({ type: 'machine', settings });
    await until(async () => (await metadata()).includes('jwt_payment'));
    const at = await atPage([pay({ type: 'jwt_payment' })], {}, undefined, client);
    const { access_token: token } = await allow(at, {}, client);
    expect(decodeJwt(token)).toMatchObject({
      aud: jwt,
      authorization_details: [pay({ type: 'jwt_payment' })],
    });
    expect((await told(client, token)).authorization_details).toEqual([
      pay({ type: 'jwt_payment' }),
    ]);
    const { body } = await post(server.issuer, '/token', bot, {
      grant_type: 'client_credentials',
      ...details([pay({ type: 'jwt_payment' })]),
    });
    expect(decodeJwt(body.access_token).authorization_details).toEqual([
      pay({ type: 'jwt_payment' }),
    ]);
  });

  test('machines ask for what is for machines, and open to them', async () => {
    const byMachine = (list: unknown[], extra = {}) =>
      post(server.issuer, '/token', machine, {
        grant_type: 'client_credentials',
        ...details(list),
        ...extra,
      });
    const { body } = await byMachine([open()]);
    expect(body.authorization_details).toEqual([open()]);
    expect(await told(driveApi, body.access_token)).toMatchObject({
      sub: machine.clientId,
      aud: drive,
      authorization_details: [open()],
    });
    expect(error(await byMachine([pay()]))).toEqual([400, 'invalid_authorization_details']);
    expect(error(await byMachine([read()]))).toEqual([400, 'invalid_authorization_details']);
    expect(error(await byMachine([open()], { resource: bank }))).toEqual([
      400,
      'invalid_authorization_details',
    ]);
    expect(error(await byMachine([open('/../etc')]))).toEqual([
      400,
      'invalid_authorization_details',
    ]);
    const plain = await post(server.issuer, '/token', machine, {
      grant_type: 'client_credentials',
      resource: drive,
    });
    expect(plain.body.authorization_details).toBeUndefined();
  });

  test('what is taken from the client or its API is in no token that is made afterwards', async () => {
    await addDetailType(t.db, bank, { ...statements, type: 'brief' });
    const settings = { authorizationDetailsTypes: ['brief'] };
    const client = await server.createClient({ settings });
    await until(async () => (await metadata()).includes('brief'));
    const at = await atPage(
      [read({ type: 'brief' })],
      { scope: 'openid offline_access' },
      undefined,
      client,
    );
    const first = await allow(at, {}, client);
    expect(first.authorization_details).toHaveLength(1);
    await server.services.clients.update(
      client.clientId,
      { authorizationDetailsTypes: [] },
      'test',
    );
    let token = first.refresh_token as string;
    let later: TokenAnswer | undefined;
    await until(async () => {
      later = await refresh(server.issuer, client, token);
      token = later.body.refresh_token;
      return later.body.authorization_details === undefined;
    });
    // The API itself is no longer open to it, or the token is a plain one for it.
    expect(later?.body.authorization_details).toBeUndefined();
  });
});

test('they can be pushed', async () => {
  const at = { account: await server.createAccount(), browser: new Browser() };
  const asked = ask(server, app, { authorization_details: JSON.stringify([pay()]) });
  const form = Object.fromEntries(new URL(asked.url).searchParams);
  const pushed = await post(server.issuer, '/par', app, form);
  expect(pushed.status).toBe(201);
  const url = `${server.issuer}/authorize?${new URLSearchParams({
    client_id: app.clientId,
    request_uri: pushed.body.request_uri as string,
  }).toString()}`;
  const page = await enterPassword(at.browser, await at.browser.get(url), at.account);
  expect(page.text).toContain('pay 123.50 EUR to Merchant A');
  expect((await allow({ ...at, asked, page })).authorization_details).toEqual([pay()]);
  const refused = await post(server.issuer, '/par', app, {
    ...form,
    authorization_details: JSON.stringify([pay({ surprise: 1 })]),
  });
  expect([refused.status, refused.body.error]).toEqual([400, 'invalid_authorization_details']);
});

test('a device asks for them as well; who is asked elsewhere has no page for them', async () => {
  const types = { authorizationDetailsTypes: [payment.type, statements.type] };
  const device = await server.createClient({ type: 'device', redirectUris: [], settings: types });
  const account = await server.createAccount();
  const codes = await askForCodes(server.issuer, device, {
    scope: 'openid',
    authorization_details: JSON.stringify([pay(), read()]),
  });
  const browser = new Browser();
  const page = await enterCode(browser, server, codes.user_code, account);
  expect(page.text).toContain('pay 123.50 EUR to Merchant A');
  const [, second] = page.forms[0]?.fields.filter(([name]) => name === 'detail') ?? [];
  await browser.submit(page, { detail: second?.[1] }, 'allow');
  const { body } = await pollDevice(server.issuer, device, codes.device_code);
  expect(body.authorization_details).toEqual([read()]);
  expect((await told(bankApi, body.access_token)).authorization_details).toEqual([read()]);
  const wrong = await post(server.issuer, '/device_authorization', device, {
    scope: 'openid',
    authorization_details: JSON.stringify([open()]),
  });
  expect([wrong.status, wrong.body.error]).toEqual([400, 'invalid_authorization_details']);
  const asking = await server.createClient({
    grantTypes: [cibaGrant],
    redirectUris: [],
    settings: types,
  });
  const asked = await post(server.issuer, '/ciba', asking, {
    scope: 'openid',
    login_hint: account.email,
    authorization_details: JSON.stringify([pay()]),
  });
  expect([asked.status, asked.body.error]).toEqual([400, 'invalid_authorization_details']);
});

test('the audit names what was allowed by its hash, and holds nothing of it', async () => {
  const at = await atPage([pay({ creditorName: 'Secret Clinic' })]);
  await allow(at);
  const rows = await t.db.kysely
    .selectFrom('audit_events')
    .select('data')
    .where('account_id', '=', at.account.id)
    .where('type', '=', 'consent.granted')
    .execute();
  expect(rows).toHaveLength(1);
  expect(rows[0]?.data).toMatchObject({
    details: [{ type: payment.type, sha256: expect.stringMatching(/^[\w-]{43}$/) }],
  });
  expect(JSON.stringify(rows)).not.toContain('Clinic');
});

test('the metadata follows what is registered', async () => {
  expect(await metadata()).toEqual(expect.arrayContaining([files.type, payment.type]));
  await addDetailType(t.db, bank, { ...payment, type: 'short_lived' });
  await until(async () => (await metadata()).includes('short_lived'));
});
