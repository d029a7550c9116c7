import { z } from 'zod';

/** The kind of outbox row by which a client is told that its part in a session has ended. */
export const LOGOUT = 'backchannel_logout';

/** What such a row says: it lies in the outbox, so that what is here never changes its meaning. */
export const clientLogoutSchema = z.object({
  clientId: z.string(),
  accountId: z.string(),
  /** What the client knows the session by. */
  sid: z.string(),
});
export type ClientLogout = z.output<typeof clientLogoutSchema>;
