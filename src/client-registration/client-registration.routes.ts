import Router from '@koa/router';
import type { Context } from 'koa';
import { isToken68, parseAuthorization } from '../../resource-server/authorization-header.ts';
import type { Client } from '../client/client.ts';
import { AppError } from '../errors.ts';
import { readBody } from '../http/form.ts';
import { requestOrigin } from '../http/request.ts';
import { epochSeconds } from '../lib/time.ts';
import type { ClientRegistrationService } from './client-registration.service.ts';
import { parseObject } from './json.ts';

export interface RegistrationRouteParts {
  readonly issuer: string;
  readonly registration: ClientRegistrationService;
}

/** Codes that go out as they are (RFC 7591, section 3.2.2; RFC 6750, section 3.1); others are told by their status. */
const codes = new Set([
  'invalid_client_metadata',
  'invalid_redirect_uri',
  'invalid_request',
  'invalid_token',
]);

/** `/register`, and `/register/<client id>` for who manages the client that it has registered. */
export function clientRegistrationRoutes({ issuer, registration }: RegistrationRouteParts) {
  const router = new Router();
  router.use(async (ctx, next) => {
    ctx.state.oauth = true;
    ctx.set('Cache-Control', 'no-store');
    try {
      await next();
    } catch (error) {
      if (!(error instanceof AppError) || error.status >= 500) throw error;
      await registration.noteRefusal(error.code, requestOrigin(ctx));
      answerRefusal(ctx, error);
    }
  });

  const described = (client: Client, more: Readonly<Record<string, unknown>>) => ({
    ...client.metadata,
    client_id: client.id,
    client_name: client.name,
    scope: scopesOf(client),
    ...more,
    registration_client_uri: `${issuer}/register/${client.id}`,
  });

  router.post('/register', async (ctx) => {
    const { client, clientSecret, managementToken } = await registration.register(
      await readObject(ctx),
      bearerToken(ctx),
      requestOrigin(ctx),
    );
    ctx.status = 201;
    ctx.body = described(client, {
      client_id_issued_at: epochSeconds(client.createdAt),
      ...shownSecret(clientSecret),
      registration_access_token: managementToken,
    });
  });

  router.get('/register/:id', async (ctx) => {
    const token = bearerToken(ctx);
    const client = await registration.read(idOf(ctx), token);
    ctx.body = described(client, {
      client_id_issued_at: epochSeconds(client.createdAt),
      registration_access_token: token,
    });
  });

  router.put('/register/:id', async (ctx) => {
    const token = bearerToken(ctx);
    const id = idOf(ctx);
    // Before the body is looked at: what is wrong with it is told to nobody else.
    await registration.read(id, token);
    const body = await readObject(ctx);
    const { client, clientSecret } = await registration.replace(
      id,
      token,
      body,
      requestOrigin(ctx),
    );
    ctx.body = described(client, {
      client_id_issued_at: epochSeconds(client.createdAt),
      ...shownSecret(clientSecret),
      registration_access_token: token,
    });
  });

  router.post('/register/:id/client_secret', async (ctx) => {
    const secret = await registration.addSecret(idOf(ctx), bearerToken(ctx));
    ctx.body = shownSecret(secret);
  });

  router.post('/register/:id/registration_access_token', async (ctx) => {
    const id = idOf(ctx);
    const next = await registration.replaceToken(id, bearerToken(ctx), requestOrigin(ctx));
    ctx.body = {
      registration_access_token: next,
      registration_client_uri: `${issuer}/register/${id}`,
    };
  });

  router.delete('/register/:id', async (ctx) => {
    await registration.remove(idOf(ctx), bearerToken(ctx), requestOrigin(ctx));
    ctx.status = 204;
  });

  return router;
}

const idOf = (ctx: { readonly params: { readonly id?: string } }) => ctx.params.id ?? '';

/** A secret is shown where it was made, and never again. It has no end. */
const shownSecret = (secret: string | undefined) =>
  secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 };

/** What the client may ask for: of a person, and of the APIs that are open to it. */
function scopesOf({ metadata, allowed }: Client): string {
  const identity = ((metadata.scope as string | undefined) ?? '').split(' ');
  const ofApis = [...allowed.values()].flatMap((scopes) => [...scopes]).toSorted();
  return [...new Set([...identity, ...ofApis])].filter((scope) => scope !== '').join(' ');
}

/** @throws AppError `invalid_client_metadata`, `body_too_large` */
async function readObject(ctx: Context): Promise<Record<string, unknown>> {
  if (!ctx.is('application/json'))
    throw new AppError('invalid_client_metadata', 'The request is no JSON (application/json).', {
      status: 400,
    });
  return parseObject(await readBody(ctx));
}

/** Only from the header (RFC 6750, section 2.1): in a URL it would end up in logs. */
function bearerToken(ctx: Context): string | undefined {
  const { authorization } = ctx.headers;
  if (authorization === undefined) return undefined;
  const header = parseAuthorization(authorization);
  return header?.scheme === 'bearer' && isToken68(header.value) ? header.value : 'malformed';
}

function answerRefusal(ctx: Context, error: AppError): void {
  ctx.status = error.status;
  if (error.status === 401) ctx.set('WWW-Authenticate', 'Bearer error="invalid_token"');
  if (error.retryAfter !== undefined) ctx.set('Retry-After', String(error.retryAfter));
  ctx.body = {
    error: codes.has(error.code)
      ? error.code
      : error.status === 429
        ? 'temporarily_unavailable'
        : 'invalid_request',
    error_description: error.message,
  };
}
