import { writeAudit } from '../audit/audit.service.ts';
import type { AuditOrigin } from '../audit/audit.ts';
import type { ClientService } from '../client/client.service.ts';
import type { Database } from '../db/database.ts';
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
export type Identity = Pick<LiveToken, 'accountId' | 'scopes' | 'roles' | 'acr'> & {
  readonly clientId: string | undefined;
};

export type Verdict =
  | { readonly kind: 'allowed'; readonly identity: Identity }
  /** The gateway is not the API's, or says it wrongly. */
  | { readonly kind: 'unknown_gateway' }
  /** A token is needed, or another one. */
  | {
      readonly kind: 'unauthorized';
      readonly api: string;
      readonly scopes: readonly string[];
      readonly error: 'invalid_token' | undefined;
      readonly because: string;
    }
  | {
      readonly kind: 'forbidden';
      readonly api: string;
      /** Those that the token would need; undefined where none would help. */
      readonly scopes: readonly string[] | undefined;
      readonly because: string;
    };

const nobody: Identity = {
  accountId: undefined,
  clientId: undefined,
  scopes: [],
  roles: [],
  acr: undefined,
};

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
    return this.#check(rule, api.identifier, question.authorization);
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

  async #check(rule: GatewayRule, api: string, authorization = ''): Promise<Verdict> {
    const { scopes } = rule;
    const unauthorized = (because: string, error?: 'invalid_token'): Verdict => ({
      kind: 'unauthorized',
      api,
      scopes,
      error,
      because,
    });
    const [, scheme = '', presented = ''] = /^(Bearer|DPoP) +(.*)$/is.exec(authorization) ?? [];
    if (scheme === '') return unauthorized('A token is needed.');
    const isText = /^[\w.~+/-]+=*$/.test(presented);
    const token = isText ? await this.#parts.introspection.find(presented) : undefined;
    if (token === undefined || token.kind === 'refresh' || ![token.audience].flat().includes(api))
      return unauthorized('The token is expired, revoked, or not for this API.', 'invalid_token');
    // Of its proof a gateway hands on too little to check it; as a bearer's it would be worth the theft.
    if (token.cnf !== undefined || !/^bearer$/i.test(scheme))
      return unauthorized('Tokens that are bound to a key are not taken here.', 'invalid_token');
    if (!scopes.every((scope) => token.scopes.includes(scope)))
      return { kind: 'forbidden', api, scopes, because: 'The token lacks a scope.' };
    if (rule.roles.length > 0 && !rule.roles.some((role) => token.roles.includes(role)))
      return {
        kind: 'forbidden',
        api,
        scopes: undefined,
        because: 'The account lacks a role.',
      };
    return { kind: 'allowed', identity: token };
  }

  /** Anybody could ask what a token is worth otherwise (RFC 7662, sections 2.1 and 4). */
  async #authenticate({ apiId, credentials }: Question, origin: AuditOrigin) {
    if (credentials === undefined) return undefined;
    const [, encoded = ''] = /^Basic +([\w+/-]+=*)$/i.exec(credentials) ?? [];
    const [, id = '', secret = ''] =
      /^([^:]+):(.+)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
    const { clients, resourceServers, db } = this.#parts;
    const client = await clients.find(id);
    if (
      client !== undefined &&
      client.resourceServerId === apiId &&
      !client.disabled &&
      clients.verifySecret(client, secret)
    )
      return resourceServers.findById(apiId);
    await writeAudit(db.kysely, {
      type: 'client.authentication',
      outcome: 'refused',
      clientId: client?.id,
      reason: 'gateway_refused',
      ...origin,
    });
    return undefined;
  }
}
