import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Sealer } from '../../src/lib/seal.ts';
import {
  COOKIE_LIFE,
  HINT_LIFE,
  KEY_LEAD,
  KEY_SILENCE,
  LONGEST_TOKEN,
} from '../../src/keys/keys.ts';
import { JWKS_MAX_AGE, KeyService } from '../../src/keys/keys.service.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** docs/keys.md: its commands are run as they stand there, and its figures are those of the code. */

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/keys.md'), 'utf8');
/** By their first words, without the indentation of the list that they stand in. */
const blocks = [...page.matchAll(/^( *)```sh\n([\s\S]*?)^ *```$/gm)].map(
  ([, indent = '', text = '']) => text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
);
const [old, next] = [Buffer.alloc(32, 5), Buffer.alloc(32, 6)].map((key) => key.toString('base64'));

let database: TestDatabase;
const under = (key: string | undefined) =>
  new KeyService(database.db, new Sealer([Buffer.from(key as string, 'base64')]));

beforeAll(async () => {
  database = await createTestDatabase();
  await under(old).ensure();
});
afterAll(() => database.drop());

test('the commands of the page do what it says', async () => {
  expect(blocks).toHaveLength(6);
  const kid = (await under(old).list()).find(({ alg }) => alg === 'ES256')?.kid as string;
  const { PATH = '', HOME = '/' } = process.env;
  const env = {
    PATH,
    HOME,
    DATABASE_URL: database.url,
    MASTER_KEY: old as string,
    OLD: old as string,
    NEW: next as string,
    KID: kid,
  };
  const run = async (block = '') =>
    (await promisify(execFile)('sh', ['-ec', block], { cwd: root, env })).stdout;
  const [list, rotate, remove, rotateCookie, make, reseal] = blocks;

  const shown = await run(list);
  expect(shown.match(/current/g)).toHaveLength(5);
  expect(shown).toContain(kid);
  expect((await run(rotate)).match(/ next /g)).toHaveLength(2);
  expect(await run(remove)).toMatch(/was removed\..*signs instead from now on/);
  const left = await under(old).list();
  expect(left.map((key) => key.kid)).not.toContain(kid);
  expect(left.filter(({ alg }) => alg === 'ES256').map(({ state }) => state)).toEqual(['current']);
  expect(await run(rotateCookie)).toMatch(/cookie +next /);
  expect(Buffer.from((await run(make)).trim(), 'base64')).toHaveLength(32);
  expect(await run(reseal)).toMatch(/Re-encrypted \d+ values\. Keep the old master key/);
  expect((await under(next).load()).jwks.keys).toHaveLength(5);
  await expect(under(old).load()).rejects.toMatchObject({ code: 'unseal_failed' });
});

test('the figures of the page are those of the code', () => {
  expect({ JWKS_MAX_AGE, KEY_LEAD, KEY_SILENCE }).toEqual({
    JWKS_MAX_AGE: 5 * 60,
    KEY_LEAD: 3_600,
    KEY_SILENCE: 60,
  });
  expect(LONGEST_TOKEN).toBe(24 * 3_600 + 600);
  for (const life of [HINT_LIFE, COOKIE_LIFE]) expect(Math.floor(life / 86_400)).toBe(90);
});
