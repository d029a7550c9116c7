import type { Context, Middleware } from 'koa';
import {
  parseAuthorization,
  parseBasic,
  writeBasic,
} from '../../../resource-server/authorization-header.ts';
import { AppError } from '../../errors.ts';
import type { HandedOn } from '../../http/fast-path.ts';
import { clientPaths } from '../endpoints.ts';

/**
 * Parses the `Authorization` header before the engine does, and hands it on in the one form that the engine's own parser
 * reads. A client that sends no credentials where they are required, or a header that holds none, has not authenticated:
 * 401 with a challenge (RFC 6749, section 5.2; RFC 9110, section 15.5.2).
 * @throws AppError `invalid_client` (401)
 */
export function readCredentials(issuer: string): Middleware {
  const challenge = `Basic realm="${issuer}"`;
  return async (ctx, next) => {
    if (!clientPaths.has(ctx.path)) {
      normalize(ctx);
      return next();
    }
    try {
      normalizeBasic(ctx);
      await next();
    } catch (error) {
      if (error instanceof AppError && error.status === 401) ctx.set('WWW-Authenticate', challenge);
      throw error;
    }
    // The engine sends a challenge only to clients that sent the header.
    if (ctx.status === 401 && !ctx.res.hasHeader('WWW-Authenticate'))
      ctx.set('WWW-Authenticate', challenge);
  };
}

function normalize({ req: { headers } }: Context): void {
  const header =
    headers.authorization === undefined ? undefined : parseAuthorization(headers.authorization);
  if (header !== undefined) headers.authorization = `${header.scheme} ${header.value}`;
}

/** Leaves no audit event: what holds no credentials names no client. */
function normalizeBasic(ctx: Context): void {
  const { headers, body } = ctx.req as HandedOn;
  if (headers.authorization === undefined) {
    if (!namesClient(body)) throw refusal('The request has no client credentials.');
    return;
  }
  const header = parseAuthorization(headers.authorization);
  const basic = header?.scheme === 'basic' ? parseBasic(header.value) : undefined;
  if (basic === undefined)
    throw refusal('The Authorization header must hold the client id and secret (HTTP Basic).');
  headers.authorization = writeBasic(basic);
}

/** By its id, or by an assertion, which holds it: what they prove is for the engine to check. */
function namesClient(body: string | undefined): boolean {
  const form = new URLSearchParams(body);
  return ['client_id', 'client_assertion'].some((name) =>
    form.getAll(name).some((it) => it !== ''),
  );
}

const refusal = (message: string) => new AppError('invalid_client', message, { status: 401 });
