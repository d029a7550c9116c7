import Koa, { type Context } from 'koa';
import * as oauth from 'openid-client';
import { discovered } from './discovery.ts';
import { type Credentials, scopes } from './registration.ts';

export interface ApiOptions {
  readonly issuer: string;
  /** The audience that tokens must name: this API's own address. */
  readonly identifier: string;
  /** With these it asks the server about tokens. */
  readonly credentials: Credentials;
}

interface Invoice {
  readonly number: number;
  readonly for: string;
  readonly amount: number;
}

/** The token is missing or not good enough: what is answered, and the challenge (RFC 6750, section 3). */
class Refusal extends Error {
  readonly status: number;
  readonly challenge: string;

  constructor(status: number, details: Record<string, string> = {}) {
    super(details.error_description ?? 'a token is needed');
    this.status = status;
    const params = Object.entries({ realm: 'Ledger', ...details });
    this.challenge = `Bearer ${params.map(([name, value]) => `${name}="${value}"`).join(', ')}`;
  }
}

const customers = ['Aster Bakery', 'Holm & Daughters', 'The Reading Room'];

/** An example API: it keeps a few invoices for each person, and asks the server about the token of every call. */
export function createApi({ issuer, identifier, credentials }: ApiOptions): Koa {
  const server = discovered(issuer, credentials);
  const invoices = new Map<string, Invoice[]>();

  /** @throws Refusal where the token is not one for this API with this scope */
  async function authorize(ctx: Context, scope: string): Promise<string> {
    const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(ctx.get('Authorization'))?.[1];
    // Who sent no token is not told what was wrong with it (RFC 6750, section 3.1).
    if (token === undefined) throw new Refusal(401);
    const answer = await oauth.tokenIntrospection(await server(), token);
    const isOurs =
      answer.active && [answer.aud].flat().includes(identifier) && answer.sub !== undefined;
    // A token that is bound to a key is none for whoever merely holds it.
    if (!isOurs || answer.cnf !== undefined) {
      throw new Refusal(401, {
        error: 'invalid_token',
        error_description: 'the token has ended, or is not for this API',
      });
    }
    if (!(answer.scope ?? '').split(' ').includes(scope)) {
      throw new Refusal(403, {
        error: 'insufficient_scope',
        error_description: 'the token does not allow this',
        scope,
      });
    }
    return answer.sub as string;
  }

  function invoicesOf(sub: string): Invoice[] {
    const known =
      invoices.get(sub) ??
      customers.map((name, index) => ({
        number: 1001 + index,
        for: name,
        amount: 120 + 85 * index,
      }));
    invoices.set(sub, known);
    return known;
  }

  const app = new Koa();
  app.use(async (ctx, next) => {
    ctx.set('Cache-Control', 'no-store');
    try {
      await next();
    } catch (error) {
      if (error instanceof Refusal) {
        ctx.status = error.status;
        ctx.set('WWW-Authenticate', error.challenge);
        ctx.body = { error: error.message };
      } else {
        // It could not be asked: nobody is let in, and nobody is told that their token is bad.
        ctx.status = 503;
        ctx.set('Retry-After', '5');
        ctx.body = { error: 'the authorization server does not answer' };
      }
    }
  });
  app.use(async (ctx) => {
    if (ctx.path !== '/invoices') return;
    if (ctx.method === 'GET') {
      ctx.body = { invoices: invoicesOf(await authorize(ctx, scopes.read)) };
    } else if (ctx.method === 'POST') {
      const own = invoicesOf(await authorize(ctx, scopes.write));
      const invoice = {
        number: 1001 + own.length,
        for: customers[own.length % customers.length] as string,
        amount: 95,
      };
      own.push(invoice);
      ctx.status = 201;
      ctx.body = invoice;
    }
  });
  return app;
}
