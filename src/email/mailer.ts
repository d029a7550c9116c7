import nodemailer from 'nodemailer';
import { DeliveryFailed } from '../outbox/outbox.ts';
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
  /** Host and port. */
  readonly #server: string;

  constructor(options: SmtpOptions) {
    this.#options = options;
    this.#server = new URL(options.url).host;
    this.#transport = createTransport(options.url);
  }

  /**
   * @throws DeliveryFailed with the mail server and its code: `undeliverable` where it refuses this recipient or this
   * content for good, `mail_not_taken` where another attempt may succeed.
   */
  async send({ id, to, subject, text, html }: Letter): Promise<void> {
    // A list of addresses, a display name or a line break in `to` would be read as more than one plain address.
    if (/[\p{Cc}\s,;:<>()[\]"\\]/u.test(to)) {
      throw new DeliveryFailed('undeliverable', this.#server, 'not a plain email address');
    }
    const message = {
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
    };
    try {
      await this.#transport.sendMail(message);
    } catch (error) {
      throw failure(error as SmtpError, this.#server);
    }
  }

  close(): void {
    this.#transport.close();
  }
}

/** What nodemailer tells of a failure; its message holds the server's text, and with it email addresses. */
interface SmtpError extends Error {
  readonly code?: string;
  /** The system's code, where the connection failed. */
  readonly originalCode?: string;
  readonly command?: string;
  readonly responseCode?: number;
  readonly response?: string;
}

/**
 * A 5xx answer to the recipient or the content is about this mail, and final (RFC 5321, 4.2.1). One to the connection,
 * the credentials or the sender is about our settings, and an operator can change them before the next attempt.
 */
function failure(error: SmtpError, server: string): DeliveryFailed {
  const { code, originalCode, command, responseCode, response } = error;
  if (responseCode === undefined) {
    // No server was asked: the recipient can't be written on the wire, or the mail is larger than the server takes.
    const isRefused =
      code === 'EMESSAGE' || /^(No recipients|Invalid recipient)/.test(error.message);
    const outcome = isRefused ? 'undeliverable' : 'mail_not_taken';
    return new DeliveryFailed(outcome, server, originalCode ?? code ?? error.name, error);
  }
  // RFC 3463: the enhanced code follows the code.
  const enhanced = /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(response ?? '')?.[1];
  const step = /^(RCPT TO|DATA|MAIL FROM|AUTH|EHLO|HELO|STARTTLS|CONN)/.exec(command ?? '')?.[0];
  const detail = [responseCode, enhanced, step === undefined ? undefined : `to ${step}`];
  // 530 asks for credentials or TLS, whatever command it answers.
  const isFinal =
    responseCode >= 500 && responseCode !== 530 && (step === 'RCPT TO' || step === 'DATA');
  return new DeliveryFailed(
    isFinal ? 'undeliverable' : 'mail_not_taken',
    server,
    detail.filter((part) => part !== undefined).join(' '),
    error,
  );
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
