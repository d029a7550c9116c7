import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { checkIssuer, claimIssuer, findIssuer, issuerOf } from '../../src/instance.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { MainProcess, runCli } from '../support/process.ts';

const one = 'http://one.localhost:3000';
const two = 'http://two.localhost:3000';

let database: TestDatabase;
let env: { DATABASE_URL: string; MASTER_KEY: string };

beforeAll(async () => {
  database = await createTestDatabase();
  env = { DATABASE_URL: database.url, MASTER_KEY: Buffer.alloc(32, 1).toString('base64') };
});

beforeEach(() => database.db.kysely.deleteFrom('instance').where('key', '=', 'issuer').execute());

afterAll(() => database.drop());

const setTo = (issuer: string) => loadConfig({ ISSUER: issuer });
const refused = { code: 'issuer_changed' };

describe('26: the issuer', () => {
  test('is stored by the first server that listens; every other one is refused with the way out', async () => {
    await checkIssuer(database.db, setTo(one));
    expect(await findIssuer(database.db)).toBeUndefined();
    await claimIssuer(database.db, setTo(one));
    await claimIssuer(database.db, setTo(one));
    for (const other of [setTo(two), setTo('https://id.example.com'), loadConfig({})]) {
      await expect(checkIssuer(database.db, other)).rejects.toMatchObject(refused);
      await expect(claimIssuer(database.db, other)).rejects.toMatchObject(refused);
    }
    expect(await findIssuer(database.db)).toBe(one);
  });

  test('is one for several servers that start at once', async () => {
    const outcomes = await Promise.allSettled(
      [one, two, one, two].map((issuer) => claimIssuer(database.db, setTo(issuer))),
    );
    const stored = await findIssuer(database.db);
    expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual(
      [one, two, one, two].map((issuer) => issuer === stored),
    );
  });

  test('that nobody has set follows the port; once it is set, it stays', async () => {
    for (const PORT of ['3000', '4000']) {
      await checkIssuer(database.db, loadConfig({ PORT }));
      await claimIssuer(database.db, loadConfig({ PORT }));
      expect(await findIssuer(database.db)).toBe(`http://localhost:${PORT}`);
    }
    const explicit = setTo('http://localhost:3000');
    await expect(checkIssuer(database.db, explicit)).rejects.toMatchObject(refused);
  });

  test('of commands is the stored one, and never another that ISSUER names', async () => {
    expect(await issuerOf(database.db, loadConfig({}))).toBe('http://localhost:3000');
    await claimIssuer(database.db, setTo(one));
    expect(await issuerOf(database.db, loadConfig({}))).toBe(one);
    await expect(issuerOf(database.db, setTo(two))).rejects.toMatchObject(refused);
  });

  test('is told by the server that refuses to start, and moved by the command that it names', async () => {
    await claimIssuer(database.db, setTo(one));
    const [main, link] = await Promise.all([
      refusal({ ...env, ISSUER: two, ISUER: 'hunter2' }),
      runCli(['setup-link'], { ...env, ISSUER: two }),
    ]);
    expect(main.code).toBe(1);
    expect(main.stdout).toBe('');
    expect(link).toMatchObject({ status: 1, stdout: '' });
    for (const { stderr } of [main, link]) {
      expect(stderr).toContain(`belongs to the issuer ${one}, and ISSUER says ${two}`);
      expect(stderr).toContain(`Set ISSUER=${one}.`);
      expect(stderr).toContain(`npm run -s cli -- instance set-issuer --issuer ${two}`);
    }
    // A variable that is not read is told in the log, without its value.
    expect(main.stderr).toContain('ISUER is not read. Did you mean ISSUER?');
    expect(main.stderr).not.toContain('hunter2');

    const moved = await runCli(['instance', 'set-issuer', '--issuer', two, '--json'], env);
    expect(JSON.parse(moved.stdout)).toEqual({ issuer: two, before: one });
    expect(await issuerOf(database.db, setTo(two))).toBe(two);
    const events = await database.db.kysely
      .selectFrom('audit_events')
      .select(['actor', 'data'])
      .where('type', '=', 'instance.issuer_changed')
      .execute();
    expect(events).toEqual([{ actor: 'cli', data: { before: one, issuer: two } }]);
  });
});

async function refusal(environment: Record<string, string>) {
  const main = new MainProcess(environment);
  const code = await main.ended;
  return { code, stdout: main.stdout, stderr: main.stderr };
}
