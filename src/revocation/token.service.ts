import { createLocalJWKSet, jwtVerify } from 'jose';
import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { endFamilies } from '../grant/grant.service.ts';
import { sha256 } from '../lib/hash.ts';
import { fromEpoch } from '../lib/time.ts';
import type { KeyService } from '../keys/keys.service.ts';
import * as store from './token.store.ts';

/** What came of it: a token that others are made from takes its family with it. */
export interface RevokedToken extends store.FoundToken {
  readonly ended: 'token' | 'family';
}

export interface RevokeTokenParts {
  readonly db: Database;
  readonly keys: KeyService;
  readonly issuer: string;
}

/**
 * Ends a token that somebody has found, of whatever kind: an access token by itself, a refresh token or a code with its
 * family.
 * @throws AppError `unknown_token` (404) for what is no token of ours, or has expired
 */
export async function revokeToken(
  { db, keys, issuer }: RevokeTokenParts,
  token: string,
  actor: string,
): Promise<RevokedToken> {
  const jwt = token.includes('.') ? await verify(keys, issuer, token) : undefined;
  return db.transaction(async (db) => {
    const found =
      jwt === undefined
        ? await store.findOpaque(db, sha256(token))
        : { ...jwt, accountId: await store.findAccountOf(db, jwt.idHash) };
    if (found === undefined)
      throw new AppError('unknown_token', 'This is no token of this server, or it has expired.', {
        status: 404,
      });
    const ended = await end(db, found);
    await writeAudit(db, {
      type: ended === 'family' ? 'family.revoked' : 'token.revoked',
      outcome: 'success',
      accountId: found.accountId,
      clientId: found.clientId,
      grantId: found.grantId,
      actor,
      reason: 'revoked_by_operator',
    });
    return { ...found, ended };
  });
}

async function end(db: Db, found: store.FoundToken): Promise<RevokedToken['ended']> {
  const { kind, grantId } = found;
  if ((kind === 'refresh' || kind === 'code') && grantId !== undefined) {
    await endFamilies(db, { id: grantId }, 'revoked_by_operator');
    return 'family';
  }
  await store.endToken(db, found);
  return 'token';
}

/** One that the server has signed: whoever writes a JWT of his own ends nobody else's. */
async function verify(
  keys: KeyService,
  issuer: string,
  token: string,
): Promise<Omit<store.FoundToken, 'accountId'> | undefined> {
  const published = createLocalJWKSet(await keys.published());
  try {
    const { payload } = await jwtVerify(token, published, {
      issuer,
      requiredClaims: ['jti', 'client_id', 'sub', 'exp'],
    });
    const {
      jti,
      exp,
      client_id: clientId,
    } = payload as { client_id: string } & Required<Pick<typeof payload, 'jti' | 'exp'>>;
    return {
      kind: 'jwt',
      idHash: sha256(jti),
      clientId,
      grantId: undefined,
      expiresAt: fromEpoch(exp),
    };
  } catch {
    return undefined;
  }
}
