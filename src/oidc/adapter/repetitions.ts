import { defaultSettings, isFapiProfile, isPublic } from '../../client/client.ts';
import type { ClientService } from '../../client/client.service.ts';
import { sha256 } from '../../lib/hash.ts';
import type { Sealer } from '../../lib/seal.ts';
import type { ResourceServerService } from '../../resource-server/resource-server.service.ts';
import { GRACE_SECONDS } from '../../unit-of-work/commit.ts';
import { prefixes } from '../../unit-of-work/live-token.ts';
import type { TokenRead } from '../../unit-of-work/token-reads.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';
import { successorId } from '../grants/successor.ts';

/**
 * How long a used code or refresh token may be repeated by the client that used it, because the answer got lost; after that
 * it is a replay and ends the token family (docs/decisions/0025).
 */

/** What a client that proves nothing gets: this share of its access token's lifetime. */
const UNPROVEN_SHARE = 10;

export interface RepetitionParts {
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly sealer: Sealer;
  /** Seconds that an access token lives that is for no API. */
  readonly accessTokenTtl: number;
}

/** Seconds for a code; FAPI 2.0 clients have none (FAPI 2.0 Security Profile, section 5.3.2.1). */
export async function codeGrace(
  { clients }: Pick<RepetitionParts, 'clients'>,
  clientId: string,
): Promise<number> {
  const client = await clients.find(clientId);
  return isFapiProfile(client?.settings.profile) ? 0 : GRACE_SECONDS;
}

/**
 * Seconds for a refresh token: the client's setting. Where neither client authentication nor a bound key proves the client,
 * a tenth of its shortest access token's lifetime at most.
 */
export async function refreshGrace(
  { clients, resourceServers, accessTokenTtl: usual }: RepetitionParts,
  { token, family }: Pick<TokenRead, 'token' | 'family'>,
): Promise<number> {
  const client = await clients.find(token.clientId);
  const { refreshGrace: most, accessTokenTtl } = client?.settings ?? defaultSettings;
  const isBound = token.payload?.jkt !== undefined || token.payload?.['x5t#S256'] !== undefined;
  if (isBound || (client !== undefined && !isPublic(client.metadata))) return most;
  const apis = await Promise.all(
    Object.keys(family?.payload.resources ?? {}).map((api) => resourceServers.find(api)),
  );
  const lifetimes = apis.map((api) => api?.accessTokenTtl ?? usual);
  const shortest = Math.min(usual, accessTokenTtl ?? Infinity, ...lifetimes);
  return Math.min(most, Math.floor(shortest / UNPROVEN_SHARE));
}

/** The hash of the refresh token that follows this one; undefined for a token without a family. */
export function successorHash(
  { sealer }: Pick<RepetitionParts, 'sealer'>,
  id: string,
  { family }: Pick<TokenRead, 'family'>,
): Buffer | undefined {
  return family && sha256(`${prefixes.refresh}${successorId(sealer, family, id)}`);
}

/** Whether the refresh token that follows this one was used: then whoever repeats this one is not its holder. */
export async function isSuccessorUsed(
  { sealer }: Pick<RepetitionParts, 'sealer'>,
  id: string,
  { family }: Pick<TokenRead, 'family'>,
): Promise<boolean> {
  if (family === undefined) return false;
  const next = `${prefixes.refresh}${successorId(sealer, family, id)}`;
  return (await currentUnit().findToken(next))?.consumedAge !== undefined;
}
