import { sql } from 'kysely';
import { Passwords } from '../../src/account/passwords.service.ts';
import { ClientService } from '../../src/client/client.service.ts';
import { newClientSchema } from '../../src/client/client.ts';
import type { Database } from '../../src/db/database.ts';
import { ExchangeRules } from '../../src/exchange/exchange.service.ts';
import { newExchangeRuleSchema } from '../../src/exchange/exchange.ts';
import { KeyService } from '../../src/keys/keys.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { Seed } from '../support/protocol.ts';
import {
  api,
  benchmarkMasterKey,
  type Credentials,
  issuer,
  type Material,
  redirectUri,
  TOKEN_EXCHANGE,
  targetApi,
} from './protocol.ts';

const actor = 'benchmark';
const password = 'nine quiet herons over the quay';

/** An app that every account has allowed, a browser in which it is signed in, and a client that exchanges tokens. */
export async function seedPeople(
  db: Database,
  accounts: readonly string[],
): Promise<Pick<Material, 'app' | 'browsers' | 'exchanger' | 'people'>> {
  const resourceServers = new ResourceServerService(db);
  const clients = new ClientService(db, resourceServers);
  const app = await create(clients, { name: 'App', type: 'web', redirectUris: [redirectUri] });
  const exchanger = await create(clients, {
    name: 'Exchanger',
    type: 'machine',
    grantTypes: ['client_credentials', TOKEN_EXCHANGE],
    apis: [{ identifier: targetApi, scopes: ['read'] }],
  });
  const rule = { clientId: exchanger.clientId, source: api, target: targetApi, scopes: ['read'] };
  await new ExchangeRules(db, clients, resourceServers).allow(
    newExchangeRuleSchema.parse({ ...rule, impersonation: true }),
    actor,
  );
  const hash = await new Passwords().hash(password);
  await sql`update accounts set password_hash = ${hash}, email_verified_at = now()`.execute(
    db.kysely,
  );
  const sealer = new Sealer([benchmarkMasterKey]);
  await new KeyService(db, sealer).ensure();
  const seed = new Seed(db);
  const browsers: string[] = [];
  for (const account of accounts) {
    await seed.consent(account, app.clientId);
    const { cookies } = await seed.signIn(account, sealer, issuer);
    browsers.push([...cookies].map(([name, value]) => `${name}=${value}`).join('; '));
  }
  const people = accounts.map((account) => ({ email: `${account}@example.com`, password }));
  return { app, browsers, exchanger, people };
}

async function create(service: ClientService, input: object): Promise<Credentials> {
  const { clientId, clientSecret } = await service.create(newClientSchema.parse(input), actor);
  if (clientSecret === undefined) throw new TypeError('the client has a secret');
  return { clientId, clientSecret };
}
