import type { Sealer } from '../lib/seal.ts';
import type { OutboxHandler, OutboxWrite } from '../outbox/outbox.ts';
import { outboxWrite } from '../outbox/outbox.service.ts';
import { type Mail, type Mailer, mailSchema } from './email.ts';
import { type House, renderMail } from './templates.ts';

export type { Mail } from './email.ts';

/** A mail as a row of the outbox, to be written in the commit that causes it. */
export function mailWrite(sealer: Sealer, mail: Mail): OutboxWrite {
  return outboxWrite(sealer, 'mail', mail);
}

/** What delivers rows of the kind `mail`: words and links are made when the mail leaves. */
export function createMailHandler(mailer: Mailer, house: House): OutboxHandler {
  return async (payload, { id }) => {
    const mail = mailSchema.parse(payload);
    await mailer.send({ id, to: mail.to, ...renderMail(mail, house) });
  };
}
