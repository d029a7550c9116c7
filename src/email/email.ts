import { z } from 'zod';

const to = z.string();
/** Of the person, as a BCP 47 tag; rows of an older release have none. */
const locale = z.string().optional();
const at = z.iso.datetime();

/**
 * The mails there are, and what each must be told. It is what lies sealed in the outbox: mails that an older release
 * wrote are still sent by the next one, so what is here may grow and never changes its meaning.
 */
export const mailSchema = z.discriminatedUnion('template', [
  /** Proof that an address is the person's: a link for this device or another, and a code of eight digits. */
  z.object({
    template: z.literal('verify_email'),
    to,
    locale,
    token: z.string(),
    code: z.string(),
  }),
  /** Somebody wanted to create an account with an address that has one. */
  z.object({ template: z.literal('registration_attempt'), to, locale }),
  z.object({ template: z.literal('second_factor_added'), to, locale, device: z.string(), at }),
  z.object({ template: z.literal('second_factor_reset'), to, locale, at }),
  /** `replaced`: there were codes before, which no longer work; rows of an older release don't say. */
  z.object({
    template: z.literal('recovery_codes_regenerated'),
    to,
    locale,
    at,
    replaced: z.boolean().optional(),
  }),
  z.object({ template: z.literal('administrator_created'), to, locale }),
  /** An app asks the person for an answer (CIBA): a link that lives until `until`. */
  z.object({
    template: z.literal('asked'),
    to,
    locale,
    app: z.string(),
    token: z.string(),
    until: at,
  }),
  /** A code or a refresh token of an app was used again, so that the app was signed out. */
  z.object({ template: z.literal('token_replayed'), to, locale, app: z.string(), at }),
]);
export type Mail = z.output<typeof mailSchema>;

/** The kind of outbox row that becomes a mail about a replay; it holds ids, and what they mean is looked up on sending. */
export const REPLAY_MAIL = 'replay_mail';

const replays = ['code_replayed', 'refresh_token_replayed'] as const;

/** Whether a family that ended for this reason is told of to its account's owner. */
export function isReplay(reason: string): boolean {
  return (replays as readonly string[]).includes(reason);
}

/** What such a row says; like that of other mails it may grow, and never changes its meaning. */
export const replaySchema = z.object({
  accountId: z.string(),
  clientId: z.string(),
  reason: z.enum(replays),
  at,
});

/** A mail as it is sent: plain text, unless there is HTML besides. */
export interface Letter {
  /** Of the outbox row: the same mail sent twice can be told by its Message-ID. */
  readonly id?: string | undefined;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html?: string | undefined;
}

/** Where letters go. */
export interface Mailer {
  /** Hands the letter over; when it is done, somebody else answers for it. */
  send(letter: Letter): Promise<void>;
}
