import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { until } from './process.ts';

/** A mail server on this machine, which takes whatever comes. */
export interface MailServer {
  /** For SMTP_URL. */
  readonly url: string;
  /** The links in the mails to an address, the newest first; waits until there are so many. */
  links(to: string, atLeast?: number): Promise<string[]>;
  close(): Promise<void>;
}

/** What is left of a quoted-printable body when it is read. */
const read = (raw: string) =>
  raw
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

export async function openMailServer(): Promise<MailServer> {
  const received: { readonly to: readonly string[]; readonly links: readonly string[] }[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    logger: false,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const to = session.envelope.rcptTo.map(({ address }) => address);
        const mail = read(Buffer.concat(chunks).toString());
        received.unshift({ to, links: mail.match(/https:\/\/[^\s"<>]+/g) ?? [] });
        callback();
      });
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  return {
    url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    async links(to, atLeast = 1) {
      const found = () =>
        received.flatMap((mail) => (mail.to.includes(to) ? [mail.links[0] ?? ''] : []));
      await until(() => found().length >= atLeast);
      return found();
    },
    close: () => new Promise<void>((resolve) => server.close(resolve)),
  };
}
