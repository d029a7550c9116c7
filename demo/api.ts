import Koa from 'koa';
import { type Auth, createResourceServer } from '../resource-server/index.ts';
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

const customers = ['Aster Bakery', 'Holm & Daughters', 'The Reading Room'];

/** An example API: it keeps a few invoices for each person, and lets in who has a token for them. */
export function createApi({ issuer, identifier, credentials }: ApiOptions): Koa {
  const guard = createResourceServer({
    issuer,
    audience: identifier,
    clientId: credentials.clientId,
    clientSecret: credentials.clientSecret,
    // The demo shows that access ends at once, so nothing is kept, not even for a few seconds.
    introspection: { cacheTtl: 0 },
    realm: 'Ledger',
    metadata: { name: 'Ledger', scopes: Object.values(scopes) },
  });
  const mayRead = guard.koa({ scopes: scopes.read });
  const mayWrite = guard.koa({ scopes: scopes.write });
  const invoices = new Map<string, Invoice[]>();

  function invoicesOf({ sub }: Auth): Invoice[] {
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

  const app = new Koa<{ auth: Auth }>();
  app.use(guard.koaMetadata());
  app.use(async (ctx, next) => {
    ctx.set('Cache-Control', 'no-store');
    await next();
  });
  app.use(async (ctx) => {
    if (ctx.path !== '/invoices') return;
    if (ctx.method === 'GET') {
      await mayRead(ctx, async () => {
        ctx.body = { invoices: invoicesOf(ctx.state.auth) };
      });
    } else if (ctx.method === 'POST') {
      await mayWrite(ctx, async () => {
        const own = invoicesOf(ctx.state.auth);
        const invoice = {
          number: 1001 + own.length,
          for: customers[own.length % customers.length] as string,
          amount: 95,
        };
        own.push(invoice);
        ctx.status = 201;
        ctx.body = invoice;
      });
    }
  });
  return app;
}
