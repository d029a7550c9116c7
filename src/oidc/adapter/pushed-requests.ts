import Provider, { type Adapter, type KoaContextWithOIDC } from 'oidc-provider';
import type { Database } from '../../db/database.ts';
import { epochSeconds, fromEpoch } from '../../lib/time.ts';
import { judgedExp } from './expiry.ts';
import type { Payload } from '../../unit-of-work/records.ts';
import { prepared } from '../../unit-of-work/statement.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/**
 * Pushed authorization requests (RFC 9126). What stands for one in `request_uri` is stored as a hash alone, also where the
 * sign-in that it led to is paused; it starts a sign-in for a minute, and ends with one answer: see `addPushed` in commit.ts.
 */

const readPushed = prepared(`select payload from pushed_requests
  where id_hash = $1 and client_id = $2 and consumed_at is null and expires_at > now()`);

/** A request of this client's that may start a sign-in still. */
async function findPushed(
  db: Database,
  idHash: Buffer,
  clientId: string,
): Promise<Payload | undefined> {
  const [row] = await db.run<{ payload: Payload }>(readPushed(idHash, clientId));
  return row?.payload;
}

const clientOf = () => (Provider.ctx as KoaContextWithOIDC).oidc.client?.clientId as string;

export const pushedRequestAdapter: Partial<Adapter> = {
  async find(id) {
    const { db, pushed } = currentUnit();
    // A sign-in that it started goes on after its end, and was checked then: whether it was used meanwhile is the commit's.
    if (pushed.isHandle(id))
      return { jti: id, kind: 'PushedAuthorizationRequest', exp: epochSeconds() + 1 };
    const payload = await findPushed(db, pushed.hashOf(id), clientOf());
    // The read gives only what has not expired.
    return payload && { ...payload, exp: judgedExp(payload.exp as number, false), jti: id };
  },
  async upsert(id, payload) {
    const { jti: _, ...rest } = payload;
    currentUnit().pushed.add(id, {
      clientId: clientOf(),
      payload: rest,
      expiresAt: fromEpoch(payload.exp as number),
    });
  },
  async consume(id) {
    currentUnit().pushed.use(id);
  },
};

/** The row of an interaction names what started it by its hash. */
export function withoutPushedId(payload: Payload): Payload {
  const { parJti, ...rest } = payload;
  if (typeof parJti !== 'string') return rest;
  return { ...rest, pushed: currentUnit().pushed.hashOf(parJti).toString('base64url') };
}

/** What was taken out, as this request knows it. */
export function withPushedId(payload: Payload): Payload {
  const { pushed, ...rest } = payload;
  if (typeof pushed !== 'string') return rest;
  return { ...rest, parJti: currentUnit().pushed.handleFor(Buffer.from(pushed, 'base64url')) };
}
