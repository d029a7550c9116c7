import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { DevMailbox } from '../../src/email/dev-mailbox.ts';
import { createMailHandler } from '../../src/email/email.service.ts';
import { SmtpMailer } from '../../src/email/mailer.ts';
import { createLogger } from '../../src/lib/log.ts';
import { OutboxWorker } from '../../src/outbox/worker.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createPeople, password, type People } from '../support/people.ts';

interface Received {
  readonly from: string;
  readonly to: string[];
  readonly raw: string;
}

let database: TestDatabase;
let people: People;
let received: Received[];
let servers: SMTPServer[];

beforeEach(async () => {
  database = await createTestDatabase();
  people = createPeople(database.db);
  received = [];
  servers = [];
});

afterEach(async () => {
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(resolve))));
  await database.drop();
});

/** A mail server on this machine; gives its URL. */
async function mailServer(options: Partial<SMTPServerOptions> = {}): Promise<string> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    logger: false,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
        received.push({
          from,
          to: session.envelope.rcptTo.map(({ address }) => address),
          raw: Buffer.concat(chunks).toString(),
        });
        callback();
      });
    },
    ...options,
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  return `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
}

const mailer = (url: string) =>
  new SmtpMailer({ url, from: 'Example ID <id@example.com>', host: 'id.example.com' });
const brand = { name: 'Example ID', issuer: 'https://id.example.com' };
const logger = createLogger('silent');

/** What is left of a quoted-printable body when it is read. */
const read = (raw: string) =>
  raw
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

test('a registration’s mail goes from the outbox over SMTP to the address, and its link works', async () => {
  const worker = new OutboxWorker({
    db: database.db,
    sealer: people.sealer,
    logger,
    handlers: { mail: createMailHandler(mailer(await mailServer()), brand) },
  });
  await people.registration.register({ email: 'Imani@Example.com', password }, {});
  expect(await worker.runDue()).toBe(1);
  expect(received).toHaveLength(1);
  const [{ from, to, raw }] = received as [Received];
  expect([from, to]).toEqual(['id@example.com', ['Imani@example.com']]);
  const row = await database.db.kysely.selectFrom('outbox').selectAll().executeTakeFirstOrThrow();
  expect(row).toMatchObject({ payload_sealed: null, done_at: expect.any(Date) });
  expect(raw).toContain(`Message-ID: <${row.id}@id.example.com>`);
  expect(raw).toContain('Auto-Submitted: auto-generated');
  expect(raw).toContain('Content-Type: text/plain; charset=utf-8');
  const token = /https:\/\/id\.example\.com\/verify-email\/([\w-]{43})/.exec(
    read(raw),
  )?.[1] as string;
  expect(await people.registration.verifyLink(token, {}, { password })).toMatchObject({
    status: 'verified',
  });
});

test('nothing in a letter adds a header or a recipient', async () => {
  const sender = mailer(await mailServer());
  await sender.send({
    to: 'imani@example.com',
    subject: 'Hello\r\nBcc: eve@example.org\r\n\r\nBody',
    text: 'x\r\n.\r\nMAIL FROM:<eve@example.org>\r\n',
  });
  expect(received).toHaveLength(1);
  const [{ to, raw }] = received as [Received];
  expect(to).toEqual(['imani@example.com']);
  expect(raw.slice(0, raw.indexOf('\r\n\r\n'))).not.toMatch(/^Bcc:/im);
  for (const bad of [
    'a@example.com,eve@example.org',
    'a@example.com;eve@example.org',
    'a@example.com\r\nRCPT TO:<eve@example.org>',
    'a@example.com\nBcc: eve@example.org',
    'Eve <eve@example.org>',
    'a b@example.com',
    '"a"@example.com',
    'group:a@example.com',
    '',
  ]) {
    const sending = sender.send({ to: bad, subject: 'x', text: 'x' });
    await expect(sending).rejects.toThrow(/not a plain email address|EENVELOPE/);
  }
  expect(received).toHaveLength(1);
});

test('an address and a subject outside ASCII arrive as they are', async () => {
  const sender = mailer(await mailServer());
  await sender.send({ to: 'imani@bücher.example', subject: 'Bestätige — ✓', text: 'Grüße ✓' });
  const [{ to, raw }] = received as [Received];
  // The server of this test writes domains out; on the wire they are ASCII.
  expect(to).toEqual(['imani@bücher.example']);
  expect(raw).toContain('To: imani@xn--bcher-kva.example');
  expect(raw).toMatch(/Subject: =\?UTF-8\?/);
});

test('a server that refuses, or is not there, leaves the mail in the outbox for later', async () => {
  let isFull = true;
  const url = await mailServer({
    onRcptTo(_address, _session, callback) {
      callback(
        isFull
          ? Object.assign(new Error('Mailbox of imani@example.com is full'), { responseCode: 452 })
          : null,
      );
    },
  });
  const worker = new OutboxWorker({
    db: database.db,
    sealer: people.sealer,
    logger,
    handlers: { mail: createMailHandler(mailer(url), brand) },
  });
  await people.registration.register({ email: 'imani@example.com', password }, {});
  await worker.runDue();
  const row = () => database.db.kysely.selectFrom('outbox').selectAll().executeTakeFirstOrThrow();
  expect(await row()).toMatchObject({
    done_at: null,
    attempts: 1,
    last_error: expect.stringContaining('452'),
  });
  expect((await row()).last_error).not.toContain('imani');
  isFull = false;
  await database.db.kysely.updateTable('outbox').set({ due_at: new Date() }).execute();
  await worker.runDue();
  expect(await row()).toMatchObject({ done_at: expect.any(Date), attempts: 2 });
  expect(received).toHaveLength(1);
  await expect(
    mailer('smtp://127.0.0.1:1').send({ to: 'a@example.com', subject: 'x', text: 'x' }),
  ).rejects.toMatchObject({ code: 'mail_not_taken', host: '127.0.0.1:1', detail: 'ECONNREFUSED' });
});

describe('25: what a mail server refuses', () => {
  const refuse = (responseCode: number, message: string) =>
    Object.assign(new Error(message), { responseCode });
  const outcome = async (options: Partial<SMTPServerOptions>) => {
    const url = await mailServer(options);
    const lines: string[] = [];
    const worker = new OutboxWorker({
      db: database.db,
      sealer: people.sealer,
      logger: createLogger('warn', { write: (line: string) => void lines.push(line) }),
      handlers: { mail: createMailHandler(mailer(url), brand) },
    });
    await people.registration.register({ email: 'imani@example.com', password }, {});
    await worker.runDue();
    const row = await database.db.kysely
      .selectFrom('outbox')
      .selectAll()
      .orderBy('created_at', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow();
    const host = new URL(url).host;
    expect(lines).toHaveLength(1);
    // The log says what the row says, and neither says to whom or what the server wrote.
    expect(JSON.parse(lines[0] as string)).toMatchObject({ error: row.last_error });
    expect(`${lines[0]}${row.last_error}`).not.toMatch(/imani|no such/i);
    return { dead: row.dead_at !== null, error: row.last_error?.replace(host, 'HOST') };
  };

  test.each([
    [550, '5.1.1 no such user imani@example.com', 'undeliverable HOST 550 5.1.1 to RCPT TO'],
    [553, 'no such mailbox <imani@example.com>', 'undeliverable HOST 553 to RCPT TO'],
    [521, '5.1.10 no such domain', 'undeliverable HOST 521 5.1.10 to RCPT TO'],
  ])('for good (%i to the recipient) is not tried again', async (code, message, error) => {
    expect(
      await outcome({ onRcptTo: (_to, _session, done) => done(refuse(code, message)) }),
    ).toEqual({ dead: true, error });
  });

  test('for good after the content is not tried again', async () => {
    const answer = await outcome({
      onData(stream, _session, done) {
        stream.resume();
        stream.on('end', () => done(refuse(554, '5.6.0 no such content')));
      },
    });
    expect(answer).toEqual({ dead: true, error: 'undeliverable HOST 554 5.6.0 to DATA' });
  });

  test.each([
    ['for now', 451, '4.7.1 try later', 'mail_not_taken HOST 451 4.7.1 to RCPT TO'],
    ['for want of credentials', 530, '5.7.0 log in', 'mail_not_taken HOST 530 5.7.0 to RCPT TO'],
  ])('%s is tried again (%i)', async (_why, code, message, error) => {
    expect(
      await outcome({ onRcptTo: (_to, _session, done) => done(refuse(code, message)) }),
    ).toEqual({ dead: false, error });
  });

  test('because of our sender is tried again: an operator can change it', async () => {
    expect(
      await outcome({ onMailFrom: (_from, _session, done) => done(refuse(553, '5.7.1 not you')) }),
    ).toEqual({ dead: false, error: 'mail_not_taken HOST 553 5.7.1 to MAIL FROM' });
  });
});

test('a password for a mail server elsewhere is not sent in the clear', async () => {
  const said: string[] = [];
  const url = new URL(
    await mailServer({
      allowInsecureAuth: true,
      onAuth(auth, _session, callback) {
        said.push(String(auth.password));
        callback(null, { user: auth.username ?? '' });
      },
    }),
  );
  url.username = 'user';
  url.password = 'secret';
  const letter = { to: 'imani@example.com', subject: 'x', text: 'x' };
  await mailer(url.href).send(letter);
  expect(said).toEqual(['secret']);
  // This machine by an address that does not say so.
  url.hostname = '[::ffff:127.0.0.1]';
  await expect(mailer(url.href).send(letter)).rejects.toMatchObject({ detail: '500 to STARTTLS' });
  expect(said).toEqual(['secret']);
});

test('the mailbox of a server without mail keeps the last hundred, the newest first', async () => {
  const mailbox = new DevMailbox();
  const worker = new OutboxWorker({
    db: database.db,
    sealer: people.sealer,
    logger,
    handlers: { mail: createMailHandler(mailbox, brand) },
  });
  await people.registration.register({ email: 'imani@example.com', password }, {});
  await worker.runDue();
  expect(mailbox.list()).toMatchObject([
    {
      to: 'imani@example.com',
      subject: 'Confirm your email address for Example ID',
      text: expect.stringContaining('/verify-email/'),
      at: expect.any(Date),
    },
  ]);
  for (let i = 0; i < 150; i++)
    await mailbox.send({ to: `p${i}@example.com`, subject: 'x', text: 'x' });
  expect(mailbox.list()).toHaveLength(100);
  expect(mailbox.list()[0]?.to).toBe('p149@example.com');
});
