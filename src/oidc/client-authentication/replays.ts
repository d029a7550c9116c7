import Provider, { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { sha256 } from '../../lib/hash.ts';
import { prepared } from '../../unit-of-work/statement.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

const insertReplay = prepared(
  `insert into replays (id_hash, expires_at) values ($1, to_timestamp($2)) on conflict (id_hash) do nothing returning true as first`,
);

/** Seconds that an id is kept beyond its end: a proof may be of a clock that is ahead (dpop.ts). */
const MARGIN = 60;

/** Whether an id is shown for the first time; it stands from then on, whatever comes of the request. */
export async function useIdOnce(name: string, expiresAt: number): Promise<boolean> {
  const rows = await currentUnit().db.run(insertReplay(sha256(name), expiresAt + MARGIN));
  return rows.length > 0;
}

/** Where the assertion of a request stands already: what comes after it is the proof. */
const authenticated = new WeakSet<KoaContextWithOIDC>();

/**
 * Makes the id of a client assertion or of a DPoP proof single-use. The engine looks for it and stores it, which lets two
 * at once through; one insert decides it. It stands by itself, before anything else of the request: who replays is
 * refused where it authenticates and touches nothing, and what was shown once is used up even if the request fails.
 */
export function useIdsOnce(provider: Provider): void {
  const detection = provider.ReplayDetection as unknown as {
    unique: (clientId: string, jti: string, expiresAt: number) => Promise<boolean>;
  };
  detection.unique = async (clientId, jti, expiresAt) => {
    const ctx = Provider.ctx as KoaContextWithOIDC;
    const kind = kindOf(ctx);
    // Each part has its length in front: no id of one client is another's.
    const name = `${kind} ${clientId.length} ${clientId} ${jti}`;
    if (await useIdOnce(name, expiresAt)) return true;
    currentUnit().auditAlways({
      type: 'client.authentication',
      outcome: 'refused',
      clientId,
      reason: `${kind}_replayed`,
    });
    // RFC 9449, section 5; the engine would call the grant invalid.
    if (kind === 'proof') throw new errors.InvalidDpopProof('the DPoP proof was used before');
    return false;
  };
}

/** A client authenticates first and once; whatever else is asked about in a request is its proof. */
function kindOf(ctx: KoaContextWithOIDC): 'assertion' | 'proof' {
  if (ctx.oidc.params?.client_assertion === undefined || authenticated.has(ctx)) return 'proof';
  authenticated.add(ctx);
  return 'assertion';
}
