import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalJWKSet, jwtVerify } from 'jose';
import type { Context } from 'koa';
import { AccountService } from '../../src/account/account.service.ts';
import { Passwords } from '../../src/account/passwords.service.ts';
import { RegistrationService } from '../../src/account/registration.service.ts';
import { AuthenticatorService } from '../../src/authenticator/authenticator.service.ts';
import { reseal, sealedColumns } from '../../src/db/reseal.ts';
import { deviceKey, KnownDevices } from '../../src/interaction/known-device.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { openSealer, renewCheck } from '../../src/master-key.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { fetchJwks } from '../support/keys.ts';
import { freePort, MainProcess, runCli, until } from '../support/process.ts';
import {
  type Credentials,
  exchange,
  isActive,
  post,
  refresh,
  Seed,
  type SignedInBrowser,
} from '../support/protocol.ts';
import { testMasterKey } from '../support/server-process.ts';

const issuer = 'http://localhost:3000';
const resource = 'https://api.example.com';
const older = testMasterKey;
const newer = Buffer.alloc(32, 8);
let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  folder = mkdtempSync(join(tmpdir(), 'vouchsafe-master-'));
});

afterAll(async () => {
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** One of the two servers, from one start to the next. */
class Restarted {
  readonly #name: string;
  url = '';
  #running: MainProcess | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** Under these master keys, which it reads from a file. */
  async restart(...keys: Buffer[]): Promise<void> {
    await this.stop();
    const port = await freePort();
    this.url = `http://127.0.0.1:${port}`;
    this.#running = new MainProcess({ ...this.environment(...keys), PORT: String(port) });
    await this.#running.ready();
  }

  environment(...keys: Buffer[]): Record<string, string> {
    const file = join(folder, `${this.#name}.key`);
    writeFileSync(file, `${keys.map((key) => key.toString('base64')).join(',')}\n`);
    return {
      ISSUER: issuer,
      DATABASE_URL: database.url,
      DATA_DIR: join(folder, this.#name),
      MASTER_KEY_FILE: file,
      LOG_LEVEL: 'fatal',
    };
  }

  async stop(): Promise<void> {
    if (this.#running !== undefined) expect(await this.#running.stop()).toBe(0);
    this.#running = undefined;
  }
}

test('the master key is rotated while two servers run: nobody notices, and then the old one opens nothing', async () => {
  const seed = new Seed(database.db);
  const api = await seed.api(resource, 'jwt');
  const machine = await seed.client({
    type: 'machine',
    apis: [{ identifier: resource, scopes: ['read'] }],
  });
  const client = await seed.client();
  const [one, two] = [new Restarted('one'), new Restarted('two')];
  const both = [one, two];
  const cli = new Restarted('cli');
  const run = async (words: string[], ...keys: Buffer[]) => {
    const { status, stdout, stderr } = await runCli([...words, '--json'], cli.environment(...keys));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  try {
    await Promise.all(both.map((server) => server.restart(older)));
    const people = await Promise.all(both.map(({ url }) => startPerson(seed, client, url)));
    const token = await machineToken(one.url, machine);

    const everythingWorks = async () => {
      for (const { url } of both) {
        for (const person of people) await person.goesOn(url);
        expect(await isActive(url, api, token)).toBe(true);
        const fresh = await machineToken(url, machine);
        for (const other of both) {
          expect(await isActive(other.url, api, fresh)).toBe(true);
          await jwtVerify(fresh, createLocalJWKSet((await fetchJwks(other.url)).jwks));
        }
      }
      // Who begins now, at either of them, is one of those who must not notice.
      people.push(await startPerson(seed, client, both[people.length % 2]?.url as string));
    };
    const roll = async (...keys: Buffer[]) => {
      for (const server of both) {
        await server.restart(...keys);
        await everythingWorks();
      }
    };

    await everythingWorks();
    await roll(older, newer);
    await one.restart(newer, older);
    // In the middle of it, with each of them sealing under another key.
    await run(['keys', 'rotate', '--alg', 'ES256', '--alg', 'cookie'], newer, older);
    await until(async () => (await fetchJwks(two.url)).jwks.keys.length === 5);
    await everythingWorks();
    await two.restart(newer, older);
    await everythingWorks();
    const { resealed, earlier_keys_until } = await run(['keys', 'reseal'], newer, older);
    // The first keys, and that of subjects; what was made since lies under the new one.
    expect(resealed).toBe(6);
    expect(new Date(earlier_keys_until as string).getTime()).toBeGreaterThan(Date.now());
    await everythingWorks();
    expect(await run(['keys', 'reseal'], newer, older)).toMatchObject({ resealed: 0 });
    await roll(newer);

    const late = new MainProcess(new Restarted('late').environment(older));
    expect(await late.ended).toBe(1);
    expect(late.stderr).toContain('not the key that this database was sealed under');
    await expect(new KeyService(database.db, new Sealer([older])).load()).rejects.toMatchObject({
      code: 'unseal_failed',
    });
  } finally {
    await Promise.all(both.map((server) => server.stop()));
  }
}, 120_000);

async function machineToken(url: string, machine: Credentials): Promise<string> {
  const form = { grant_type: 'client_credentials', resource };
  const { status, body } = await post(url, '/token', machine, form);
  expect(status).toBe(200);
  return body.access_token;
}

/** Somebody who is signed in, and whose app refreshes its tokens. */
async function startPerson(seed: Seed, client: Credentials, url: string) {
  const accountId = await seed.account();
  await seed.consent(accountId, client.clientId);
  const browser: SignedInBrowser = await seed.signIn(accountId, sealers.both);
  const { body } = await exchange(url, client, await browser.authorize(url, client));
  let refreshToken = body.refresh_token;
  return {
    /** Comes back, and refreshes: twice, as who has lost the answer does. */
    async goesOn(at: string): Promise<void> {
      await browser.authorize(at, client);
      const answers = [
        await refresh(at, client, refreshToken),
        await refresh(at, client, refreshToken),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(answers[1]?.body.refresh_token).toBe(answers[0]?.body.refresh_token);
      refreshToken = answers[0]?.body.refresh_token as string;
      expect(await isActive(at, client, refreshToken)).toBe(true);
    },
  };
}

const sealers = {
  old: new Sealer([older]),
  both: new Sealer([newer, older]),
  other: new Sealer([newer]),
};

function peopleUnder(sealer: Sealer) {
  const passwords = new Passwords();
  const accounts = new AccountService(database.db, passwords, sealer, {
    requireSecondFactor: 'administrators',
    brandName: 'Vouchsafe',
  });
  return {
    accounts,
    registration: new RegistrationService(database.db, accounts, passwords, sealer),
    authenticators: new AuthenticatorService(database.db, accounts, sealer),
  };
}

test('the key file holds two keys during a rotation: the first one seals, both open', async () => {
  const own = await createTestDatabase();
  const dataDir = mkdtempSync(join(folder, 'file-'));
  const file = join(dataDir, 'master.key');
  const open = (...keys: Buffer[]) => {
    const lines = keys.map((key) => key.toString('base64')).join('\n');
    writeFileSync(file, `${lines}\n`, { mode: 0o600 });
    return openSealer({
      config: { masterKeys: undefined, dataDir, databaseUrl: undefined },
      db: own.db,
      warn: () => undefined,
    });
  };
  try {
    await new KeyService(own.db, await open(older)).ensure();
    await expect(open(newer)).rejects.toMatchObject({ code: 'master_key_wrong' });
    await expect(open(newer, older.subarray(1))).rejects.toMatchObject({ code: 'master_key_file' });
    const during = await open(newer, older);
    expect(during.keyId).toBe(sealers.other.keyId);
    expect(await reseal(own.db, during)).toMatchObject({ count: 5 });
    await renewCheck(own.db, during);
    expect((await new KeyService(own.db, await open(newer)).load()).jwks.keys).toHaveLength(4);
    await expect(open(older)).rejects.toMatchObject({ code: 'master_key_wrong' });
  } finally {
    await own.drop();
  }
});

test('a code that was mailed under the earlier master key is right under both', async () => {
  const { kysely } = database.db;
  const before = peopleUnder(sealers.old);
  for (const [sealer, expected] of [
    [sealers.other, 'wrong_code'],
    [sealers.both, 'verified'],
  ] as const) {
    const account = await before.accounts.create(
      {
        email: `${expected.replace('_', '-')}@example.com`,
        password: 'nine quiet herons over the quay',
        name: 'Kim',
        admin: false,
        verified: false,
      },
      'test',
    );
    const { ref } = await before.registration.startVerification(account);
    const rows = await kysely
      .selectFrom('outbox')
      .select(['id', 'payload_sealed'])
      .where('kind', '=', 'mail')
      .where('payload_sealed', 'is not', null)
      .orderBy('created_at', 'desc')
      .execute();
    const mails = rows.map(({ id, payload_sealed: sealed }) =>
      sealers.old.open(sealed as Buffer, `outbox:${id}`).toString(),
    );
    const mail = mails.find((text) => text.includes(account.email)) as string;
    const code = /\b\d{4} ?\d{4}\b/.exec(mail)?.[0] as string;
    const { status } = await peopleUnder(sealer).registration.verifyCode(ref, code, {});
    expect(status).toBe(expected);
  }
});

test('a device that is known under the earlier master key is known under both, and afterwards under the new one', () => {
  const jar = new Map<string, string>();
  const ctx = {
    secure: false,
    cookies: {
      get: (name: string) => jar.get(name),
      set: (name: string, value: string) => jar.set(name, value),
    },
  } as unknown as Context;
  const key = deviceKey('kim@example.com');
  new KnownDevices(sealers.old).remember(ctx, key);
  const device = new KnownDevices(sealers.old).find(ctx, key);
  expect(device).toEqual(expect.any(String));
  expect(new KnownDevices(sealers.other).find(ctx, key)).toBeUndefined();
  expect(new KnownDevices(sealers.both).find(ctx, key)).toBe(device);
  expect(new KnownDevices(sealers.both).find(ctx, deviceKey('ann@example.com'))).toBeUndefined();
  new KnownDevices(sealers.both).remember(ctx, key);
  expect(new KnownDevices(sealers.other).find(ctx, key)).toBe(device);
  // One mark an account, under whatever key.
  expect([...jar.values()].join().split('.')).toHaveLength(2);
});

test('every sealed column is sealed anew by `keys reseal`', async () => {
  const { rows } = await database.db.pool.query<{ table: string; column: string }>(
    `select c.table_name as table, c.column_name as column from information_schema.columns c
     join information_schema.tables t using (table_schema, table_name)
     where c.table_schema = 'public' and c.data_type = 'bytea' and t.table_type = 'BASE TABLE' order by 1, 2`,
  );
  // What is bytes is a hash, a MAC, or sealed; whoever adds another kind says here what becomes of it.
  const sealed = rows.filter(({ column }) => !/_(hash|mac)$/.test(column));
  const known = sealedColumns.map(({ table, column }) => ({ table, column }));
  expect(sealed).toEqual(
    known.toSorted((a, b) => (`${a.table} ${a.column}` < `${b.table} ${b.column}` ? -1 : 1)),
  );
});

test('whatever is sealed lies in such a column, or lives no longer than an hour', () => {
  const found = globSync('src/**/*.ts').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/[sS]ealer\.seal\(/g)].map(() => file),
  );
  expect(found.toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
    'src/account/address-proofs.ts', // action_links
    'src/authenticator/authenticator.service.ts', // authenticators
    'src/db/reseal.ts',
    'src/interaction/enrol.ts', // an interaction under way
    'src/keys/keys.service.ts', // cookie_keys and signing_keys
    'src/keys/keys.service.ts',
    'src/keys/keys.service.ts',
    'src/keys/subject-keys.service.ts', // subject_keys
    'src/master-key.ts', // the check of the key itself, renewed by the command
    'src/master-key.ts',
    'src/oidc/decoupled/secrets.ts', // polled_requests
    'src/outbox/outbox.service.ts', // outbox
  ]);
});
