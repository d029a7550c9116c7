import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { isUniqueViolation } from '../db/sql-state.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { randomToken } from '../lib/hash.ts';
import { forgetDecided } from '../permission/permission.service.ts';
import type {
  DetailType,
  NewResourceServer,
  ResourceServer,
  ResourceServerChanges,
} from './resource-server.ts';
import { listDetailTypes } from './detail-types.store.ts';
import {
  changeApi,
  deleteResourceServer,
  describeDeletion,
  type RestsOnApi,
} from './api-changes.service.ts';
import { checkScopes } from './refusal.ts';
import { insertResourceServer, listResourceServers } from './resource-server.store.ts';

export type { RestsOnApi } from './api-changes.service.ts';

interface ResourceServers {
  readonly byIdentifier: ReadonlyMap<string, ResourceServer>;
  readonly byId: ReadonlyMap<string, ResourceServer>;
  readonly detailTypes: ReadonlyMap<string, DetailType>;
  /** What is open to clients that register themselves, API by API. */
  readonly open: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The APIs: few, so all of them are kept in memory and read anew when one has changed. */
export class ResourceServerService {
  readonly #db: Database;
  #all: Promise<ResourceServers> | undefined;
  #knownDetailTypes: readonly string[] = [];

  constructor(db: Database) {
    this.#db = db;
  }

  /** Gives up what is cached: called when the version of the topic `resource_servers` has risen. */
  refresh(): void {
    this.#all = undefined;
  }

  async find(identifier: string): Promise<ResourceServer | undefined> {
    return (await this.#load()).byIdentifier.get(identifier);
  }

  async findById(id: string): Promise<ResourceServer | undefined> {
    return (await this.#load()).byId.get(id);
  }

  /** What is open to clients that register themselves, API by API; the same object while nothing has changed. */
  async openScopes(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
    return (await this.#load()).open;
  }

  async list(): Promise<ResourceServer[]> {
    return [...(await this.#load()).byIdentifier.values()];
  }

  /** A type of authorization details by its name. */
  async findDetailType(type: string): Promise<DetailType | undefined> {
    return (await this.#load()).detailTypes.get(type);
  }

  /** Reads the names of all types anew, for `knownDetailTypes`. */
  async readDetailTypes(): Promise<void> {
    this.#knownDetailTypes = (await listDetailTypes(this.#db.kysely)).map(({ type }) => type);
  }

  /** The names of all types as they were read last: for who can't wait. `findDetailType` decides. */
  get knownDetailTypes(): readonly string[] {
    return this.#knownDetailTypes;
  }

  /** @throws AppError `unknown_detail_type` */
  async checkDetailTypes(db: Db, types: readonly string[] = []): Promise<void> {
    if (types.length === 0) return;
    const known = new Set(
      (await listResourceServers(db)).flatMap(({ detailTypes }) =>
        detailTypes.map(({ type }) => type),
      ),
    );
    const unknown = types.filter((type) => !known.has(type));
    if (unknown.length > 0)
      throw new AppError(
        'unknown_detail_type',
        `No API has the type ${unknown.join(', ')}. Add it first.`,
        { status: 400 },
      );
  }

  /** The API of each type of authorization details, read in the transaction: a copy may be older than the type. */
  async findDetailTypeApis(db: Db): Promise<ReadonlyMap<string, string>> {
    return new Map(
      (await listResourceServers(db)).flatMap(({ identifier, detailTypes }) =>
        detailTypes.map(({ type }) => [type, identifier] as const),
      ),
    );
  }

  /**
   * The API, read in the transaction, with every one of `scopes` its own.
   * @throws AppError `unknown_api`, `unknown_scope`
   */
  async getForScopes(
    db: Db,
    identifier: string,
    scopes: readonly string[],
  ): Promise<ResourceServer> {
    const server = (await listResourceServers(db)).find((one) => one.identifier === identifier);
    if (server === undefined)
      throw new AppError('unknown_api', `There is no API ${identifier}. Create it first.`, {
        status: 400,
      });
    checkScopes(identifier, [...server.scopes.keys()], scopes);
    return server;
  }

  /**
   * Registers an API together with the credentials with which it introspects, which `createCredentials` makes in the
   * same transaction.
   * @throws AppError `api_exists`, `unknown_scope`
   */
  async create<Credentials>(
    input: NewResourceServer,
    actor: string,
    createCredentials: (db: Db, resourceServerId: string) => Promise<Credentials>,
  ): Promise<{ id: string; credentials: Credentials }> {
    const id = `api_${randomToken(12)}`;
    checkScopes(
      input.identifier,
      input.scopes.map(({ scope }) => scope),
      input.openScopes,
    );
    // An API of this identifier may have been deleted before: what people decided then was about another one.
    await forgetDecided(this.#db, input.identifier);
    try {
      const credentials = await this.#db.transaction(async (db) => {
        await insertResourceServer(db, id, input);
        const made = await createCredentials(db, id);
        await writeAudit(db, {
          type: 'resource_server.created',
          outcome: 'success',
          actor,
          data: { resource_server: id },
        });
        await raiseVersion(db, 'resource_servers');
        return made;
      });
      this.refresh();
      return { id, credentials };
    } catch (cause) {
      if (isUniqueViolation(cause))
        throw new AppError('api_exists', `There is an API ${input.identifier} already.`, {
          status: 409,
          cause,
        });
      throw cause;
    }
  }

  /**
   * Changes how tokens for the API are made from now on, and its scopes. Tokens that are out stay as they are, except those
   * that carry a scope which is gone: these end.
   * @throws AppError `unknown_api`, `unknown_scope`, `last_scope`
   */
  async update(identifier: string, changes: ResourceServerChanges, actor: string): Promise<void> {
    await changeApi(this.#db, identifier, changes, actor);
    this.refresh();
  }

  /** What stops working when the API is deleted. @throws AppError `unknown_api` */
  describeDeletion(identifier: string): Promise<RestsOnApi> {
    return describeDeletion(this.#db, identifier);
  }

  /**
   * Deletes the API that has this name, and every token for it. Gives what stopped working.
   * @throws AppError `unknown_api`, `other_name`
   */
  async delete(identifier: string, name: string, actor: string): Promise<RestsOnApi> {
    const deleted = await deleteResourceServer(this.#db, identifier, name, actor);
    this.refresh();
    return deleted;
  }

  async #load(): Promise<ResourceServers> {
    this.#all ??= listResourceServers(this.#db.kysely).then((all) => ({
      byIdentifier: new Map(all.map((one) => [one.identifier, one])),
      byId: new Map(all.map((one) => [one.id, one])),
      open: new Map(
        all
          .filter(({ openScopes }) => openScopes.size > 0)
          .map((one) => [one.identifier, one.openScopes]),
      ),
      detailTypes: new Map(all.flatMap((one) => one.detailTypes.map((type) => [type.type, type]))),
    }));
    try {
      return await this.#all;
    } catch (error) {
      this.#all = undefined;
      throw error;
    }
  }
}
