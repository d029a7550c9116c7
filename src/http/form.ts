import type { Context, Middleware } from 'koa';
import { AppError, clientGone } from '../errors.ts';
import type { HandedOn } from './fast-path.ts';

const LIMIT = 64 * 1024;
const MAX_FIELDS = 500;

/**
 * The body as text, at most 64 KiB.
 * @throws AppError `body_too_large` (413), `client_gone` (499) if the connection ends before the body does
 */
export async function readBody(ctx: Context, limit = LIMIT): Promise<string> {
  const tooLarge = () =>
    new AppError('body_too_large', `The request is too large: at most ${limit} bytes are read.`, {
      status: 413,
    });
  if ((ctx.request.length ?? 0) > limit) throw tooLarge();
  // A fast path has read it, and handed it on.
  const { body } = ctx.req as HandedOn;
  if (body !== undefined) return body;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    // The answer to a body that is too large still has to leave by the same connection.
    for await (const chunk of ctx.req.iterator({ destroyOnReturn: false })) {
      size += (chunk as Buffer).length;
      if (size > limit) throw tooLarge();
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    throw error instanceof AppError ? error : clientGone(error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Only these carry a body that something reads. */
const withBody = new Set(['POST', 'PUT']);

/**
 * Waits for the whole body, which `readBody` then gives at once. It stays text: the engine, whose parser calls a body that is
 * too large a bad request, parses it itself and sees which fields came twice. Endpoints that read none set
 * `ctx.state.ignoresBody`.
 * @returns whether there was something to wait for
 * @throws AppError as `readBody` does
 */
export async function receiveBody(ctx: Context): Promise<boolean> {
  const request = ctx.req as HandedOn;
  if (!withBody.has(ctx.method) || ctx.state.ignoresBody === true || request.body !== undefined)
    return false;
  request.body = await readBody(ctx);
  return true;
}

/**
 * The fields of a posted form, each as often as it came.
 * @throws AppError `body_too_large` (413), `bad_request` (400) where it is no form or has too many fields
 */
export async function readForm(ctx: Context): Promise<URLSearchParams> {
  if (!ctx.is('application/x-www-form-urlencoded')) {
    throw new AppError('bad_request', 'The request is not a form.', { status: 400 });
  }
  const form = new URLSearchParams(await readBody(ctx));
  if ([...form.keys()].length > MAX_FIELDS)
    throw new AppError('bad_request', 'The form has too many fields.', { status: 400 });
  return form;
}

/**
 * Refuses a post that another site's page made. Browsers tell where a post comes from; what tells nothing is no browser
 * of the last years, and has no cookies that another site could ride on (they are SameSite=Lax).
 * @throws AppError `cross_site` (403)
 */
export function refuseCrossSite(issuer: string): Middleware {
  const { origin } = new URL(issuer);
  return (ctx, next) => {
    if (ctx.method === 'POST') {
      const site = ctx.get('Sec-Fetch-Site');
      const from = ctx.get('Origin');
      const foreign =
        site === '' ? from !== '' && from !== origin : site !== 'same-origin' && site !== 'none';
      if (foreign)
        throw new AppError('cross_site', 'This form was sent from another site.', { status: 403 });
    }
    return next();
  };
}
