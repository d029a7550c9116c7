import { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { Sealer } from '../../lib/seal.ts';
import type { OutboxWrite } from '../../outbox/outbox.ts';
import { outboxWrite } from '../../outbox/outbox.service.ts';
import { prepared } from '../../unit-of-work/statement.ts';

/** The kind of outbox row that becomes the mail in which a person is asked for an answer. */
export const ASK_MAIL = 'ask_mail';

const askSchema = z.object({ requestId: z.string(), link: z.string() });

/** The mail as a row of the outbox: to whom it goes, if to anybody, is looked up when it leaves. */
export function askMail(sealer: Sealer, ask: z.output<typeof askSchema>): OutboxWrite {
  return outboxWrite(sealer, ASK_MAIL, ask);
}

const readAsked = prepared(`select a.email, a.locale, c.name as app, r.expires_at
  from polled_requests r
  join clients c on c.id = r.client_id and c.disabled_at is null
  join accounts a on a.id = r.account_id and a.disabled_at is null and a.email_verified_at is not null
  where r.id = $1 and r.state = 'pending' and r.expires_at > now()`);

/** Who is to be mailed what; undefined where there is nobody, or it is too late. */
export function createAskFinder(db: Database) {
  return async (
    payload: unknown,
  ): Promise<
    | { to: string; locale: string | undefined; app: string; token: string; until: string }
    | undefined
  > => {
    const { requestId, link } = askSchema.parse(payload);
    const [row] = await db.run<{
      email: string;
      locale: string | null;
      app: string;
      expires_at: Date;
    }>(readAsked(requestId));
    return (
      row && {
        to: row.email,
        locale: row.locale ?? undefined,
        app: row.app,
        token: link,
        until: row.expires_at.toISOString(),
      }
    );
  };
}
