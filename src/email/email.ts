import { z } from 'zod';

const to = z.string();
const at = z.iso.datetime();

/**
 * The mails there are, and what each must be told. It is what lies sealed in the outbox: mails that an older release
 * wrote are still sent by the next one, so what is here may grow and never changes its meaning.
 */
export const mailSchema = z.discriminatedUnion('template', [
  /** Proof that an address is the person's: a link for this device or another, and a code of eight digits. */
  z.object({ template: z.literal('verify_email'), to, token: z.string(), code: z.string() }),
  /** Somebody wanted to create an account with an address that has one. */
  z.object({ template: z.literal('registration_attempt'), to }),
  z.object({ template: z.literal('second_factor_added'), to, device: z.string(), at }),
  z.object({ template: z.literal('second_factor_reset'), to, at }),
  z.object({ template: z.literal('recovery_codes_regenerated'), to, at }),
  z.object({ template: z.literal('administrator_created'), to }),
]);
export type Mail = z.output<typeof mailSchema>;

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
