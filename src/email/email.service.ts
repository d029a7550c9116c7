import type { Sealer } from '../lib/seal.ts';
import type { OutboxHandler, OutboxWrite } from '../outbox/outbox.ts';
import { outboxWrite } from '../outbox/outbox.service.ts';
import { type Mail, type Mailer, mailSchema, replaySchema } from './email.ts';
import { type MailBrand, renderMail } from './templates.ts';

export type { Mail } from './email.ts';

/** A mail as a row of the outbox, to be written in the commit that causes it. */
export function mailWrite(sealer: Sealer, mail: Mail): OutboxWrite {
  return outboxWrite(sealer, 'mail', mail);
}

/** What delivers rows of the kind `mail`: words and links are made when the mail leaves. */
export function createMailHandler(mailer: Mailer, brand: MailBrand): OutboxHandler {
  return async (payload, { id }) => {
    const mail = mailSchema.parse(payload);
    await mailer.send({ id, to: mail.to, ...renderMail(mail, brand) });
  };
}

/** What delivers rows in which an app asks a person for an answer; nobody is mailed where there is nobody, or it is too late. */
export function createAskMailHandler(
  mailer: Mailer,
  brand: MailBrand,
  find: (
    payload: unknown,
  ) => Promise<
    | { to: string; locale: string | undefined; app: string; token: string; until: string }
    | undefined
  >,
): OutboxHandler {
  return async (payload, { id }) => {
    const found = await find(payload);
    if (found === undefined) return;
    const mail: Mail = { template: 'asked', ...found };
    await mailer.send({ id, to: mail.to, ...renderMail(mail, brand) });
  };
}

/**
 * What delivers rows of the kind `replay_mail`, to the address that the account has now; nobody is told where the account
 * or the app is gone.
 */
export function createReplayMailHandler(
  mailer: Mailer,
  brand: MailBrand,
  find: {
    readonly account: (
      accountId: string,
    ) => Promise<{ readonly email: string; readonly locale: string | undefined } | undefined>;
    readonly app: (clientId: string) => Promise<string | undefined>;
  },
): OutboxHandler {
  return async (about, { id }) => {
    const { accountId, clientId, at } = replaySchema.parse(about);
    const [account, app] = await Promise.all([find.account(accountId), find.app(clientId)]);
    if (account === undefined || app === undefined) return;
    const { email: to, locale } = account;
    const mail: Mail = { template: 'token_replayed', to, locale, app, at };
    await mailer.send({ id, to, ...renderMail(mail, brand) });
  };
}
