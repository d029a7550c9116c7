import type { AuditOrigin } from '../audit/audit.ts';
import { writeAudit } from '../audit/audit.service.ts';
import type { RefusalCounts } from '../audit/refusals.service.ts';
import { type Client, hasSecret } from '../client/client.ts';
import type { ClientService } from '../client/client.service.ts';
import {
  deleteClient,
  endLeft,
  insertAllowedScopes,
  insertSelfRegistered,
  prepareSelfRegistered,
  replaceSelfRegistered,
  type SelfRegistered,
} from '../client/self-registered.service.ts';
import type { Database, Db } from '../db/database.ts';
import { AppError } from '../errors.ts';
import { endLeftClientFamilies } from '../grant/grant.service.ts';
import { randomToken, sha256 } from '../lib/hash.ts';
import type { Sealer } from '../lib/seal.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { AddressQuota, type Quota } from './address-quota.ts';
import { invalidToken, prefixes, type RegistrationMode } from './client-registration.ts';
import * as store from './client-registration.store.ts';
import { readMetadata } from './metadata.ts';

type Body = Readonly<Record<string, unknown>>;
type Origin = AuditOrigin & { readonly address: string };

export interface RegistrationParts {
  readonly db: Database;
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly sealer: Sealer;
  readonly outboundAllow: OutboundAllow;
  /**
   * Whether the engine could work with it.
   * @throws AppError `invalid_client_metadata`
   */
  readonly check: (client: SelfRegistered) => void;
  readonly mode: RegistrationMode;
  /**
   * Counts a call of ours to a host that somebody has named, by the host and by their address.
   * @throws AppError `too_many_attempts` (429)
   */
  readonly count: (host: string, address: string) => Promise<void>;
  readonly refusals: Pick<RefusalCounts, 'note'>;
  readonly quota: Quota;
}

/** The response to a registration. Only hashes of the secret and the token are stored. */
export interface Registered {
  readonly client: Client;
  readonly clientSecret: string | undefined;
  readonly managementToken: string;
}

/** Dynamic registration (RFC 7591), and its management by the client (RFC 7592). */
export class ClientRegistrationService {
  readonly #parts: RegistrationParts;
  readonly #quota: AddressQuota;

  constructor(parts: RegistrationParts) {
    this.#parts = parts;
    this.#quota = new AddressQuota(parts);
  }

  /**
   * Registers a client: with an initial access token, or without one within the quotas.
   * @throws AppError `invalid_token` (401), `invalid_redirect_uri`, `invalid_client_metadata`, `registration_full` (429),
   * `too_many_attempts` (429)
   */
  async register(body: Body, token: string | undefined, origin: Origin): Promise<Registered> {
    const { db, mode } = this.#parts;
    if (token === undefined && mode !== 'open') throw invalidToken();
    const from = this.#quota.keyOf(origin.address);
    if (token !== undefined && !(await store.isUsableToken(db.kysely, sha256(token))))
      throw invalidToken();
    if (token === undefined) {
      // Checked before anything is locked or called, since most of a flood ends here. The transaction checks again.
      const full = await this.#quota.findFull(db.kysely, from);
      if (full !== undefined && !(await this.#hasTwin(from, body))) throw full;
    }
    const prepared = await this.#prepare(body, origin);
    const managementToken = `${prefixes.management}${randomToken(32)}`;
    let isReplaced = false;
    const made = await db.transaction(async (tx) => {
      const initial =
        token === undefined ? undefined : await store.useInitialToken(tx, sha256(token));
      if (token !== undefined && initial === undefined) throw invalidToken();
      if (initial === undefined) {
        await store.lockAnybody(tx);
        isReplaced = await this.#quota.makeRoom(tx, from, prepared);
      }
      const by = initial === undefined ? 'anybody' : 'token';
      const credentials = await insertSelfRegistered(tx, prepared, by);
      const { clientId } = credentials;
      await store.insertRegistration(tx, {
        clientId,
        tokenHash: sha256(managementToken),
        from: initial === undefined ? from : undefined,
        initialTokenId: initial?.id,
      });
      for (const [identifier, scopes] of Object.entries(initial?.apis ?? {}))
        await this.#open(tx, clientId, identifier, scopes);
      await writeAudit(tx, {
        type: 'client.registration',
        outcome: 'success',
        clientId,
        data: { by, ...(initial === undefined ? {} : { initial_access_token: initial.id }) },
        ...origin,
      });
      return credentials;
    });
    if (isReplaced) this.#parts.clients.refresh();
    const client = (await this.#parts.clients.find(made.clientId)) as Client;
    return { client, clientSecret: made.clientSecret, managementToken };
  }

  /** @throws AppError `invalid_token` (401) */
  async read(id: string, token: string | undefined): Promise<Client> {
    return (await this.#managed(id, token)).client;
  }

  /**
   * Replaces all metadata that the client registered (RFC 7592, section 2.2).
   * @throws AppError `invalid_token` (401), `invalid_redirect_uri`, `invalid_client_metadata`, `too_many_attempts` (429)
   */
  async replace(
    id: string,
    token: string | undefined,
    body: Body,
    origin: Origin,
  ): Promise<{ client: Client; clientSecret: string | undefined }> {
    const { client } = await this.#managed(id, token);
    this.#checkRepeated(client, body);
    const prepared = await this.#prepare(body, origin);
    const { db, clients } = this.#parts;
    const { secret: clientSecret, ended } = await db.transaction(async (tx) => {
      const replaced = await replaceSelfRegistered(tx, id, prepared).catch(inWordsOfProtocol);
      await writeAudit(tx, {
        type: 'client.changed',
        outcome: 'success',
        clientId: id,
        data: { by: 'itself' },
        ...origin,
      });
      return replaced;
    });
    clients.refresh();
    for (const one of ended) await endLeft(db, one);
    return { client: (await clients.show(id)).client, clientSecret };
  }

  /**
   * Deletes the client: its tokens end with it (RFC 7592, section 2.3).
   * @throws AppError `invalid_token` (401)
   */
  async remove(id: string, token: string | undefined, origin: AuditOrigin): Promise<void> {
    await this.#managed(id, token);
    const { db, clients } = this.#parts;
    const ended = await db.transaction(async (tx) => {
      await store.forgetToken(tx, id);
      return deleteClient(tx, id, origin);
    });
    clients.refresh();
    await endLeftClientFamilies(db, id, 'client_disabled', ended);
  }

  /**
   * Adds a secret. Two are valid at once, so that the client can switch without a gap.
   * @throws AppError `invalid_token` (401), `invalid_request` for a client that has no secret
   */
  async addSecret(id: string, token: string | undefined): Promise<string> {
    const { client } = await this.#managed(id, token);
    if (!hasSecret(client.metadata))
      throw new AppError('invalid_request', 'This client authenticates without a secret.', {
        status: 400,
      });
    const { clientSecret } = await this.#parts.clients.addSecret(id, 'itself');
    return clientSecret as string;
  }

  /**
   * Issues a registration access token that replaces the presented one. The old one stays valid until the new one is used,
   * so that a lost response locks no client out.
   * @throws AppError `invalid_token` (401)
   */
  async replaceToken(id: string, token: string | undefined, origin: AuditOrigin): Promise<string> {
    await this.#managed(id, token);
    const next = `${prefixes.management}${randomToken(32)}`;
    await this.#parts.db.transaction(async (tx) => {
      await store.setNextToken(tx, id, sha256(next));
      await writeAudit(tx, {
        type: 'client.changed',
        outcome: 'success',
        clientId: id,
        data: { by: 'itself', changed: ['registration_access_token'] },
        ...origin,
      });
    });
    return next;
  }

  /** Records a refusal in the audit, which counts similar ones so that a flood does not fill it. */
  async noteRefusal(reason: string, origin: AuditOrigin): Promise<void> {
    await this.#parts.refusals.note({
      type: 'client.registration',
      outcome: 'refused',
      reason,
      ...origin,
    });
  }

