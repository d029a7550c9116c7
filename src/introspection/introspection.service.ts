import { type Client, isPublic } from '../client/client.ts';
import type { ClientService } from '../client/client.service.ts';
import type { Database } from '../db/database.ts';
import { StatementBatch } from '../db/statement-batch.ts';
import { sha256 } from '../lib/hash.ts';
import { isJwt, kindOf, type LiveToken, liveJwt, liveOpaque } from '../unit-of-work/live-token.ts';
import { findTokenWorths, isMachineJwtLive } from '../unit-of-work/token-reads.ts';
import type { PresentedJwt, TokenWorth } from '../unit-of-work/records.ts';
import type { Subjects } from '../unit-of-work/subjects.ts';
import type { VerifyJwt } from '../oidc/verify-jwt.ts';
import type { EndedPermissions } from '../permission/permission.service.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { type Answer, type Asker, describe, inactive, mayIntrospect } from './introspection.ts';

export type { LiveToken } from '../unit-of-work/live-token.ts';

export interface IntrospectionParts {
  readonly db: Database;
  readonly issuer: string;
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly verifyJwt: VerifyJwt;
  readonly subjects: Subjects;
  readonly endedPermissions: EndedPermissions;
}

/** What a presented token is worth, outside the engine's own flows, and who may be told of it. */
export class IntrospectionService {
  readonly #parts: IntrospectionParts;
  readonly #worths: StatementBatch<Buffer, TokenWorth | undefined>;

  constructor(parts: IntrospectionParts) {
    this.#parts = parts;
    this.#worths = new StatementBatch((idHashes) => findTokenWorths(parts.db, idHashes));
  }

  /**
   * The token, if it is ours and live at this moment: not expired, used up or revoked, its client and account not
   * disabled, its family and, where it ends with one, its session not ended. One round trip to the database at most.
   */
  async find(token: string): Promise<LiveToken | undefined> {
    if (isJwt(token)) {
      const jwt = await this.#parts.verifyJwt(token);
      return this.#within(jwt && (await this.#findJwt(jwt)));
    }
    const kind = kindOf(token);
    if (kind === undefined) return undefined;
    const worth = await this.#worths.do(sha256(token));
    return this.#within(liveOpaque({ value: token, kind }, worth, this.#parts.subjects));
  }

  /**
   * What the token is worth within what its client may still have: an access token that carries more is dead, and a refresh
   * token gives less.
   */
  async #within(token: LiveToken | undefined): Promise<LiveToken | undefined> {
    if (token === undefined) return undefined;
    const { clients, endedPermissions } = this.#parts;
    if (token.kind !== 'refresh')
      return (await endedPermissions.endsToken(carried(token))) ? undefined : token;
    const client = await clients.find(token.clientId);
    return client && { ...token, scopes: token.scopes.filter((scope) => mayHave(client, scope)) };
  }

  /** What the client is told of the token; undefined stands for one that is not live. */
  async answer(caller: Client, token: LiveToken | undefined): Promise<Answer> {
    if (token === undefined || !mayIntrospect(await this.#asker(caller), token)) return inactive;
    return describe(token, this.#parts.issuer);
  }

  /** The same by the client's id, of a token that the engine has found; the engine has authenticated the client. */
  async answerById(clientId: string, token: LiveToken | undefined): Promise<Answer> {
    const caller = await this.#parts.clients.find(clientId);
    return caller === undefined ? inactive : this.answer(caller, await this.#within(token));
  }

  async #findJwt(jwt: PresentedJwt): Promise<LiveToken | undefined> {
    const idHash = sha256(jwt.jti);
    const { db, subjects } = this.#parts;
    if (jwt.kind === 'access') return liveJwt(jwt, await this.#worths.do(idHash), subjects);
    return (await isMachineJwtLive(db, idHash, jwt))
      ? liveJwt(jwt, undefined, subjects)
      : undefined;
  }

  async #asker({ id, metadata, resourceServerId }: Client): Promise<Asker> {
    const server =
      resourceServerId === undefined
        ? undefined
        : await this.#parts.resourceServers.findById(resourceServerId);
    return {
      clientId: id,
      isPublic: isPublic(metadata),
      api: server?.identifier,
    };
  }
}

/** A client's own token names no subject, or the client. */
const carried = (token: LiveToken) => ({
  ...token,
  isMachine: token.accountId === undefined && (token.subject ?? token.clientId) === token.clientId,
});

/** Whether a client may still have a scope, of a user or of any API. */
const mayHave = ({ allowed, metadata }: Client, scope: string) =>
  typeof metadata.scope !== 'string' ||
  metadata.scope.split(' ').includes(scope) ||
  [...allowed.values()].some((scopes) => scopes.has(scope));
