import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Browser } from '../support/browser.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { freePort, MainProcess, until } from '../support/process.ts';
import { type Credentials, exchange, redirectUri, refresh, Seed } from '../support/protocol.ts';
import { testMasterKey } from '../support/server-process.ts';

const api = 'https://api.example.com';

let database: TestDatabase;
let main: MainProcess;
let issuer: string;
let metricsUrl: string;
let robot: Credentials;
let reader: Credentials;
let app: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  const seed = new Seed(database.db);
  reader = await seed.api(api);
  robot = await seed.client({ type: 'machine', apis: [{ identifier: api, scopes: ['read'] }] });
  app = await seed.client();
  const [port, metricsPort] = [await freePort(), await freePort()];
  issuer = `http://localhost:${port}`;
  metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
  main = await new MainProcess({
    PORT: String(port),
    METRICS_PORT: String(metricsPort),
    DATABASE_URL: database.url,
    MASTER_KEY: testMasterKey.toString('base64'),
    LOG_LEVEL: 'error',
  }).ready();
});

afterAll(async () => {
  await main.stop();
  await database.drop();
});

/** The value of a sample, by its name and labels as they are written. */
async function sample(name: string): Promise<number | undefined> {
  const text = await (await fetch(metricsUrl)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

function post(path: string, client: Credentials, fields: Record<string, string>) {
  return fetch(`${issuer}${path}`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client.clientId}:${client.clientSecret}`)}` },
    body: new URLSearchParams(fields),
  });
}

test('the metrics have a port of their own, and stand nowhere else', async () => {
  const response = await fetch(metricsUrl);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(await response.text()).toContain('process_cpu_seconds_total');
  expect((await fetch(`${issuer}/metrics`)).status).toBe(404);
  expect((await fetch(new URL('/token', metricsUrl))).status).toBe(404);
  expect((await fetch(new URL('/livez', metricsUrl))).status).toBe(404);
});

test('tokens, introspections and durations are counted by what they were', async () => {
  const issued = await post('/token', robot, {
    grant_type: 'client_credentials',
    resource: api,
    scope: 'read',
  });
  const { access_token: token } = (await issued.json()) as { access_token: string };
  await post('/token', robot, {
    grant_type: 'client_credentials',
    resource: 'https://none.example',
  });
  await post('/introspect', reader, { token });
  await post('/introspect', reader, { token: 'no-such-token' });
  await fetch(`${issuer}/introspect`, { method: 'POST', body: new URLSearchParams({ token }) });
  expect(await sample('vouchsafe_token_responses_total{grant_type="client_credentials"}')).toBe(1);
  expect(await sample('vouchsafe_introspections_total{result="active"}')).toBe(1);
  expect(await sample('vouchsafe_introspections_total{result="inactive"}')).toBe(1);
  expect(await sample('vouchsafe_introspections_total{result="refused"}')).toBe(1);
  const durations = 'vouchsafe_http_request_duration_seconds_count';
  expect(await sample(`${durations}{route="token",status="200"}`)).toBe(1);
  expect(await sample(`${durations}{route="token",status="400"}`)).toBe(1);
  expect(await sample('vouchsafe_database_queries_total')).toBeGreaterThan(5);
  expect(await sample('vouchsafe_database_connections{state="open"}')).toBeGreaterThan(0);
  expect(await sample('vouchsafe_password_hashes_waiting')).toBe(0);
});

test('11: repeated refreshes are counted by client', async () => {
  const seed = new Seed(database.db);
  const accountId = await seed.account();
  await seed.consent(accountId, app.clientId);
  const code = await (await seed.signIn(accountId, undefined, issuer)).authorize(issuer, app);
  const { body } = await exchange(issuer, app, code);
  const series = `vouchsafe_refresh_graces_total{client_id="${app.clientId}"}`;
  await refresh(issuer, app, body.refresh_token);
  expect(await sample(series)).toBeUndefined();
  await refresh(issuer, app, body.refresh_token);
  expect(await sample(series)).toBe(1);
});

test('a refused sign-in is counted by its reason', async () => {
  const browser = new Browser();
  const parameters = new URLSearchParams({
    client_id: app.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid',
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
  });
  const page = await browser.get(`${issuer}/authorize?${parameters.toString()}`);
  await browser.submit(page, { email: 'nobody@example.com', password: 'not one that is known' });
  expect(await sample('vouchsafe_sign_ins_total{result="unknown_account"}')).toBe(1);
});

test('25: the outbox is counted by what is due, what waits for another attempt, and what was given up', async () => {
  const later = new Date(Date.now() + 3_600_000);
  const row = { payload_sealed: null, leased_until: null, last_error: null, done_at: null };
  await database.db.kysely
    .insertInto('outbox')
    .values([
      { ...row, id: 'a', kind: 'nobody-knows', dead_at: null },
      { ...row, id: 'b', kind: 'nobody-knows', dead_at: new Date() },
      { ...row, id: 'c', kind: 'nobody-knows', dead_at: null, due_at: later, last_error: 'failed' },
      { ...row, id: 'd', kind: 'nobody-knows', dead_at: null, due_at: later },
    ])
    .execute();
  // The recurring jobs are due for a moment three times a minute, and otherwise wait for their time.
  await until(async () => (await sample('vouchsafe_outbox_rows{state="due"}')) === 2);
  expect(await sample('vouchsafe_outbox_rows{state="dead"}')).toBe(1);
});

test('nothing that a caller sends becomes a label', async () => {
  const word = 'hunter2';
  await fetch(`${issuer}/${word}`);
  await fetch(`${issuer}/interaction/${word}`);
  await fetch(`${issuer}/assets/${word}`);
  await fetch(`${issuer}/authorize?client_id=${word}&response_type=${word}`);
  await post('/token', robot, { grant_type: word });
  await post('/introspect', reader, { token: word });
  await post('/token', { clientId: word, clientSecret: word }, { grant_type: 'refresh_token' });
  const text = await (await fetch(metricsUrl)).text();
  expect(text).not.toContain(word);
  expect(text).toMatch(/route="other",status="404"/);
});
