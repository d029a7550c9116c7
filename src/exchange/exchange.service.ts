import { writeAudit } from '../audit/audit.service.ts';
import type { ClientService } from '../client/client.service.ts';
import { hasGrantType, TOKEN_EXCHANGE } from '../client/client.ts';
import type { Database } from '../db/database.ts';
import { raiseVersion, VersionedCache } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { randomToken } from '../lib/hash.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import type { ExchangeRule, NewExchangeRule } from './exchange.ts';
import * as store from './exchange.store.ts';

const MOST_CLIENTS = 10_000;

/** Who may exchange which tokens: changed here, and kept in a cache that follows changes on other processes. */
export class ExchangeRules {
  readonly #db: Database;
  readonly #clients: ClientService;
  readonly #resourceServers: ResourceServerService;
  readonly #cache: VersionedCache<readonly ExchangeRule[]>;

  constructor(db: Database, clients: ClientService, resourceServers: ResourceServerService) {
    this.#db = db;
    this.#clients = clients;
    this.#resourceServers = resourceServers;
    this.#cache = new VersionedCache((id) => store.listRules(db.kysely, id), MOST_CLIENTS);
  }

  /** Gives up what is cached: called when the version of the topic `exchange_rules` or `resource_servers` has risen. */
  refresh(): void {
    this.#cache.clear();
  }

  /** The rules of a client that there is, as they were at most two seconds ago. */
  async find(clientId: string): Promise<readonly ExchangeRule[]> {
    return (await this.#cache.get(clientId)) ?? [];
  }

  /** The rules of a client, or of all, as they are stored. */
  list(clientId?: string): Promise<ExchangeRule[]> {
    return store.listRules(this.#db.kysely, clientId);
  }

  /**
   * Lets a client exchange tokens for one API into tokens for another; a rule that it has for the two gives way. Gives its id.
   * @throws AppError `unknown_client`, `unknown_api`, `unknown_scope`, `invalid_exchange`
   */
  async allow(input: NewExchangeRule, actor: string): Promise<string> {
    const { client } = await this.#clients.show(input.clientId);
    if (!hasGrantType(client.metadata, TOKEN_EXCHANGE))
      refuse(
        `The client may not exchange tokens at all: give it the grant type ${TOKEN_EXCHANGE} first.`,
      );
    const closed = input.scopes.filter((scope) => !client.allowed.get(input.target)?.has(scope));
    if (closed.length > 0)
      refuse(
        `The client may not ask for ${closed.join(', ')} of ${input.target}: a rule gives nothing that it may not have anyway.`,
      );
    const id = await this.#db.transaction(async (db) => {
      const source = await this.#resourceServers.getForScopes(db, input.source, []);
      const target = await this.#resourceServers.getForScopes(db, input.target, input.scopes);
      const unknown = await store.findUnknownClients(db, input.actors);
      if (unknown.length > 0)
        throw new AppError('unknown_client', `There is no client ${unknown.join(', ')}.`, {
          status: 404,
        });
      const rule = { id: `exch_${randomToken(9)}`, ...input };
      const stored = await store.putRule(db, rule, source.id, target.id);
      await writeAudit(db, {
        type: 'exchange.rule_added',
        outcome: 'success',
        clientId: input.clientId,
        actor,
        data: { ...rule, id: stored },
      });
      await raiseVersion(db, 'exchange_rules');
      return stored;
    });
    this.refresh();
    return id;
  }

  /**
   * Removes a rule. What was exchanged by it lives on until it ends.
   * @throws AppError `unknown_rule`
   */
  async remove(id: string, actor: string): Promise<void> {
    await this.#db.transaction(async (db) => {
      const clientId = await store.deleteRule(db, id);
      if (clientId === undefined)
        throw new AppError('unknown_rule', `There is no rule ${id}.`, { status: 404 });
      await writeAudit(db, {
        type: 'exchange.rule_removed',
        outcome: 'success',
        clientId,
        actor,
        data: { id },
      });
      await raiseVersion(db, 'exchange_rules');
    });
    this.refresh();
  }
}

function refuse(reason: string): never {
  throw new AppError('invalid_exchange', reason, { status: 400 });
}
