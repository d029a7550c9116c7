import type { AdapterPayload } from 'oidc-provider';
import { epochSeconds, fromEpoch } from '../../lib/time.ts';
import { isConsoleClient } from '../console-clients.ts';
import { judgedExp } from './expiry.ts';
import type { Payload, SessionClientRecord, SessionRecord } from '../../unit-of-work/records.ts';

/** Between the engine's sessions and our rows. */

interface Login {
  readonly loginTs?: number | undefined;
  readonly acr?: string | undefined;
  readonly amr?: readonly string[] | undefined;
}

/** The engine's payload of a session, under the id by which it was found. */
export function sessionPayload(session: SessionRecord, id: string): AdapterPayload {
  return {
    ...session.payload,
    jti: id,
    kind: 'Session',
    uid: session.uid,
    ...(session.accountId === undefined ? {} : { accountId: session.accountId }),
    iat: epochSeconds(session.createdAt),
    exp: judgedExp(epochSeconds(session.expiresAt), session.expired),
    authorizations: Object.fromEntries(
      Object.entries(session.clients).map(([clientId, one]) => [clientId, { ...one }]),
    ),
  };
}

/**
 * What the engine's payload changes of the session that the request has read.
 * @param isPolled the request answers a program that polls (polled-requests.ts).
 */
export function sessionWrite(
  id: string,
  payload: AdapterPayload,
  browserSession: SessionRecord | undefined,
  isPolled: boolean,
) {
  const loaded = browserSession?.uid === payload.uid ? browserSession : undefined;
  const { accountId, loginTs, acr, amr, transient, state } = payload as Payload &
    Login & { accountId?: string };
  const given = (payload.authorizations ?? {}) as Record<string, Partial<SessionClientRecord>>;
  const before = loaded?.clients ?? {};
  const changed = Object.entries(isPolled ? withFamiliesOf(before, given) : given).filter(
    ([clientId, one]) => {
      const known = before[clientId];
      // The consoles are in no table, and nothing is ever told to them of the session.
      if (isConsoleClient(clientId)) return false;
      return (
        one.sid !== undefined &&
        !(known && known.grantId === one.grantId && known.persistsLogout === one.persistsLogout)
      );
    },
  ) as [string, SessionClientRecord][];
  return {
    uid: payload.uid as string,
    exists: loaded !== undefined,
    readOnly: loaded?.byPreviousId ?? false,
    signIn: isSignIn(accountId, { loginTs, acr, amr }, loaded),
    loadedIdHash: loaded?.idHash ?? Buffer.alloc(0),
    id,
    accountId,
    payload: { loginTs, acr, amr, transient, state },
    expiresAt: fromEpoch(payload.exp as number),
    clients: Object.fromEntries(changed),
    removedClients: Object.keys(before).filter((clientId) => !(clientId in given)),
  };
}

/**
 * The engine notes what a program gets that polls as what the session gives its client. It is the program's alone: what the
 * browser itself was given there stays.
 */
function withFamiliesOf(
  before: SessionRecord['clients'],
  given: Readonly<Record<string, Partial<SessionClientRecord>>>,
): Record<string, Partial<SessionClientRecord>> {
  return Object.fromEntries(
    Object.entries(given).map(([clientId, { sid }]) => {
      const { grantId, persistsLogout } = before[clientId] ?? {};
      return [
        clientId,
        {
          ...(sid === undefined ? {} : { sid }),
          ...(grantId === undefined ? {} : { grantId }),
          ...(persistsLogout === undefined ? {} : { persistsLogout }),
        },
      ];
    }),
  );
}

/**
 * Whether the change carries a sign-in. The time alone can't tell: it is whole seconds, and a second factor may follow
 * within one. An older or a weaker one changes nothing (see `neverLowerSessions`).
 */
function isSignIn(accountId: string | undefined, login: Login, loaded?: SessionRecord): boolean {
  const values = ({ loginTs, acr, amr }: Login) => JSON.stringify([loginTs, acr, amr]);
  return accountId !== loaded?.accountId || values(login) !== values(loaded?.payload ?? {});
}
