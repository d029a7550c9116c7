import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runCli } from '../support/process.ts';
import { type Credentials, Seed } from '../support/protocol.ts';
import { jwksOf, newKey } from '../support/proofs.ts';

/** Who may exchange tokens, and whose assertions are taken, as an operator says it on the command line. */

const [orders, stock] = ['https://orders.example.com', 'https://stock.example.com'];
const ci = 'https://ci.example.com';
const exchangeType = 'urn:ietf:params:oauth:grant-type:token-exchange';
const assertionType = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const apis = [{ identifier: stock, scopes: ['read'] }];

let database: TestDatabase;
let folder: string;
let keys: string;
let service: string;
let worker: string;
let app: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-exchange-'));
  keys = join(folder, 'keys.json');
  writeFileSync(keys, JSON.stringify(jwksOf(await newKey())));
  const seed = new Seed(database.db);
  await seed.api(orders);
  await seed.api(stock);
  app = await seed.client({ apis });
  service = (await seed.client({ type: 'machine', apis, grantTypes: [exchangeType] })).clientId;
  worker = (
    await seed.client({ type: 'device', redirectUris: [], apis, grantTypes: [assertionType] })
  ).clientId;
});

afterAll(async () => {
  rmSync(folder, { recursive: true });
  await database.drop();
});

const cli = (line: string) =>
  runCli(line.split(' '), {
    DATABASE_URL: database.url,
    ISSUER: 'https://id.example.com',
    MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
  });

async function json<T = Record<string, string>>(line: string): Promise<T> {
  const { status, stdout, stderr } = await cli(`${line} --json`);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as T;
}

async function refused(line: string, status: number, reason: RegExp): Promise<void> {
  const answer = await cli(line);
  expect({ status: answer.status, stdout: answer.stdout }).toEqual({ status, stdout: '' });
  expect(answer.stderr).toMatch(reason);
}

const versionOf = async (topic: 'exchange_rules' | 'trusted_issuers') =>
  (
    await database.db.kysely
      .selectFrom('config_versions')
      .select('version')
      .where('topic', '=', topic)
      .executeTakeFirstOrThrow()
  ).version;

const audited = async (type: string) =>
  database.db.kysely
    .selectFrom('audit_events')
    .select(['actor', 'client_id'])
    .where('type', '=', type)
    .execute();

test('a rule for exchanges is added, changed, shown and removed', async () => {
  const before = Number(await versionOf('exchange_rules'));
  const rule = `exchange allow --client-id ${service} --from ${orders} --to ${stock} --scope read`;
  const { id } = await json(rule);
  expect(await json('exchange list')).toEqual({
    rules: [
      {
        client_id: service,
        id,
        source: orders,
        target: stock,
        scopes: ['read'],
        impersonation: false,
        actors: [],
        can_widen: true,
      },
    ],
  });
  expect(await json(`${rule} --impersonate --actor ${app.clientId}`)).toEqual({
    id,
    can_widen: true,
  });
  const { rules } = await json<{ rules: unknown[] }>(`exchange list --client-id ${service}`);
  expect(rules).toEqual([
    expect.objectContaining({ id, impersonation: true, actors: [app.clientId] }),
  ]);
  expect((await cli('exchange list')).stdout).toContain(`${orders} → ${stock}`);
  await json(`exchange remove --rule ${id}`);
  expect(await json('exchange list')).toEqual({ rules: [] });
  expect(Number(await versionOf('exchange_rules'))).toBe(before + 3);
  expect(await audited('exchange.rule_added')).toEqual([
    { actor: 'cli', client_id: service },
    { actor: 'cli', client_id: service },
  ]);
  expect(await audited('exchange.rule_removed')).toEqual([{ actor: 'cli', client_id: service }]);
});

test('a rule that would give nothing is refused', async () => {
  const allow = (client: string, from = orders, to = stock, scope = 'read', more = '') =>
    `exchange allow --client-id ${client} --from ${from} --to ${to} --scope ${scope}${more}`;
  await refused(allow(app.clientId), 1, /give it the grant type/);
  await refused(allow('c_nobody'), 1, /no client/);
  await refused(allow(service, 'https://nowhere.example.com'), 1, /no API/);
  await refused(allow(service, orders, stock, 'write'), 1, /may not ask for write/);
  await refused(
    allow(service, orders, stock, 'read', ' --actor c_nobody'),
    1,
    /no client c_nobody/,
  );
  await refused(
    `exchange allow --client-id ${service} --from ${orders} --to ${stock}`,
    2,
    /--scope/,
  );
  await refused('exchange remove --rule exch_none', 1, /no rule/);
  await refused(
    `client update --client-id ${worker} --grant-types ${exchangeType}`,
    1,
    /public client exchanges no tokens/,
  );
  expect(await json('exchange list')).toEqual({ rules: [] });
});

