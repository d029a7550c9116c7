/**
 * What is wrong with a call: the error codes of RFC 6750, RFC 9449 and RFC 9470, and two that are never on the wire as
 * the `error` of a challenge.
 */
export type AuthorizationErrorCode =
  | 'missing_token'
  | 'invalid_request'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'insufficient_user_authentication'
  | 'invalid_dpop_proof'
  | 'use_dpop_nonce'
  | 'temporarily_unavailable';

const statuses: Record<AuthorizationErrorCode, number> = {
  missing_token: 401,
  invalid_request: 400,
  invalid_token: 401,
  insufficient_scope: 403,
  insufficient_user_authentication: 401,
  invalid_dpop_proof: 401,
  use_dpop_nonce: 401,
  temporarily_unavailable: 503,
};

/** How long a caller is asked to wait when nobody can tell what its token is worth (seconds). */
const RETRY_AFTER = '5';

/**
 * The call must not go on. It says what to answer: the status, the headers (with the challenges of `WWW-Authenticate`),
 * and a body that tells the caller no more than it may know. `cause` is for logs alone.
 */
export class AuthorizationError extends Error {
  override readonly name = 'AuthorizationError';
  readonly code: AuthorizationErrorCode;
  readonly status: number;
  /** The values of `WWW-Authenticate`: one for each scheme that is open to the caller. */
  readonly challenges: readonly string[];
  /** All headers of the answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** Koa and Express show the message of an error only where this is set; it is written for the caller. */
  readonly expose = true;

  constructor(
    code: AuthorizationErrorCode,
    description: string,
    {
      challenges = [],
      headers = {},
      cause,
    }: {
      challenges?: readonly string[];
      headers?: Readonly<Record<string, string>>;
      cause?: unknown;
    } = {},
  ) {
    super(description, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = statuses[code];
    this.challenges = challenges;
    this.headers = {
      'Cache-Control': 'no-store',
      ...(challenges.length === 0 ? {} : { 'WWW-Authenticate': challenges.join(', ') }),
      ...(this.status === 503 ? { 'Retry-After': RETRY_AFTER } : {}),
      ...headers,
    };
  }

  /** What is answered: never more than the code, and what it means. */
  get body(): { readonly error: AuthorizationErrorCode; readonly error_description: string } {
    return { error: this.code, error_description: this.message };
  }
}

/** What is wrong, before it is known which challenges the request is answered with. */
export class Refusal extends Error {
  readonly code: AuthorizationErrorCode;
  /** Further parameters of the challenge. */
  readonly parameters: Readonly<Record<string, string | undefined>>;

  constructor(
    code: AuthorizationErrorCode,
    description: string,
    parameters: Readonly<Record<string, string | undefined>> = {},
    cause?: unknown,
  ) {
    super(description, cause === undefined ? undefined : { cause });
    this.code = code;
    this.parameters = parameters;
  }
}

/** Nobody can tell now what the token is worth, so that the call must not go on. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}
