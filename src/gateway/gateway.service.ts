import type { AuditOrigin } from '../audit/audit.ts';
import type { RefusalCounts } from '../audit/refusals.service.ts';
import type { ClientService } from '../client/client.service.ts';
import type { Database } from '../db/database.ts';
import { isToken68, parseAuthorization } from '../../resource-server/authorization-header.ts';
import { basicCredentials } from '../http/credentials.ts';
import type { IntrospectionService, LiveToken } from '../introspection/introspection.service.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import type { GatewayRule } from './gateway.ts';
import { readPath } from './path.ts';
import type { GatewayRules } from './rules.service.ts';

export interface GatewayParts {
  readonly db: Database;
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly rules: GatewayRules;
  readonly introspection: IntrospectionService;
  readonly refusals: Pick<RefusalCounts, 'note'>;
}

/** What a gateway asks: may this request pass? */
export interface Question {
  readonly apiId: string;
  /** `Basic`, with the API's own introspection credentials. */
  readonly credentials: string | undefined;
  readonly method: string | undefined;
  /** Path and query, as the client sent them. */
  readonly target: string | undefined;
  /** What the client sent to authorize itself. */
  readonly authorization: string | undefined;
}

/** Who it is that passes; all of it is empty where nobody was asked. */
export type Identity = Pick<LiveToken, 'subject' | 'scopes' | 'roles' | 'acr'> & {
  readonly clientId: string | undefined;
};

interface NoToken {
  /** Undefined where none was presented (RFC 6750, section 3.1). */
  readonly error: 'invalid_token' | undefined;
  readonly because: string;
}

export type Verdict =
  | { readonly kind: 'allowed'; readonly identity: Identity }
  /** The gateway is not the API's, or says it wrongly. */
  | { readonly kind: 'unknown_gateway' }
  /** A token is needed, or another one. */
  | (NoToken & {
      readonly kind: 'unauthorized';
      readonly api: string;
      readonly scopes: readonly string[];
    })
  | {
      readonly kind: 'forbidden';
      readonly api: string;
      /** Those that the token would need; undefined where none would help. */
      readonly scopes: readonly string[] | undefined;
      readonly because: string;
    };

const nobody: Identity = {
  subject: undefined,
  clientId: undefined,
  scopes: [],
  roles: [],
  acr: undefined,
};

const refusedToken = (because: string): NoToken => ({ error: 'invalid_token', because });

/** Answers a gateway: who asks, what is asked, which rule decides, and what the token is worth. */
export class GatewayService {
  readonly #parts: GatewayParts;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  /** One round trip to the database at most, where the caches are warm. */
  async judge(question: Question, origin: AuditOrigin): Promise<Verdict> {
    const api = await this.#authenticate(question, origin);
    if (api === undefined) return { kind: 'unknown_gateway' };
    const rule = await this.#findRule(question, api.id);
    if (typeof rule === 'string')
      return { kind: 'forbidden', api: api.identifier, scopes: undefined, because: rule };
    if (rule.public) return { kind: 'allowed', identity: nobody };
    return this.#check(rule, api.identifier, question.authorization, origin);
  }

  async #findRule(question: Question, apiId: string): Promise<GatewayRule | string> {
    const { method = '', target = '' } = question;
    const path = readPath(target);
    if (path === undefined) return 'The path could be read in more than one way.';
    // A server behind may take `delete` for DELETE.
    if (!/^[A-Z][A-Z-]*$/.test(method)) return 'The method is not in capitals.';
    const rule = await this.#parts.rules.find(apiId, method, path);
    return rule ?? 'No rule of this API lets the request pass.';
  }

  async #check(
    rule: GatewayRule,
    api: string,
    authorization: string | undefined,
    origin: AuditOrigin,
  ): Promise<Verdict> {
    const token = await this.#findToken(api, authorization, origin);
    const { scopes } = rule;
    if ('because' in token) return { kind: 'unauthorized', api, scopes, ...token };
    if (!scopes.every((scope) => token.scopes.includes(scope)))
      return { kind: 'forbidden', api, scopes, because: 'The token lacks a scope.' };
    if (rule.roles.length > 0 && !rule.roles.some((role) => token.roles.includes(role)))
      return { kind: 'forbidden', api, scopes: undefined, because: 'The account lacks a role.' };
    return { kind: 'allowed', identity: token };
  }

  async #findToken(
    api: string,
    authorization = '',
    origin: AuditOrigin,
  ): Promise<LiveToken | NoToken> {
    const { scheme, value } = parseAuthorization(authorization) ?? {};
    if (value === undefined || value === '' || (scheme !== 'bearer' && scheme !== 'dpop'))
      return { error: undefined, because: 'A token is needed.' };
    const token = isToken68(value) ? await this.#parts.introspection.find(value) : undefined;
    const isAccess = token?.kind === 'access' || token?.kind === 'machine';
    if (token === undefined || !isAccess || ![token.audience].flat().includes(api))
      return refusedToken('The token is expired, revoked, or not for this API.');
    const isBearer = scheme === 'bearer';
    if (token.cnf === undefined && isBearer) return token;
    // Without its proof it was taken from its client; of the proof a gateway hands on too little to check it.
    if (token.cnf !== undefined && isBearer)
      await this.#parts.refusals.note({
        type: 'token.refused',
        outcome: 'refused',
        accountId: token.accountId,
        clientId: token.clientId,
        grantId: token.grantId,
        reason: 'invalid_token',
        data: { endpoint: 'gateway' },
        ...origin,
      });
    return refusedToken('Tokens that are bound to a key are not taken here.');
  }

  /** Anybody could ask what a token is worth otherwise (RFC 7662, sections 2.1 and 4). */
  async #authenticate({ apiId, credentials }: Question, origin: AuditOrigin) {
    if (credentials === undefined) return undefined;
    const { clients, resourceServers, refusals } = this.#parts;
    const basic = basicCredentials(credentials);
    const client = basic && (await clients.authenticate(basic));
    if (client?.resourceServerId === apiId) return resourceServers.findById(apiId);
    // The audit names only who there is.
    const named = basic && (await clients.findStored(basic.clientId));
    await refusals.note({
      type: 'client.authentication',
      outcome: 'refused',
      clientId: named?.id,
      reason: 'gateway_refused',
      ...origin,
    });
    return undefined;
  }
}
