import nodemailer from 'nodemailer';
import { AppError } from '../errors.ts';
import type { Letter, Mailer } from './email.ts';

export interface SmtpOptions {
  /** smtp:// or smtps://, with user and password where the server wants them. */
  readonly url: string;
  /** The sender, as in `Example ID <id@example.com>`. */
  readonly from: string;
  /** The domain of our Message-IDs: the issuer's host. */
  readonly host: string;
}

/** Less than a worker's patience, so that it hears why. */
const TIMEOUT_MS = 10_000;

/** Sends by SMTP. Nothing of a letter can add a header, a recipient or a file. */
export class SmtpMailer implements Mailer {
  readonly #transport: ReturnType<typeof createTransport>;
  readonly #options: SmtpOptions;

  constructor(options: SmtpOptions) {
    this.#options = options;
    this.#transport = createTransport(options.url);
  }

  /** @throws AppError `undeliverable` where the address or the letter can't be taken; else the error of the connection. */
  async send({ id, to, subject, text, html }: Letter): Promise<void> {
    // A list of addresses, a display name or a line break in `to` would be read as more than one plain address.
    if (/[\p{Cc}\s,;:<>()[\]"\\]/u.test(to)) {
      throw new AppError('undeliverable', 'The address of a mail is not a plain one.');
    }
    await this.#transport.sendMail({
      from: this.#options.from,
      to: { name: '', address: to },
      subject: subject.replace(/[\p{Cc}\u2028\u2029]+/gu, ' '),
      text,
      ...(html === undefined ? {} : { html }),
      ...(id === undefined ? {} : { messageId: `<${id}@${this.#options.host}>` }),
      // RFC 3834: no "out of office" is wanted.
      headers: { 'Auto-Submitted': 'auto-generated' },
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  close(): void {
    this.#transport.close();
  }
}

function createTransport(url: string) {
  const { protocol, username, hostname } = new URL(url);
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  return nodemailer.createTransport({
    url,
    // Our password there never goes in the clear; without one, TLS is used where the server offers it.
    requireTLS: protocol === 'smtp:' && username !== '' && !isLoopback,
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    dnsTimeout: TIMEOUT_MS,
  });
}
