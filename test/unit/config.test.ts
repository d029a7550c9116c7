import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config.ts';
import { findUnreadVariables } from '../../src/config-names.ts';
import { AppError } from '../../src/errors.ts';
import { COOKIE_LIFE, HINT_LIFE, LONGEST_TOKEN } from '../../src/keys/keys.ts';
import { lifetimeBounds } from '../../src/lifetimes.ts';
import { type Brand, brandStylesheet } from '../../src/pages/brand.ts';

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
    hosts: ['127.0.0.1', '::1'],
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
    hosts: ['::'],
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

describe('26: settings', () => {
  test.each([
    ['#125b46', '#ffffff'],
    ['#ffd400', '#000000'],
    ['#000000', '#ffffff'],
    ['#ffffff', '#000000'],
    ['#777777', '#000000'],
  ])('BRAND_COLOR alone works: text on %s is %s', (brand, onBrand) => {
    const { colors } = loadConfig({ BRAND_COLOR: brand }).brand;
    expect(colors).toEqual({ brand, onBrand });
    expect(brandStylesheet(colors as Brand)).toContain(`--on-brand:${onBrand}`);
  });

  test('a colour of text needs a colour below it, on which it can be read', () => {
    expect(loadConfig({}).brand).toEqual({ name: 'Vouchsafe', colors: undefined });
    expect(loadConfig({ BRAND_COLOR: '#125b46', BRAND_ON_COLOR: '#ffff00' }).brand.colors).toEqual({
      brand: '#125b46',
      onBrand: '#ffff00',
    });
    expect(refusal({ BRAND_ON_COLOR: '#125b46' })).toContain('together with BRAND_COLOR');
    expect(refusal({ BRAND_COLOR: '#ffd400', BRAND_ON_COLOR: '#ffffff' })).toMatch(
      /BRAND_ON_COLOR: .*1\.4\d:1/,
    );
  });

  test('a loopback issuer is served on IPv4 and IPv6, unless HOST says where', () => {
    for (const issuer of ['http://localhost:3000', 'http://127.0.0.1:3000', 'http://[::1]:3000'])
      expect(loadConfig({ ISSUER: issuer }).hosts).toEqual(['127.0.0.1', '::1']);
    expect(loadConfig({ HOST: '127.0.0.1' }).hosts).toEqual(['127.0.0.1']);
  });

  test('lifetimes are settings in seconds, each within its bounds', () => {
    expect(loadConfig({}).lifetimes).toEqual({
      code: 60,
      accessToken: 3_600,
      idToken: 3_600,
      refreshToken: 1_209_600,
      sessionIdle: 1_209_600,
      sessionAbsolute: 2_592_000,
    });
    for (const [name, low, high] of [
      ['CODE_TTL', 9, 601],
      ['ACCESS_TOKEN_TTL', 59, 86_401],
      ['ID_TOKEN_TTL', 59, 86_401],
      ['REFRESH_TOKEN_TTL', 299, 31_536_001],
      ['SESSION_IDLE_TTL', 299, 7_776_001],
      ['SESSION_ABSOLUTE_TTL', 299, 7_776_001],
    ] as const) {
      for (const value of [low, high, 'soon', '1.5', '-60'])
        expect(refusal({ [name]: String(value) })).toMatch(
          new RegExp(`^ {2}${name}: expected seconds, \\d+ to \\d+`, 'm'),
        );
      const rest = name === 'SESSION_IDLE_TTL' ? { SESSION_ABSOLUTE_TTL: '7776000' } : {};
      const idle = name === 'SESSION_ABSOLUTE_TTL' ? { SESSION_IDLE_TTL: '300' } : {};
      for (const value of [low + 1, high - 1])
        expect(
          Object.values(loadConfig({ ...rest, ...idle, [name]: String(value) }).lifetimes),
        ).toContain(value);
    }
    expect(refusal({ SESSION_ABSOLUTE_TTL: '600' })).toContain(
      'SESSION_IDLE_TTL: expected no more than SESSION_ABSOLUTE_TTL, which is 600',
    );
  });

  test('keys are kept for as long as the longest lifetime that can be set', () => {
    expect(LONGEST_TOKEN).toBeGreaterThan(lifetimeBounds.accessToken.max);
    expect(LONGEST_TOKEN).toBeGreaterThan(lifetimeBounds.idToken.max);
    expect(HINT_LIFE).toBeGreaterThan(lifetimeBounds.sessionAbsolute.max);
    expect(COOKIE_LIFE).toBeGreaterThan(lifetimeBounds.sessionAbsolute.max);
  });

  test.each([
    ['ISUER', 'ISSUER'],
    ['ISSEUR', 'ISSUER'],
    ['issuer', 'ISSUER'],
    ['DATABSE_URL', 'DATABASE_URL'],
    ['DATABASE_UR', 'DATABASE_URL'],
    ['DATABASEURL', 'DATABASE_URL'],
    ['MASTERKEY_FILE', 'MASTER_KEY_FILE'],
    ['MASTER_KEYS', 'MASTER_KEY'],
    ['SMPT_URL', 'SMTP_URL'],
    ['TRUST_PROXYS', 'TRUST_PROXY'],
    ['PROT', 'PORT'],
    ['HOSTT', 'HOST'],
    ['LOGLEVEL', 'LOG_LEVEL'],
  ])('%s, which is near ours, gives a warning that names %s and no value', (name, meant) => {
    const { warnings } = loadConfig({ [name]: 'hunter2' });
    expect(warnings).toEqual([`${name} is not read. Did you mean ${meant}?`]);
  });

  test('names of others, empty variables and our own give none; a file for what is no secret does', () => {
    const others = {
      HOME: '/root',
      PATH: '/bin',
      HOSTNAME: 'a',
      USER: 'b',
      PGHOST: 'c',
      PWD: '/',
      SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt',
      SSL_CERT_DIR: '/etc/ssl/certs',
    };
    expect(
      loadConfig({ ...others, ISUER: '', PORT: '1', TERM: 'xterm', LANG: 'C' }).warnings,
    ).toEqual([]);
    expect(loadConfig({ ISSUER_FILE: '/run/issuer' }).warnings).toEqual([
      'ISSUER_FILE is not read: only secrets come from files. Set ISSUER.',
    ]);
  });

  test('the name of an earlier release gives a warning that says what took its place', () => {
    const known = [{ name: 'MAIL_FROM', secret: false }];
    expect(findUnreadVariables({ SENDER: 'x' }, known, { SENDER: 'set MAIL_FROM.' })).toEqual([
      'SENDER is no longer read: set MAIL_FROM.',
    ]);
    expect(findUnreadVariables({ MAIL_FROM: 'x' }, known, { SENDER: 'set MAIL_FROM.' })).toEqual(
      [],
    );
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
