import type { Adapter } from 'oidc-provider';
import { randomToken } from '../../lib/hash.ts';
import { signOut } from '../../session/session.service.ts';
import { currentRoute } from './unsupported.ts';
import type { SessionRecord } from '../../unit-of-work/records.ts';
import { sessionPayload, sessionWrite } from './session-record.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/** The storage of browsers' sessions. */
export const sessionAdapter: Partial<Adapter> = {
  async find(id) {
    const session = await currentUnit().findSession(id);
    return session && !session.expired && (await hasAccount(session))
      ? sessionPayload(session, id)
      : undefined;
  },
  /** For tokens that end with their session: it answers for the families it has, each bound to it by its own row. */
  async findByUid(uid) {
    const unit = currentUnit();
    const session = await unit.findSessionByUid(uid);
    if (session === undefined || session.expired) return undefined;
    const bound = unit
      .familiesOf(uid)
      .map((family) => [family.clientId, { grantId: family.id }] as const);
    return {
      ...sessionPayload(session, `unknown_${randomToken(16)}`),
      authorizations: Object.fromEntries(bound),
    };
  },
  async upsert(id, payload) {
    const route = currentRoute();
    // Only what the form of a sign-out needs, where nobody is signed in to confirm it (signed-out.ts).
    if (route === 'end_session' && payload.accountId === undefined) return;
    const isPolled = route === 'device_resume';
    currentUnit().saveSession(sessionWrite(id, payload, currentUnit().browserSession, isPolled));
  },
  async destroy() {
    const uid = currentUnit().browserSession?.uid;
    if (uid !== undefined) currentUnit().endSession((db) => signOut(db, uid));
  },
};

/** Nobody is signed in as somebody who is disabled, whether or not the session was ended with that. */
async function hasAccount({ accountId }: SessionRecord): Promise<boolean> {
  if (accountId === undefined) return true;
  const account = await currentUnit().findAccount(accountId);
  return account !== undefined && !account.disabled;
}