test('an issuer is trusted, let in, shown and removed', async () => {
  const before = Number(await versionOf('trusted_issuers'));
  const { id } = await json(`issuer add --issuer ${ci} --jwks ${keys} --alg ES256 --max-life 600`);
  const { id: rule } = await json(
    `issuer allow --issuer ${ci} --subject repo:shop:* --client-id ${worker} --api ${stock} --scope read --public`,
  );
  const { issuers } = await json<{ issuers: unknown[] }>('issuer list');
  expect(issuers).toEqual([
    {
      id,
      issuer: ci,
      jwks_uri: null,
      jwks: { keys: [expect.objectContaining({ kty: 'EC' })] },
      algs: ['ES256'],
      max_life: 600,
      reusable: false,
      subjects: [
        {
          client_id: worker,
          id: rule,
          subject: 'repo:shop:*',
          api: stock,
          scopes: ['read'],
          public: true,
        },
      ],
    },
  ]);
  expect((await cli('issuer list')).stdout).toContain('repo:shop:*');
  await json(`issuer disallow --rule ${rule}`);
  await json(`issuer remove --issuer ${ci}`);
  expect(await json('issuer list')).toEqual({ issuers: [] });
  expect(Number(await versionOf('trusted_issuers'))).toBe(before + 4);
  for (const type of [
    'issuer.added',
    'issuer.subject_added',
    'issuer.subject_removed',
    'issuer.removed',
  ])
    expect(await audited(type)).toEqual([expect.objectContaining({ actor: 'cli' })]);
});

test('an issuer or a subject that would let in more than was meant is refused', async () => {
  const secret = join(folder, 'secret.json');
  writeFileSync(secret, JSON.stringify({ keys: [{ kty: 'oct', k: 'c2VjcmV0' }] }));
  await refused(`issuer add --issuer ${ci}`, 2, /--jwks/);
  await refused(`issuer add --issuer ${ci} --jwks ${keys} --jwks-uri ${ci}/keys`, 2, /--jwks/);
  await refused(`issuer add --issuer ${ci} --jwks ${secret}`, 2, /--jwks/);
  await refused(`issuer add --issuer ${ci} --jwks ${keys} --alg HS256`, 2, /--alg/);
  await refused(`issuer add --issuer ${ci} --jwks ${keys} --alg none`, 2, /--alg/);
  await refused(`issuer add --issuer ${ci} --jwks-uri http://ci.example.com/keys`, 1, /https/);
  await refused(`issuer add --issuer ${ci} --jwks-uri https://169.254.169.254/keys`, 1, /inside/);
  await refused(`issuer add --issuer ${ci} --jwks-uri ${ci}/keys#one`, 1, /fragment/);
  await refused(`issuer add --issuer https://id.example.com --jwks ${keys}`, 1, /server itself/);
  expect(await json('issuer list')).toEqual({ issuers: [] });
  await json(`issuer add --issuer ${ci} --jwks ${keys}`);
  await refused(`issuer add --issuer ${ci} --jwks ${keys}`, 1, /already/);
  const allow = (subject: string, client = worker, more = ' --public') =>
    `issuer allow --issuer ${ci} --subject ${subject} --client-id ${client} --api ${stock} --scope read${more}`;
  for (const subject of ['*', 'ab*', '*shop', 'repo:*:main', 'repo:**'])
    await refused(allow(subject), 2, /--subject/);
  await refused(allow('repo:shop', worker, ''), 1, /--public/);
  await refused(allow('repo:shop', service), 1, /give it the grant type/);
  await refused(allow('repo:shop').replace(ci, 'https://other.example.com'), 1, /not trusted/);
  await refused(allow('repo:shop').replace('--scope read', '--scope write'), 1, /may not ask/);
});

test('32: making a rule says whether it can widen access', async () => {
  const both = [
    { identifier: orders, scopes: ['read', 'write'] },
    { identifier: stock, scopes: ['read', 'write'] },
  ];
  const { clientId } = await new Seed(database.db).client({
    type: 'machine',
    apis: both,
    grantTypes: [exchangeType],
  });
  const rule = (from: string, to: string, scopes: string) =>
    `exchange allow --client-id ${clientId} --from ${from} --to ${to} ${scopes}`;
  const across = await cli(rule(orders, stock, '--scope read --scope write'));
  expect(across.stdout).toContain(
    `This rule can widen access: a token for ${orders}, whatever its scopes are,\ncan become one for ${stock} with read write.`,
  );
  expect(await json(rule(stock, stock, '--scope read'))).toMatchObject({ can_widen: false });
  const { rules } = await json<{ rules: object[] }>(`exchange list --client-id ${clientId}`);
  expect(rules).toMatchObject([
    { source: orders, target: stock, can_widen: true },
    { source: stock, target: stock, can_widen: false },
  ]);
});
