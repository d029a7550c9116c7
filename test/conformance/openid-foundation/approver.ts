import { once } from 'node:events';
import { createServer } from 'node:http';
import { Browser } from '../../support/browser.ts';
import { type MailServer, openMailServer } from '../../support/mail-server.ts';
import type { Person } from './pages.ts';

/**
 * The user of backchannel requests (CIBA): opens the link in the newest email, signs in, and allows or denies. The suite
 * calls this after each request that needs an answer, at `automated_ciba_approval_url`.
 */
export interface Approver {
  /** For SMTP_URL. */
  readonly mailUrl: string;
  /**
   * Waits for the suite's calls.
   * @param beforeEach resolves when every email about earlier requests has been sent: modules also make requests that
   *   nobody answers, so only then is the newest email about the request that the suite means.
   */
  listen(port: number, person: Person, beforeEach: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export async function openApprover(): Promise<Approver> {
  const mail = await openMailServer();
  const server = createServer();
  return {
    mailUrl: mail.url,
    async listen(port, person, beforeEach) {
      server.on('request', (request, response) => {
        const action = new URL(request.url ?? '/', 'http://approver').searchParams.get('action');
        beforeEach()
          .then(() => answer(mail, person, action === 'allow' ? 'allow' : 'deny'))
          .then(
            () => response.end('{}'),
            (error: unknown) => response.writeHead(500).end(String(error)),
          );
      });
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await mail.close();
    },
  };
}

async function answer(
  mail: MailServer,
  { email, password }: Person,
  decision: 'allow' | 'deny',
): Promise<void> {
  // The user gets other emails too, for example when a code is used twice.
  const link = (await mail.links(email)).find((one) => new URL(one).pathname.includes('/asked/'));
  if (link === undefined) throw new Error('there is no email about a request');
  const browser = new Browser();
  let page = await browser.get(link);
  if (page.forms.some(({ fields }) => fields.some(([name]) => name === 'password')))
    page = await browser.submit(page, { email, password });
  page = await browser.submit(page, {}, decision);
  if (page.status !== 200) throw new Error(`${page.url}: ${page.status} ${page.text}`);
}
