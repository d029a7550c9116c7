import { once } from 'node:events';
import { createServer } from 'node:http';
import { Browser } from '../../support/browser.ts';
import { type MailServer, openMailServer } from '../../support/mail-server.ts';
import type { Person } from './pages.ts';

/**
 * The person whom backchannel requests ask (CIBA): reads the mail, opens its link, signs in, and allows or denies. The
 * suite calls it after each request, at `automated_ciba_approval_url`.
 */
export interface Approver {
  /** For SMTP_URL. */
  readonly mailUrl: string;
  /** Waits for the suite's calls. */
  listen(port: number, person: Person, beforeNext: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export async function openApprover(): Promise<Approver> {
  const mail = await openMailServer();
  const browser = new Browser();
  let answered = 0;
  const server = createServer();
  return {
    mailUrl: mail.url,
    async listen(port, person, beforeNext) {
      server.on('request', (request, response) => {
        const action = new URL(request.url ?? '/', 'http://approver').searchParams.get('action');
        const isAllowed = action === 'allow';
        answered += 1;
        answer(mail, browser, person, { isAllowed, mails: answered })
          .then(beforeNext)
          .then(
            () => response.end('{}'),
            (error: unknown) => response.writeHead(500).end(String(error)),
          );
      });
      server.listen(port);
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
  browser: Browser,
  { email, password }: Person,
  { isAllowed, mails }: { readonly isAllowed: boolean; readonly mails: number },
): Promise<void> {
  const [link = ''] = await mail.links(email, mails);
  let page = await browser.get(link);
  if (page.forms.some(({ fields }) => fields.some(([name]) => name === 'password')))
    page = await browser.submit(page, { email, password });
  page = await browser.submit(page, {}, isAllowed ? 'allow' : 'deny');
  if (page.status !== 200) throw new Error(`${page.url}: ${page.status} ${page.text}`);
}
