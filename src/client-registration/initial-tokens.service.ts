import { writeAudit } from '../audit/audit.service.ts';
import type { Database } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { randomToken, sha256 } from '../lib/hash.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { type InitialToken, type NewInitialToken, prefixes } from './client-registration.ts';
import {
  deleteInitialToken,
  insertInitialToken,
  listInitialTokens,
} from './client-registration.store.ts';

export { newInitialTokenSchema } from './client-registration.ts';

/** Initial access tokens (RFC 7591, section 1.2): made by operators, stored as hashes. */
export class InitialTokens {
  readonly #db: Database;
  readonly #resourceServers: ResourceServerService;

  constructor(db: Database, resourceServers: ResourceServerService) {
    this.#db = db;
    this.#resourceServers = resourceServers;
  }

  /**
   * Makes one; the token itself is given this once.
   * @throws AppError `unknown_api`, `unknown_scope`
   */
  async create(
    { name, uses, days, apis }: NewInitialToken,
    actor: string,
  ): Promise<{ id: string; token: string; expiresAt: Date }> {
    const id = `iat_${randomToken(9)}`;
    const token = `${prefixes.initial}${randomToken(32)}`;
    const expiresAt = await this.#db.transaction(async (db) => {
      for (const { identifier, scopes } of apis)
        await this.#resourceServers.getForScopes(db, identifier, scopes);
      await writeAudit(db, {
        type: 'initial_access_token.created',
        outcome: 'success',
        actor,
        data: { initial_access_token: id, uses, days, apis },
      });
      return insertInitialToken(db, {
        id,
        hash: sha256(token),
        name,
        uses,
        days,
        apis: Object.fromEntries(apis.map(({ identifier, scopes }) => [identifier, scopes])),
      });
    });
    return { id, token, expiresAt };
  }

  /** Those that are good for something, the newest first. */
  list(): Promise<InitialToken[]> {
    return listInitialTokens(this.#db.kysely);
  }

  /**
   * Ends one; the clients that it has registered stay.
   * @throws AppError `unknown_initial_access_token` (404)
   */
  async revoke(id: string, actor: string): Promise<void> {
    await this.#db.transaction(async (db) => {
      if (!(await deleteInitialToken(db, id)))
        throw new AppError(
          'unknown_initial_access_token',
          `There is no initial access token ${id}.`,
          { status: 404 },
        );
      await writeAudit(db, {
        type: 'initial_access_token.revoked',
        outcome: 'success',
        actor,
        data: { initial_access_token: id },
      });
    });
  }
}
