import { writeAudit } from '../audit/audit.service.ts';
import type { Database, Db } from '../db/database.ts';
import { raiseVersion, VersionedCache } from '../db/versions.ts';
import { AppError } from '../errors.ts';
import { endClientFamilies, endLeftClientFamilies } from '../grant/grant.service.ts';
import { equalBytes, randomToken, sha256 } from '../lib/hash.ts';
import { CLOCK_SLACK } from '../lib/time.ts';
import { OutboundAllow } from '../outbound/outbound.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import {
  type Client,
  type ClientSummary,
  isClientId,
  isDocumentId,
  type NewClient,
  type ShownSecret,
} from './client.ts';
import { hasSecret } from './client-authentication.ts';
import { changeClient } from './client-changes.service.ts';
import { checkSectorDocument } from './client-sector.ts';
import type { ClientChanges } from './client-settings.ts';
import { newSecret } from './client-secret.ts';
import * as store from './client.store.ts';
import * as secrets from './client-secret.store.ts';
import { refuse, unknownClient } from './refusal.ts';
import { deleteClient } from './self-registered.service.ts';
import { newRegistration } from './registration.ts';

const MAX_SECRETS = 2;

/** Finds the clients whose ids are addresses of metadata documents; `stored` reads the row, if there is one. */
export interface ClientDocuments {
  find(id: string, stored: () => Promise<Client | undefined>): Promise<Client | undefined>;
}

export interface ClientCredentials {
  readonly clientId: string;
  /** Shown once: only its hash is kept. */
  readonly clientSecret: string | undefined;
}

/** Clients: registered, found through a cache that follows changes on other processes, and authenticated by secret. */
export class ClientService {
  readonly #db: Database;
  readonly #cache: VersionedCache<Client>;
  readonly #resourceServers: ResourceServerService;
  readonly #outboundAllow: OutboundAllow;
  readonly #documents: ClientDocuments | undefined;

  /** @param documents without it, only rows are found: what the command line shows. */
  constructor(
    db: Database,
    resourceServers: ResourceServerService,
    outboundAllow = new OutboundAllow(),
    documents?: ClientDocuments,
  ) {
    this.#documents = documents;
    this.#db = db;
    this.#resourceServers = resourceServers;
    this.#outboundAllow = outboundAllow;
    this.#cache = new VersionedCache((id) => store.findClient(db.kysely, id), 10_000);
  }

  /** Gives up what is cached: called when the version of the topic `clients` or `resource_servers` has risen. */
  refresh(): void {
    this.#cache.clear();
  }

  /** The client, disabled or not, as it was at most two seconds ago; at once where this process changed it. */
  find(id: string): Promise<Client | undefined> {
    if (!isClientId(id)) return Promise.resolve(undefined);
    return this.#documents !== undefined && isDocumentId(id)
      ? this.#documents.find(id, () => this.#cache.get(id))
      : this.#cache.get(id);
  }

  /** The same as it is stored, whatever its document says by now: nobody is called, and nothing is found that has no row. */
  findStored(id: string): Promise<Client | undefined> {
    return isClientId(id) ? this.#cache.get(id) : Promise.resolve(undefined);
  }

