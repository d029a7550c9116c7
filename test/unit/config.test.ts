import { expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.ts';
import { AppError } from '../../src/errors.ts';

const key = (byte: number) => Buffer.alloc(32, byte).toString('base64');

function refusal(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof AppError && error.code === 'config_invalid') return error.message;
    throw error;
  }
  throw new Error('it was taken');
}

test('nothing needs to be set: then it serves this machine alone', () => {
  const config = loadConfig({});
  expect(config).toMatchObject({
    port: 3000,
    host: '127.0.0.1',
    issuer: 'http://localhost:3000',
    loopback: true,
    devMail: true,
    databaseUrl: undefined,
    masterKeys: undefined,
    metricsPort: undefined,
    registration: true,
  });
  expect(Object.isFrozen(config)).toBe(true);
});

test('an empty variable counts as not set', () => {
  expect(loadConfig({ PORT: '', ISSUER: '', DATABASE_URL: '', MASTER_KEY_FILE: '' })).toEqual(
    loadConfig({}),
  );
});

test('the port is the issuer’s where no issuer is set', () => {
  expect(loadConfig({ PORT: '4999' }).issuer).toBe('http://localhost:4999');
});

test('an https issuer is served to everybody, and sends no mail to a page', () => {
  expect(loadConfig({ ISSUER: 'https://id.example.com/tenant' })).toMatchObject({
    host: '::',
    issuer: 'https://id.example.com/tenant',
    loopback: false,
    devMail: false,
  });
});

test.each([
  ['SMTP_URL', 'smtp://mail.internal'],
  ['HOST', '0.0.0.0'],
])('%s takes the mail page away', (name, value) => {
  expect(loadConfig({ [name]: value })).toMatchObject({ loopback: true, devMail: false });
});

test('every mistake is told at once, by name and example, and never by value', () => {
  const wrong = {
    PORT: '70000',
    ISSUER: 'http://id.wrong.example',
    DATABASE_URL: 'mysql://root:hunter2@db',
    DATABASE_POOL: 'plenty',
    MASTER_KEY: 'aHVudGVyMg==',
    SMTP_URL: 'hunter2',
    METRICS_PORT: '-1',
    LOG_LEVEL: 'loud',
    TRUST_PROXY: 'yes',
    REQUIRE_SECOND_FACTOR: 'nobody',
    REGISTRATION: 'maybe',
    BRAND_COLOR: 'greenish',
    BRAND_ON_COLOR: 'whitish',
  };
  const message = refusal(wrong);
  const lines = message.split('\n').slice(1);
  expect(lines.map((line) => line.trim().split(':', 1)[0])).toEqual(Object.keys(wrong));
  for (const line of lines) expect(line).toMatch(/: expected .*\. For example: ./);
  for (const value of Object.values(wrong)) expect(message).not.toContain(value);
});

test.each([
  'http://id.example.com',
  'https://id.example.com/',
  'https://id.example.com?tenant=a',
  'https://id.example.com#a',
  'https://user@id.example.com',
  'https://ID.example.com',
  'https://id.example.com/a/../b',
  'ftp://id.example.com',
  'id.example.com',
])('%s is no issuer', (issuer) => {
  expect(refusal({ ISSUER: issuer })).toMatch(/^ {2}ISSUER: expected an https URL/m);
});

test.each([
  'https://id.example.com',
  'https://id.example.com/tenant',
  'https://id.example.com:8443',
  'http://localhost:3000',
  'http://127.0.0.1:3000',
  'http://[::1]:3000',
  'http://app.localhost:3000',
])('%s is an issuer', (issuer) => {
  expect(loadConfig({ ISSUER: issuer }).issuer).toBe(issuer);
});

test('during a rotation there are two master keys, and the first one seals', () => {
  const { masterKeys } = loadConfig({ MASTER_KEY: `${key(1)}, ${key(2)}` });
  expect(masterKeys).toEqual([Buffer.alloc(32, 1), Buffer.alloc(32, 2)]);
  expect(refusal({ MASTER_KEY: `${key(1)},` })).toContain('MASTER_KEY');
});

test('a brand has both colours or none', () => {
  expect(refusal({ BRAND_COLOR: '#125b46' })).toContain('BRAND_COLOR, BRAND_ON_COLOR');
  expect(loadConfig({ BRAND_COLOR: '#125b46', BRAND_ON_COLOR: '#ffffff' }).brand).toEqual({
    name: 'Vouchsafe',
    color: '#125b46',
    onColor: '#ffffff',
  });
});

test('a secret can come from a file; what is no secret can not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vouchsafe-config-'));
  try {
    const file = join(folder, 'value');
    writeFileSync(file, `${key(3)}\n`);
    expect(loadConfig({ MASTER_KEY_FILE: file }).masterKeys).toEqual([Buffer.alloc(32, 3)]);
    writeFileSync(file, 'postgres://user:hunter2@db/name\n');
    expect(loadConfig({ DATABASE_URL_FILE: file }).databaseUrl).toBe(
      'postgres://user:hunter2@db/name',
    );
    writeFileSync(file, '4000');
    expect(loadConfig({ PORT_FILE: file }).port).toBe(3000);

    const both = refusal({ MASTER_KEY: key(1), MASTER_KEY_FILE: file });
    expect(both).toContain('MASTER_KEY, MASTER_KEY_FILE: expected one of the two');
    expect(both).not.toContain(key(1));
    expect(refusal({ SMTP_URL_FILE: join(folder, 'nothing') })).toMatch(
      /SMTP_URL_FILE: expected the path of a file/,
    );
    writeFileSync(file, 'hunter2');
    expect(refusal({ DATABASE_URL_FILE: file })).not.toContain('hunter2');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('inside hosts that may be called are names, addresses and networks', () => {
  expect(loadConfig({}).outboundAllow).toEqual([]);
  expect(
    loadConfig({ OUTBOUND_ALLOW: 'app.internal, 10.1.2.0/24,::1 ,fd00::/8' }).outboundAllow,
  ).toEqual(['app.internal', '10.1.2.0/24', '::1', 'fd00::/8']);
});

test.each([
  '10.1.2.0/33',
  '10.1.2',
  'https://app.internal',
  'app.internal:8080',
  '*.internal',
  'app.internal,',
  'fe80::1%eth0',
  '::1/',
])('OUTBOUND_ALLOW does not take %j', (value) => {
  expect(refusal({ OUTBOUND_ALLOW: value })).toMatch(/^ {2}OUTBOUND_ALLOW: expected /m);
});
