import { decodeJwt } from 'jose';
import type { Middleware } from 'koa';
import type Provider from 'oidc-provider';
import { errors } from 'oidc-provider';
import type { ClientService } from '../client/client.service.ts';
import type { Logger } from '../lib/log.ts';
import { engineRoutes } from './endpoints.ts';

/** What is left of a sign-out request that is not trusted: nothing that names an app, or leads to one. */
const keptParameters = ['ui_locales', 'logout_hint'] as const;

/** The engine's classes, as far as they are used here. */
interface SignOutProvider extends Pick<Provider, 'Client'> {
  readonly IdToken: { validate(jwt: string, client: unknown): Promise<unknown> };
}

export interface SignOutParts {
  readonly provider: () => Provider;
  readonly clients: ClientService;
  readonly logger: Logger;
}

/**
 * Turns a sign-out request that can't be trusted into a plain one: the user is asked whether to sign out, and stays here (RP-
 * Initiated Logout, sections 2 and 4). The engine would answer it with an error page, on which nobody can sign out.
 */
export function distrustSignOuts({ provider, clients, logger }: SignOutParts): Middleware {
  return async (ctx, next) => {
    if (ctx.path !== engineRoutes.end_session) return next();
    const engine = provider() as unknown as SignOutProvider;
    const problem = await findProblem(ctx.query, engine, clients);
    if (problem !== undefined) {
      // The developer finds the reason here: the page is for the user.
      logger.info({ requestId: ctx.state.requestId, problem }, 'sign-out request is not trusted');
      const { query } = ctx;
      ctx.query = Object.fromEntries(
        keptParameters.flatMap((name) => (query[name] === undefined ? [] : [[name, query[name]]])),
      );
    }
    return next();
  };
}

/** Why the request is not trusted; undefined if it is, and for what the engine refuses anyway: parameters that came twice. */
async function findProblem(
  query: Readonly<Record<string, string | string[] | undefined>>,
  { Client, IdToken }: SignOutProvider,
  clients: ClientService,
): Promise<string | undefined> {
  if (Object.values(query).some(Array.isArray)) return undefined;
  const {
    id_token_hint: hint,
    client_id: id,
    post_logout_redirect_uri: uri,
  } = query as Readonly<Record<string, string | undefined>>;
  if (!hint && !id) return undefined;
  const named = hint ? audienceOf(hint) : id;
  if (named === undefined) return 'id_token_hint can not be read';
  if (id && id !== named) return 'id_token_hint was issued to another client than client_id';
  // No document of a client is fetched for a hint that anybody could have written.
  const client =
    (await clients.findStored(named)) === undefined ? undefined : await findClient(Client, named);
  if (client === undefined) return 'the client is unknown or disabled';
  if (hint && !(await isValid(() => IdToken.validate(hint, client))))
    return 'id_token_hint is not valid';
  if (uri && !client.postLogoutRedirectUriAllowed(uri))
    return 'post_logout_redirect_uri is not registered for the client';
  return undefined;
}

function audienceOf(hint: string): string | undefined {
  try {
    const { aud } = decodeJwt(hint);
    return typeof aud === 'string' ? aud : undefined;
  } catch {
    return undefined;
  }
}

async function findClient(Client: Provider['Client'], id: string) {
  try {
    return await Client.find(id);
  } catch (error) {
    // Its document can't be had now, or says something else.
    if (error instanceof errors.OIDCProviderError && error.statusCode < 500) return undefined;
    throw error;
  }
}

async function isValid(validate: () => Promise<unknown>): Promise<boolean> {
  try {
    await validate();
    return true;
  } catch {
    return false;
  }
}
