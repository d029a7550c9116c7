import { errors } from 'oidc-provider';
import { parseScope } from '../authorization/scopes.ts';
import { refusal } from './refusal.ts';

/** What somebody asks for who exchanges a token (RFC 8693, section 2.1). */
export interface ExchangeRequest {
  readonly subjectToken: string;
  readonly actorToken: string | undefined;
  /** The API that the new token is for, by its identifier. */
  readonly target: string;
  /** What is not asked for is not given. */
  readonly scopes: ReadonlySet<string>;
}

export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/** The parameters of the grant, and those of them that may come more than once. */
export const exchangeParameters = [
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
  'requested_token_type',
  'resource',
  'audience',
  'scope',
];
export const repeatable = ['resource', 'audience'];

type Params = Readonly<Record<string, unknown>>;

/** @throws InvalidRequest, InvalidTarget */
export function parseExchange(params: Params): ExchangeRequest {
  const subjectToken = required(params, 'subject_token');
  checkType('subject_token_type', required(params, 'subject_token_type'));
  const actorToken = optional(params, 'actor_token');
  const actorTokenType = optional(params, 'actor_token_type');
  if ((actorToken === undefined) !== (actorTokenType === undefined))
    throw malformed('actor_token and actor_token_type go together');
  if (actorTokenType !== undefined) checkType('actor_token_type', actorTokenType);
  const requested = optional(params, 'requested_token_type');
  if (requested !== undefined) checkType('requested_token_type', requested);
  return {
    subjectToken,
    actorToken,
    target: targetOf(params),
    scopes: parseScope(params.scope),
  };
}

/** ID tokens are for clients and refresh tokens for us: neither says what an API may be asked for. */
function checkType(name: string, type: string): void {
  if (type !== ACCESS_TOKEN)
    throw refusal(
      new errors.InvalidRequest(
        `${name} must be ${ACCESS_TOKEN}: no other token is exchanged here`,
      ),
      'unsupported_token_type',
    );
}

/** `resource` and `audience` name the same here: one API, by its identifier. */
function targetOf({ resource, audience }: Params): string {
  const named = new Set([resource, audience].flat().filter((one) => one !== undefined));
  const [target] = named;
  if (target === undefined) throw wrongTarget('name the API that the token is for in resource');
  if (named.size > 1 || typeof target !== 'string')
    throw wrongTarget('a token is for one API: resource and audience name more');
  return target;
}

function required(params: Params, name: string): string {
  const value = optional(params, name);
  if (value === undefined) throw malformed(`missing required parameter ${name}`);
  return value;
}

function optional(params: Params, name: string): string | undefined {
  const value = params[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const malformed = (description: string) =>
  refusal(new errors.InvalidRequest(description), 'malformed');
const wrongTarget = (description: string) =>
  refusal(new errors.InvalidTarget(description), 'target');