  /** Every client as it is stored, by name; also the credentials with which APIs introspect. */
  async list(): Promise<ClientSummary[]> {
    return store.listClients(this.#db.kysely);
  }

  /**
   * The client as it is stored, and what may be shown of its secrets.
   * @throws AppError `unknown_client`
   */
  async show(id: string): Promise<{ client: Client; secrets: ShownSecret[] }> {
    const client = await store.findClient(this.#db.kysely, id);
    if (client === undefined) throw unknownClient(id);
    return { client, secrets: await secrets.listSecrets(this.#db.kysely, id) };
  }

  /** Whether `secret` is one of the client's live secrets; in time that does not depend on how much of it is right. */
  verifySecret(client: Client, secret: string): boolean {
    const hash = sha256(secret);
    const now = new Date();
    let found = false;
    for (const one of client.secrets) {
      const equal = equalBytes(one.hash, hash);
      if (equal && (one.expiresAt === undefined || one.expiresAt > now)) found = true;
    }
    return found;
  }

  /**
   * The client that authenticates with its secret, in the header or in the form as it likes; undefined for everybody
   * else, however else they may authenticate.
   */
  async authenticate({
    clientId,
    clientSecret,
  }: {
    readonly clientId: string;
    readonly clientSecret: string;
  }): Promise<Client | undefined> {
    // A document holds no secret, and nobody's guess has one fetched.
    const client = isDocumentId(clientId) ? undefined : await this.find(clientId);
    if (client === undefined || client.disabled || !hasSecret(client.metadata)) return undefined;
    return this.verifySecret(client, clientSecret) ? client : undefined;
  }

  /**
   * Registers a client; with a secret unless its type is a public one.
   * @throws AppError `invalid_redirect_uri`, `unknown_api`, `unknown_scope`, `invalid_client`
   */
  async create(input: NewClient, actor: string): Promise<ClientCredentials> {
    const { metadata, settings: given } = newRegistration(input, this.#outboundAllow);
    await checkSectorDocument(metadata, this.#outboundAllow);
    const id = `c_${randomToken(16)}`;
    const secret = hasSecret(metadata) ? newSecret() : undefined;
    await this.#db.transaction(async (db) => {
      await store.insertClient(db, {
        id,
        name: input.name,
        type: input.type,
        metadata,
        settings: given,
        firstParty: input.firstParty,
        verified: input.verified,
        developer: input.developer,
      });
      if (secret !== undefined) await secrets.insertSecret(db, { clientId: id, ...secret });
      await this.#resourceServers.checkDetailTypes(db, given.authorizationDetailsTypes as string[]);
      for (const api of input.apis) {
        const server = await this.#resourceServers.getForScopes(db, api.identifier, api.scopes);
        await store.insertAllowed(db, id, server.id, api.scopes);
      }
      await writeAudit(db, { type: 'client.created', outcome: 'success', clientId: id, actor });
      await raiseVersion(db, 'clients');
    });
    this.refresh();
    return { clientId: id, clientSecret: secret?.value };
  }

  /**
   * Changes what is given. Tokens that are out stay as they are, except those that carry something the client has lost, or
   * whose users get other subjects: these end.
   * @param forced also where its people get other subjects, and the client knows none of them again.
   * @throws AppError `unknown_client`, `invalid_client`, `unknown_api`, `unknown_scope`, `has_people` (409)
   */
  async update(
    id: string,
    changes: ClientChanges,
    actor: string,
    { forced = false } = {},
  ): Promise<void> {
    const parts = {
      db: this.#db,
      resourceServers: this.#resourceServers,
      outboundAllow: this.#outboundAllow,
    };
    await changeClient(parts, id, changes, actor, forced);
    this.refresh();
  }

  /**
   * Adds a secret, so that a rotation breaks nobody: two live at once, the new one and the one before it.
   * @throws AppError `unknown_client`, `invalid_client` for one that has no secret
   */
  async addSecret(id: string, actor: string): Promise<ClientCredentials> {
    const secret = newSecret();
    await this.#db.transaction(async (db) => {
      const client = await store.lockClient(db, id);
      if (client === undefined) throw unknownClient(id);
      if (!hasSecret(client.metadata))
        refuse(
          'This client has no secret: it is a public one, or authenticates with a key of its own.',
        );
      if ((await secrets.countSecrets(db, id)) >= MAX_SECRETS)
        await secrets.deleteOldestSecret(db, id);
      await secrets.insertSecret(db, { clientId: id, ...secret });
      await writeAudit(db, {
        type: 'client.secret_added',
        outcome: 'success',
        clientId: id,
        actor,
      });
      await raiseVersion(db, 'clients');
    });
    this.refresh();
    return { clientId: id, clientSecret: secret.value };
  }

  /**
   * Disables (every token ends in the same commit, and its families with them) or enables.
   * @throws AppError `unknown_client`
   */
  async setDisabled(id: string, disabled: boolean, actor: string): Promise<void> {
    const ended = await this.#db.transaction(async (db) => {
      if (!(await store.setDisabled(db, id, disabled))) throw unknownClient(id);
      await writeAudit(db, {
        type: disabled ? 'client.disabled' : 'client.enabled',
        outcome: 'success',
        clientId: id,
        actor,
      });
      await raiseVersion(db, 'clients');
      return disabled ? endClientFamilies(db, id, 'client_disabled') : 0;
    });
    this.refresh();
    await endLeftClientFamilies(this.#db, id, 'client_disabled', ended);
  }

  /**
   * Deletes the client that has this id and this name: every token of it ends in the same commit.
   * @throws AppError `unknown_client`, `other_name`, `of_an_api`
   */
  async delete(id: string, name: string, actor: string): Promise<void> {
    const { client } = await this.show(id);
    if (client.resourceServerId !== undefined)
      throw new AppError('of_an_api', 'These are the credentials of an API, and stay with it.', {
        status: 400,
      });
    if (client.name !== name)
      throw new AppError('other_name', `The client ${id} has another name. Nothing was deleted.`, {
        status: 400,
      });
    const ended = await this.#db.transaction((db) => deleteClient(db, id, { actor }));
    this.refresh();
    await endLeftClientFamilies(this.#db, id, 'client_disabled', ended);
  }

  /**
   * Ends every token of the client and every family, and leaves the client as it is: it may ask for new ones. Gives how
   * many families ended, and the time up to which no token of it lives.
   * @throws AppError `unknown_client`
   */
  async revokeTokens(id: string, actor: string): Promise<{ families: number; until: Date }> {
    const reason = 'client_tokens_revoked';
    const { ended, until } = await this.#db.transaction(async (db) => {
      const until = await store.endTokens(db, id, CLOCK_SLACK);
      if (until === undefined) throw unknownClient(id);
      await writeAudit(db, {
        type: 'client.tokens_revoked',
        outcome: 'success',
        clientId: id,
        actor,
      });
      return { ended: await endClientFamilies(db, id, reason), until };
    });
    return { families: await endLeftClientFamilies(this.#db, id, reason, ended), until };
  }
}

/** The credentials with which an API introspects: a client that can do nothing else. */
export async function createIntrospectionClient(
  db: Db,
  resourceServerId: string,
  name: string,
): Promise<{ clientId: string; clientSecret: string }> {
  const clientId = `r_${randomToken(16)}`;
  const secret = newSecret();
  await store.insertClient(db, {
    id: clientId,
    name,
    type: 'resource_server',
    metadata: {
      grant_types: [],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'client_secret_basic',
    },
    resourceServerId,
    firstParty: false,
    verified: true,
  });
  await secrets.insertSecret(db, { clientId, ...secret });
  return { clientId, clientSecret: secret.value };
}
