import type { Context, Middleware } from 'koa';
import { AppError } from '../errors.ts';
import { issuerPath, requestOrigin } from '../http/request.ts';
import type { GatewayService, Identity, Question, Verdict } from './gateway.service.ts';

/**
 * Where each gateway says what is asked about. The way is named in the path, so that what a client sends in the headers of
 * another gateway counts for nothing.
 */
const ways = {
  /** `auth_request` asks by GET, and sends what its configuration says. */
  nginx: (ctx: Context) => ({
    method: only(ctx, 'x-original-method'),
    target: only(ctx, 'x-original-uri'),
  }),
  traefik: (ctx: Context) => ({
    method: only(ctx, 'x-forwarded-method'),
    target: only(ctx, 'x-forwarded-uri'),
  }),
  /** The HTTP service of `ext_authz` asks by the method and below the path that are asked about. */
  envoy: (ctx: Context, rest: string) => ({ method: ctx.method, target: rest }),
} as const;

const pathOf = /^\/gateway\/([\w-]{1,100})\/(nginx|traefik|envoy)(\/[^?]*)?(?:\?|$)/;

/** What came twice is nobody's. */
function only(ctx: Context, name: string): string | undefined {
  const all = ctx.req.headersDistinct[name] ?? [];
  return all.length === 1 ? all[0] : undefined;
}

/** Answers `/gateway/<API>/<kind of gateway>`, by every method: 200, 401, 403, or 407 to who is not the API's gateway. */
export function gatewayRoutes({
  issuer,
  gateway,
}: {
  readonly issuer: string;
  readonly gateway: GatewayService;
}): Middleware {
  const prefix = issuerPath(issuer);
  return async (ctx, next) => {
    // As it was sent: what is judged is not what a parser made of it.
    const sent = ctx.originalUrl.startsWith(prefix) ? ctx.originalUrl.slice(prefix.length) : '';
    const [, apiId = '', kind, rest] = pathOf.exec(sent) ?? [];
    if (kind === undefined || (rest !== undefined && kind !== 'envoy')) return next();
    const { method, target } = ways[kind as keyof typeof ways](ctx, rest ?? '');
    // What is asked about is no path of ours: it stands in no log.
    ctx.path = `/gateway/${apiId}/${kind}`;
    Object.assign(ctx, { _matchedRoute: `/gateway/:api/${kind}` });
    // Programs read the answer, errors too, and gateways hand it on: what we ask of browsers is not asked of theirs.
    ctx.state.oauth = true;
    ctx.remove('Strict-Transport-Security');
    const authorizations = ctx.req.headersDistinct.authorization ?? [];
    const question: Question = {
      apiId,
      credentials: only(ctx, 'x-gateway-authorization'),
      method,
      target,
      authorization: authorizations.join(', '),
    };
    answer(ctx, await gateway.judge(question, requestOrigin(ctx)));
    return undefined;
  };
}

function answer(ctx: Context, verdict: Verdict): void {
  ctx.set('Cache-Control', 'no-store');
  switch (verdict.kind) {
    case 'allowed':
      identify(ctx, verdict.identity);
      ctx.status = 200;
      ctx.body = '';
      return;
    case 'unauthorized': {
      const { api, error, because, scopes } = verdict;
      // RFC 6750, section 3.1: nothing is said of an error where nothing was presented.
      challenge(ctx, api, { error, error_description: error && because, scope: scopes.join(' ') });
      ctx.status = 401;
      ctx.body = { error: error ?? 'unauthorized', error_description: because };
      return;
    }
    case 'forbidden': {
      const { api, scopes, because } = verdict;
      const error = scopes === undefined ? 'access_denied' : 'insufficient_scope';
      if (scopes !== undefined) challenge(ctx, api, { error, scope: scopes.join(' ') });
      ctx.status = 403;
      ctx.body = { error, error_description: because };
      return;
    }
    case 'unknown_gateway':
      // Not 401: gateways hand that on, and every app would throw its tokens away for the mistake of an operator.
      ctx.set('Proxy-Authenticate', 'Basic realm="gateway"');
      ctx.status = 407;
      ctx.body = {
        error: 'invalid_client',
        error_description:
          'X-Gateway-Authorization must hold the introspection credentials of the API.',
      };
  }
}

/** All of them, always: a gateway that hands them on overwrites with them what the client sent. */
function identify(ctx: Context, { subject, clientId, scopes, roles, acr }: Identity): void {
  const headers = {
    'X-Auth-Subject': subject ?? '',
    'X-Auth-Client': clientId ?? '',
    'X-Auth-Scopes': scopes.join(' '),
    'X-Auth-Roles': roles.join(' '),
    'X-Auth-Acr': acr ?? '',
  };
  if (!Object.values(headers).every((value) => /^[\x20-\x7e]*$/.test(value)))
    throw new AppError('server_error', 'An identity holds what no header may hold.');
  ctx.set(headers);
}

/** RFC 6750, section 3. */
function challenge(
  ctx: Context,
  api: string,
  parameters: Readonly<Record<string, string | undefined>>,
): void {
  const said = Object.entries({ realm: api, ...parameters })
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}="${value?.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '')}"`);
  ctx.set('WWW-Authenticate', `Bearer ${said.join(', ')}`);
}
