import { writeAudit } from '../audit/audit.service.ts';
import type { Database } from '../db/database.ts';
import { raiseVersion, VersionedCache } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { randomToken } from '../lib/hash.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import type { GatewayRule, NewGatewayRule } from './gateway.ts';
import * as store from './gateway.store.ts';
import { fits, type Pattern, parsePattern, type Segment } from './path.ts';

interface ReadyRule {
  readonly rule: GatewayRule;
  readonly pattern: Pattern;
}

/** Every question looks through them. */
const MOST_RULES = 200;
const MOST_APIS = 1_000;

/** The rules of the APIs: changed here, and kept in a cache that follows changes on other processes. */
export class GatewayRules {
  readonly #db: Database;
  readonly #resourceServers: ResourceServerService;
  readonly #cache: VersionedCache<readonly ReadyRule[]>;

  constructor(db: Database, resourceServers: ResourceServerService) {
    this.#db = db;
    this.#resourceServers = resourceServers;
    this.#cache = new VersionedCache(
      async (id) => (await store.listRules(db.kysely, id)).map(ready),
      MOST_APIS,
    );
  }

  /** Gives up what is cached: called when the version of the topic `resource_servers` has risen. */
  refresh(): void {
    this.#cache.clear();
  }

  /**
   * The rule that decides about a request: the first one that fits. Undefined where none does, and where a strict and a
   * lenient reader of the path would not come to the same one.
   */
  async find(
    resourceServerId: string,
    method: string,
    path: readonly Segment[],
  ): Promise<GatewayRule | undefined> {
    const rules = (await this.#cache.get(resourceServerId)) ?? [];
    const of = (reading: keyof Segment) =>
      rules.find(({ rule, pattern }) => takes(rule, method) && fits(pattern, path, reading))?.rule;
    const rule = of('text');
    return rule === of('folded') ? rule : undefined;
  }

  /**
   * The rules of an API in their order.
   * @throws AppError `unknown_api`
   */
  async list(identifier: string): Promise<GatewayRule[]> {
    const { kysely } = this.#db;
    const { id } = await this.#resourceServers.getForScopes(kysely, identifier, []);
    return store.listRules(kysely, id);
  }

  /**
   * Adds a rule to an API; gives its id.
   * @throws AppError `unknown_api`, `unknown_scope`, `too_many_rules`
   */
  async add(identifier: string, input: NewGatewayRule, actor: string): Promise<string> {
    const { place, ...said } = input;
    const rule: GatewayRule = { id: `rule_${randomToken(9)}`, ...said };
    await this.#db.transaction(async (db) => {
      const api = await this.#resourceServers.getForScopes(db, identifier, rule.scopes);
      await store.lockResourceServer(db, api.id);
      const { length } = await store.listRules(db, api.id);
      if (length >= MOST_RULES)
        throw new AppError('too_many_rules', `An API has at most ${MOST_RULES} rules.`, {
          status: 409,
        });
      await store.insertRule(db, api.id, rule, (place ?? length + 1) - 1);
      await writeAudit(db, {
        type: 'gateway.rule_added',
        outcome: 'success',
        actor,
        data: {
          resource_server: api.id,
          place: Math.min(place ?? length + 1, length + 1),
          ...rule,
        },
      });
      await raiseVersion(db, 'resource_servers');
    });
    this.refresh();
    return rule.id;
  }

  /**
   * Removes a rule.
   * @throws AppError `unknown_rule`
   */
  async remove(id: string, actor: string): Promise<void> {
    await this.#db.transaction(async (db) => {
      const removed = await store.deleteRule(db, id);
      if (removed === undefined)
        throw new AppError('unknown_rule', `There is no rule ${id}.`, { status: 404 });
      const { resourceServerId, ...rule } = removed;
      await writeAudit(db, {
        type: 'gateway.rule_removed',
        outcome: 'success',
        actor,
        data: { resource_server: resourceServerId, ...rule },
      });
      await raiseVersion(db, 'resource_servers');
    });
    this.refresh();
  }
}

function ready(rule: GatewayRule): ReadyRule {
  const pattern = parsePattern(rule.path);
  // Left out, it would make way for a rule that asks for less.
  if (pattern === undefined) throw new TypeError(`the path of ${rule.id} is none`);
  return { rule, pattern };
}

/** A rule for GET also allows HEAD (RFC 9110, section 9.3.2). */
function takes({ methods }: GatewayRule, method: string): boolean {
  return (
    methods.length === 0 ||
    methods.includes(method) ||
    (method === 'HEAD' && methods.includes('GET'))
  );
}
