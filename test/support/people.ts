import { randomBytes } from 'node:crypto';
import { AccountService } from '../../src/account/account.service.ts';
import { Limits } from '../../src/account/limits.service.ts';
import { Passwords } from '../../src/account/passwords.service.ts';
import { RegistrationService } from '../../src/account/registration.service.ts';
import { SetupService } from '../../src/account/setup.service.ts';
import { AuthenticatorService } from '../../src/authenticator/authenticator.service.ts';
import type { Database } from '../../src/db/database.ts';
import { type Mail, mailSchema } from '../../src/email/email.ts';
import { randomToken, sha256 } from '../../src/lib/hash.ts';
import { Sealer } from '../../src/lib/seal.ts';

export const password = 'vellum otter quince 47';

/** The codes with which some of many failed, each once. */
export function refusals(results: readonly PromiseSettledResult<unknown>[]): unknown[] {
  const codes = results.flatMap((result) =>
    result.status === 'rejected'
      ? [(result.reason as { code?: unknown }).code ?? result.reason]
      : [],
  );
  return [...new Set(codes)];
}

/** The domain services around people, as the composition root makes them. */
export function createPeople(db: Database, figures: ConstructorParameters<typeof Limits>[2] = {}) {
  const sealer = new Sealer([randomBytes(32)]);
  const passwords = new Passwords();
  const accounts = new AccountService(db, passwords, sealer, {
    requireSecondFactor: 'administrators',
    brandName: 'Example ID',
  });
  return {
    sealer,
    passwords,
    accounts,
    registration: new RegistrationService(db, accounts, passwords, sealer),
    setup: new SetupService(db, accounts, passwords),
    authenticators: new AuthenticatorService(db, accounts, sealer),
    limits: new Limits(db, sealer, figures),
    /** The mails that wait to be sent to an address, the oldest first. */
    async mails(to: string): Promise<Mail[]> {
      const rows = await db.kysely
        .selectFrom('outbox')
        .selectAll()
        .where('kind', '=', 'mail')
        .orderBy('created_at')
        .execute();
      return rows
        .filter((row) => row.payload_sealed !== null)
        .map((row) =>
          mailSchema.parse(
            JSON.parse(sealer.open(row.payload_sealed as Buffer, `outbox:${row.id}`).toString()),
          ),
        )
        .filter((mail) => mail.to === to);
    },
    /** An account with a session and a token family, to see what ends them. */
    async signedIn(email: string): Promise<{ id: string; sessionUid: string; grantId: string }> {
      const { id } = await accounts.create(
        { email, password, verified: true, admin: false },
        'test',
      );
      const clientId = `c_${randomToken(8)}`;
      const sessionUid = randomToken(8);
      const grantId = randomToken(8);
      const soon = new Date(Date.now() + 3_600_000);
      await db.kysely
        .insertInto('clients')
        .values({
          id: clientId,
          name: 'App',
          type: 'web',
          metadata: '{}',
          resource_server_id: null,
          developer: null,
          tokens_since: null,
          disabled_at: null,
        })
        .execute();
      await db.kysely
        .insertInto('sessions')
        .values({
          uid: sessionUid,
          id_hash: sha256(sessionUid),
          previous_id_hash: null,
          previous_until: null,
          account_id: id,
          payload: '{}',
          expires_at: soon,
          ended_at: null,
        })
        .execute();
      await db.kysely
        .insertInto('grants')
        .values({
          id: grantId,
          account_id: id,
          client_id: clientId,
          session_uid: sessionUid,
          consent_version: null,
          payload: '{}',
          offline: true,
          key_id: 'k',
          expires_at: soon,
          revoked_at: null,
          revoked_reason: null,
        })
        .execute();
      return { id, sessionUid, grantId };
    },
    /** Whether the session and the family of `signedIn` have ended. */
    async ended({ sessionUid, grantId }: { sessionUid: string; grantId: string }) {
      const session = await db.kysely
        .selectFrom('sessions')
        .select('ended_at')
        .where('uid', '=', sessionUid)
        .executeTakeFirstOrThrow();
      const grant = await db.kysely
        .selectFrom('grants')
        .select(['revoked_at', 'revoked_reason'])
        .where('id', '=', grantId)
        .executeTakeFirstOrThrow();
      return {
        session: session.ended_at !== null,
        family: grant.revoked_at !== null,
        reason: grant.revoked_reason,
      };
    },
    /** What the audit holds of an account, the oldest first. */
    async audit(accountId: string) {
      const rows = await db.kysely
        .selectFrom('audit_events')
        .selectAll()
        .where('account_id', '=', accountId)
        .orderBy('at')
        .execute();
      return rows.map((row) => ({
        type: row.type,
        outcome: row.outcome,
        actor: row.actor,
        reason: row.reason,
        data: row.data,
      }));
    },
  };
}

export type People = ReturnType<typeof createPeople>;

/** How many recovery codes of the account are still good. */
export async function unusedCodes(db: Database, accountId: string): Promise<number> {
  const rows = await db.kysely
    .selectFrom('recovery_codes')
    .select('code_hash')
    .where('account_id', '=', accountId)
    .where('used_at', 'is', null)
    .execute();
  return rows.length;
}