  async #prepare(body: Body, { address }: Origin): Promise<SelfRegistered> {
    const { outboundAllow } = this.#parts;
    const said = readMetadata(body);
    const { sectorIdentifierUri: uri } = said.aspects;
    const called = typeof uri === 'string' && URL.canParse(uri) ? new URL(uri) : undefined;
    if (called !== undefined && outboundAllow.findProblem(called) === undefined)
      await this.#parts.count(called.hostname, address);
    const prepared = await prepareSelfRegistered(said, outboundAllow).catch(inWordsOfProtocol);
    this.#parts.check(prepared);
    return prepared;
  }

  /** Whether `AddressQuota.makeRoom` would find room. A registration for which the server calls a host replaces no client. */
  async #hasTwin(from: Buffer, body: Body): Promise<boolean> {
    const { db, outboundAllow } = this.#parts;
    if (body.sector_identifier_uri !== undefined) return false;
    const prepared = await prepareSelfRegistered(readMetadata(body), outboundAllow).catch(
      inWordsOfProtocol,
    );
    return store.hasTwin(db.kysely, from, prepared);
  }

  /** Allows what is left of the token's scopes: the API may have been deleted, or its scopes changed, since. */
  async #open(db: Db, clientId: string, identifier: string, scopes: readonly string[]) {
    const server = await this.#parts.resourceServers.find(identifier);
    const left = scopes.filter((scope) => server?.scopes.has(scope));
    if (server !== undefined && left.length > 0)
      await insertAllowedScopes(db, clientId, server.id, left);
  }

  /** A token that is presented for another client has leaked: it is revoked. */
  async #managed(id: string, token: string | undefined): Promise<{ client: Client }> {
    const { db, clients } = this.#parts;
    if (token === undefined) throw invalidToken();
    const own = await store.findManaged(db.kysely, sha256(token));
    if (own === undefined) throw invalidToken();
    if (own.id !== id) {
      await store.forgetToken(db.kysely, own.id);
      throw invalidToken();
    }
    if (own.isNext) await store.promoteToken(db.kysely, id, sha256(token));
    const { client } = await clients.show(id).catch(() => {
      throw invalidToken();
    });
    if (client.disabled) throw invalidToken();
    return { client };
  }

  /** Refuses values that a client must not change or send (section 2.2). */
  #checkRepeated(client: Client, body: Body): void {
    const refuseRepeated = (reason: string): never => {
      throw new AppError('invalid_request', reason, { status: 400 });
    };
    const own = [
      'registration_access_token',
      'registration_client_uri',
      'client_secret_expires_at',
      'client_id_issued_at',
    ];
    const named = own.find((key) => body[key] !== undefined);
    if (named !== undefined) refuseRepeated(`The request must not hold ${named}.`);
    if (body.client_id !== client.id) refuseRepeated('The client_id must be that of the client.');
    const { client_secret: secret } = body;
    const isRight =
      secret === undefined ||
      (typeof secret === 'string' && this.#parts.clients.verifySecret(client, secret));
    if (!isRight) refuseRepeated('The client_secret must be that of the client, or left out.');
  }
}

/** The same rules throw `invalid_client` to operators. */
function inWordsOfProtocol(error: unknown): never {
  if (error instanceof AppError && error.code === 'invalid_client')
    throw new AppError('invalid_client_metadata', error.message, { status: 400, cause: error });
  throw error;
}
