import { writeAudit } from '../audit/audit.service.ts';
import type { ClientService } from '../client/client.service.ts';
import { hasGrantType, isPublic, JWT_BEARER } from '../client/client.ts';
import type { Database } from '../db/database.ts';
import { isUniqueViolation } from '../db/sql-state.ts';
import { raiseVersion } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { randomToken } from '../lib/hash.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import type { NewIssuer, NewSubject, TrustedIssuer } from './issuer.ts';
import * as store from './issuer.store.ts';

export interface TrustedIssuersParts {
  readonly db: Database;
  /** Our own name, which is nobody else's. */
  readonly ownIssuer: string;
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly outboundAllow: OutboundAllow;
}

/** Whose assertions are taken: few, so all of them are kept in memory and read anew when one has changed. */
export class TrustedIssuers {
  readonly #parts: TrustedIssuersParts;
  #all: Promise<ReadonlyMap<string, TrustedIssuer>> | undefined;

  constructor(parts: TrustedIssuersParts) {
    this.#parts = parts;
  }

  /** Gives up what is cached: called when the version of the topic `trusted_issuers` or `resource_servers` has risen. */
  refresh(): void {
    this.#all = undefined;
  }

  /** The issuer by what stands in `iss`, as it was at most two seconds ago. */
  async find(name: string): Promise<TrustedIssuer | undefined> {
    return (await this.#load()).get(name);
  }

  /** Every issuer as it is stored, by name. */
  list(): Promise<TrustedIssuer[]> {
    return store.listIssuers(this.#parts.db.kysely);
  }

  /**
   * Trusts an issuer; that alone lets nobody in.
   * @throws AppError `invalid_issuer`, `issuer_exists`
   */
  async add(input: NewIssuer, actor: string): Promise<string> {
    const { db, ownIssuer, outboundAllow } = this.#parts;
    if (input.issuer === ownIssuer)
      refuse('This is the server itself: what it signs is no assertion of anybody else.');
    if (input.jwksUri !== undefined) {
      const problem = outboundAllow.findUriProblem(input.jwksUri);
      if (problem !== undefined) refuse(`The address of its keys is refused: ${problem}.`);
    }
    const id = `iss_${randomToken(9)}`;
    try {
      await db.transaction(async (db) => {
        await store.insertIssuer(db, id, input);
        await writeAudit(db, {
          type: 'issuer.added',
          outcome: 'success',
          actor,
          data: { id, issuer: input.issuer, jwks_uri: input.jwksUri, reusable: input.reusable },
        });
        await raiseVersion(db, 'trusted_issuers');
      });
    } catch (cause) {
      if (isUniqueViolation(cause))
        throw new AppError('issuer_exists', `${input.issuer} is trusted already.`, {
          status: 409,
          cause,
        });
      throw cause;
    }
    this.refresh();
    return id;
  }

  /**
   * Trusts an issuer no more. Tokens that its assertions gave live on until they end.
   * @throws AppError `unknown_issuer`
   */
  async remove(issuer: string, actor: string): Promise<void> {
    await this.#parts.db.transaction(async (db) => {
      const id = await store.deleteIssuer(db, issuer);
      if (id === undefined) throw unknownIssuer(issuer);
      await writeAudit(db, {
        type: 'issuer.removed',
        outcome: 'success',
        actor,
        data: { id, issuer },
      });
      await raiseVersion(db, 'trusted_issuers');
    });
    this.refresh();
  }

  /**
   * Lets a subject of the issuer stand for a client, at one API; what there is for the same gives way. Gives its id.
   * @throws AppError `unknown_issuer`, `unknown_client`, `unknown_api`, `unknown_scope`, `invalid_issuer`
   */
  async allow(issuer: string, input: NewSubject, actor: string): Promise<string> {
    const { client } = await this.#parts.clients.show(input.clientId);
    if (!hasGrantType(client.metadata, JWT_BEARER))
      refuse(
        `The client may not use assertions at all: give it the grant type ${JWT_BEARER} first.`,
      );
    if (isPublic(client.metadata) && !input.public)
      refuse(
        'The client has nothing to authenticate with: say --public, so that the assertion is enough.',
      );
    const closed = input.scopes.filter((scope) => !client.allowed.get(input.api)?.has(scope));
    if (closed.length > 0)
      refuse(`The client may not ask for ${closed.join(', ')} of ${input.api}.`);
    const id = await this.#parts.db.transaction(async (db) => {
      const issuerId = await store.lockIssuer(db, issuer);
      if (issuerId === undefined) throw unknownIssuer(issuer);
      const api = await this.#parts.resourceServers.getForScopes(db, input.api, input.scopes);
      const subject = { id: `subj_${randomToken(9)}`, ...input };
      const stored = await store.putSubject(db, issuerId, subject, api.id);
      await writeAudit(db, {
        type: 'issuer.subject_added',
        outcome: 'success',
        clientId: input.clientId,
        actor,
        data: { ...subject, id: stored, issuer },
      });
      await raiseVersion(db, 'trusted_issuers');
      return stored;
    });
    this.refresh();
    return id;
  }

  /**
   * Lets a subject stand for nobody any more.
   * @throws AppError `unknown_rule`
   */
  async disallow(id: string, actor: string): Promise<void> {
    await this.#parts.db.transaction(async (db) => {
      const clientId = await store.deleteSubject(db, id);
      if (clientId === undefined)
        throw new AppError('unknown_rule', `There is no rule ${id}.`, { status: 404 });
      await writeAudit(db, {
        type: 'issuer.subject_removed',
        outcome: 'success',
        clientId,
        actor,
        data: { id },
      });
      await raiseVersion(db, 'trusted_issuers');
    });
    this.refresh();
  }

  async #load(): Promise<ReadonlyMap<string, TrustedIssuer>> {
    this.#all ??= store
      .listIssuers(this.#parts.db.kysely)
      .then((all) => new Map(all.map((one) => [one.issuer, one])));
    const loading = this.#all;
    try {
      return await loading;
    } catch (error) {
      if (this.#all === loading) this.#all = undefined;
      throw error;
    }
  }
}

function unknownIssuer(issuer: string): AppError {
  return new AppError('unknown_issuer', `${issuer} is not trusted.`, { status: 404 });
}

function refuse(reason: string): never {
  throw new AppError('invalid_issuer', reason, { status: 400 });
}
