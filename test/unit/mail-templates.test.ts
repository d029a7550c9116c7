import { describe, expect, test } from '@jest/globals';
import type { Mail } from '../../src/email/email.ts';
import { mailSchema } from '../../src/email/email.ts';
import { renderMail } from '../../src/email/templates.ts';

const brand = { name: 'Example ID', issuer: 'https://id.example.com/auth' };
const at = '2026-03-04T05:06:07.000Z';
const to = 'imani@example.com';

const mails: Mail[] = [
  { template: 'verify_email', to, token: 'tok-en_1', code: '01234567' },
  { template: 'registration_attempt', to },
  { template: 'second_factor_added', to, device: 'My phone', at },
  { template: 'second_factor_reset', to, at },
  { template: 'recovery_codes_regenerated', to, at },
  { template: 'recovery_codes_regenerated', to, at, replaced: false },
  { template: 'recovery_codes_regenerated', to, at, replaced: true },
  { template: 'administrator_created', to },
  { template: 'token_replayed', to, app: 'Quillet', at },
];

describe.each(mails)('$template $replaced', (mail) => {
  const { subject, text } = renderMail(mail, brand);
  const german = renderMail({ ...mail, locale: 'de-AT' }, brand);

  test('says the same in German', () => {
    expect(german.text).toMatch(/^Guten Tag,\n\n[\s\S]+\n\nExample ID\n$/);
    expect(german.subject).not.toBe(subject);
    const facts = (of: string) => of.match(/https?:\/\/\S+|\d{4} \d{4}|My phone|Quillet/g);
    expect(facts(german.text)).toEqual(facts(text));
    expect(german.text.split('\n\n').length).toBe(text.split('\n\n').length);
    expect(german.text).not.toMatch(/undefined|\[object|NaN|\b(you|your|the)\b/i);
    if ('at' in mail) expect(german.text).toContain('4. März 2026 um 05:06 Uhr (UTC)');
  });

  test('says whose mail it is, and links to the issuer alone', () => {
    expect(subject).toContain('Example ID');
    expect(text).toMatch(/^Hello,\n\n[\s\S]+\n\nExample ID\n$/);
    for (const [link] of text.matchAll(/https?:\/\/\S+/g))
      expect(link).toMatch(/^https:\/\/id\.example\.com\/auth\//);
    expect(text).not.toMatch(/undefined|\[object|NaN/);
  });

  test('lies in the outbox in a form that the schema reads', () => {
    expect(mailSchema.parse(JSON.parse(JSON.stringify(mail)))).toEqual(mail);
  });
});

test.each(['en', 'de'])('34: emails say and advise only what is so (%s)', (locale) => {
  const text = (mail: object) => renderMail({ to, locale, at, ...mail } as Mail, brand).text;
  const earlier = locale === 'de' ? /früheren gelten nicht mehr/ : /earlier ones no longer work/;
  const codes = { template: 'recovery_codes_regenerated' };
  expect(text({ ...codes, replaced: true })).toMatch(earlier);
  expect(text({ ...codes, replaced: false })).not.toMatch(/earlier|früher/i);
  // There is no page to change a password on: the team can help.
  for (const mail of [
    codes,
    { template: 'second_factor_added', device: 'Phone' },
    { template: 'second_factor_reset' },
  ])
    expect(text(mail)).not.toMatch(/change (it|your password)|ändern Sie/);
  expect(text(codes)).toMatch(/team behind Example ID|Team von Example ID/);
});

test('the mail for a new address has the link on a line of its own, and the code in groups', () => {
  const { text } = renderMail(mails[0] as Mail, brand);
  expect(text.split('\n')).toContain('https://id.example.com/auth/verify-email/tok-en_1');
  expect(text).toContain('0123 4567');
});

test('the mail for an address that has an account holds no link that does anything', () => {
  const { text } = renderMail(mails[1] as Mail, brand);
  expect(text).not.toMatch(/verify-email|token|code/i);
});

test('a name can start neither a line nor a header', () => {
  const device = 'Phone\r\nhttps://evil.example\u2028x';
  const { text, subject } = renderMail(
    { template: 'second_factor_added', to, device, at },
    { ...brand, name: 'A\r\nBcc: eve@example.org' },
  );
  expect(text).toContain('“Phone https://evil.example x”');
  expect(subject).not.toMatch(/[\r\n]/);
});
