import { writeAudit } from '../audit/audit.service.ts';
import type { Database } from '../db/database.ts';
import { isUniqueViolation } from '../db/sql-state.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { canonicalJson } from '../lib/canonical-json.ts';
import { findJsonProblem } from '../lib/json-bounds.ts';
import { endPermissions } from '../permission/permission.service.ts';
import type { AuthorizationDetail, DetailType } from './detail.ts';
import { findSchemaProblem } from './detail-schema.ts';
import { type DetailTypeChanges, findWordsProblem, type NewDetailType } from './detail-types.ts';
import {
  deleteDetailType,
  insertDetailType,
  listDetailTypes,
  updateDetailType,
} from './detail-types.store.ts';
import { listResourceServers } from './resource-server.store.ts';

/** The types of authorization details that APIs take, as an API's team registers them. */
export class DetailTypes {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  list(): Promise<DetailType[]> {
    return listDetailTypes(this.#db.kysely);
  }

  /** @throws AppError `unknown_api`, `detail_type_exists`, `invalid_detail_type` where the words do not fit the schema */
  async add(identifier: string, input: NewDetailType, actor: string): Promise<void> {
    checkWords(input);
    await this.#db
      .transaction(async (db) => {
        const servers = await listResourceServers(db);
        const server = servers.find((one) => one.identifier === identifier);
        if (server === undefined)
          throw new AppError('unknown_api', `There is no API ${identifier}.`, { status: 404 });
        await insertDetailType(db, server.id, input);
        await writeAudit(db, {
          type: 'resource_server.detail_type_added',
          outcome: 'success',
          actor,
          data: { resource_server: server.id, type: input.type },
        });
        await raiseVersion(db, 'resource_servers');
      })
      .catch((cause: unknown) => {
        if (!isUniqueViolation(cause)) throw cause;
        throw new AppError(
          'detail_type_exists',
          `There is a type ${input.type} already: a type belongs to one API.`,
          { status: 409, cause },
        );
      });
  }

  /**
   * Changes what is given. What was allowed before stays allowed; what is asked for from now on goes by the change.
   * @throws AppError `unknown_detail_type`, `invalid_detail_type`
   */
  async update(type: string, changes: DetailTypeChanges, actor: string): Promise<void> {
    await this.#db.transaction(async (db) => {
      const before = (await listDetailTypes(db)).find((one) => one.type === type);
      if (before === undefined) throw unknownType(type);
      checkWords({
        schema: changes.schema ?? before.schema,
        words: changes.words ?? before.words,
      });
      await updateDetailType(db, type, changes);
      await writeAudit(db, {
        type: 'resource_server.detail_type_changed',
        outcome: 'success',
        actor,
        data: { type, changed: Object.keys(changes).filter((key) => key in changes) },
      });
      await raiseVersion(db, 'resource_servers');
    });
  }

  /**
   * Removes a type: nobody can ask for it any more, and tokens that carry it end.
   * @throws AppError `unknown_detail_type`
   */
  async remove(type: string, actor: string): Promise<void> {
    await this.#db.transaction(async (db) => {
      const audience = await deleteDetailType(db, type);
      if (audience === undefined) throw unknownType(type);
      await endPermissions(db, [{ clientId: '*', audience, kind: 'detail', name: type }], []);
      await writeAudit(db, {
        type: 'resource_server.detail_type_removed',
        outcome: 'success',
        actor,
        data: { type },
      });
      await raiseVersion(db, 'resource_servers');
    });
  }
}

const bounds = { depth: 8, values: 200, text: 1_000, total: 8 * 1024 };
const MAX_DETAILS = 10;

/** What is wrong with a whole list of details, whatever their types are; undefined where it can be looked at. */
export function findListProblem(details: readonly AuthorizationDetail[]): string | undefined {
  if (details.length > MAX_DETAILS) return `there are more than ${MAX_DETAILS} of them`;
  const problem = findJsonProblem(details, bounds);
  if (problem !== undefined) return `the list ${problem}`;
  if (new Set(details.map(canonicalJson)).size < details.length)
    return 'one of them is there twice';
  return undefined;
}

/** What is wrong with a detail by its type (RFC 9396, section 5), as a developer reads it; undefined where nothing is. */
export function findDetailProblem(
  type: DetailType,
  detail: AuthorizationDetail,
): string | undefined {
  const { locations } = detail;
  if (Array.isArray(locations) && locations.some((one) => one !== type.api))
    return `locations names another API than the type's own, ${type.api}`;
  return findSchemaProblem(type, detail);
}

/** Fields whose values are sets (RFC 9396, section 2.2): fewer of them is less. */
const sets = ['actions', 'datatypes', 'privileges'] as const;

/** Whether a detail asks for no more than one that was granted: the same, but that of its sets there may be less. */
export function isWithin(asked: AuthorizationDetail, granted: AuthorizationDetail): boolean {
  const rest = (detail: AuthorizationDetail) =>
    canonicalJson(Object.fromEntries(Object.entries(detail).filter(([key]) => !isSet(key))));
  return (
    rest(asked) === rest(granted) &&
    sets.every((name) => {
      const [one, all] = [asked[name], granted[name]];
      if (one === undefined || all === undefined) return one === all;
      // An empty set may stand for all there is.
      if (!Array.isArray(one) || !Array.isArray(all) || one.length === 0)
        return canonicalJson(one) === canonicalJson(all);
      return one.every((value) => all.includes(value));
    })
  );
}

const isSet = (key: string) => (sets as readonly string[]).includes(key);

function checkWords(type: Pick<DetailType, 'schema' | 'words'>): void {
  const problem = findWordsProblem(type);
  if (problem !== undefined) throw new AppError('invalid_detail_type', problem, { status: 400 });
}

function unknownType(type: string): AppError {
  return new AppError('unknown_detail_type', `There is no type ${type}.`, { status: 404 });
}
