import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { ClientService, createIntrospectionClient } from '../../src/client/client.service.ts';
import { newClientSchema } from '../../src/client/client.ts';
import { Database } from '../../src/db/database.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { epochSeconds, fromEpoch } from '../../src/lib/time.ts';
import { tokenWrite } from '../../src/oidc/adapter/tokens.ts';
import { prefixes } from '../../src/unit-of-work/live-token.ts';
import { UnitOfWork } from '../../src/unit-of-work/unit-of-work.ts';
import { newResourceServerSchema } from '../../src/resource-server/resource-server.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import {
  api,
  benchmarkMasterKey,
  type Connection,
  type Credentials,
  type IssuedToken,
  jwtApi,
  type Material,
  POPULATION,
  targetApi,
} from './protocol.ts';
import { seedPeople } from './seed-people.ts';

const actor = 'benchmark';

/** Fills Vouchsafe's database: two APIs, the clients, and a token that a person has given to each of them. */
export async function seed(
  connection: Connection,
): Promise<{ machines: Material; people: Material }> {
  const db = new Database({ connection, poolSize: 8 });
  try {
    const resourceServers = new ResourceServerService(db);
    const clientService = new ClientService(db, resourceServers);
    const introspector = await createApi(resourceServers, api, 'opaque');
    await createApi(resourceServers, jwtApi, 'jwt');
    await createApi(resourceServers, targetApi, 'opaque');
    const clients = await inParallel(POPULATION, (index) => createClient(clientService, index));
    const accounts = clients.map((_, index) => `u_${index}`);
    await sql`insert into accounts (id, email, email_key)
      select id, id || '@example.com', id || '@example.com' from unnest(${accounts}::text[]) as id`.execute(
      db.kysely,
    );
    const tokens = await inParallel(POPULATION, (index) =>
      issueToPerson(db, accounts[index] as string, (clients[index] as Credentials).clientId),
    );
    const people = await seedPeople(db, accounts);
    return {
      machines: { clients, introspector },
      people: { clients, introspector, tokens, ...people },
    };
  } finally {
    await db.close();
  }
}

async function createApi(
  service: ResourceServerService,
  identifier: string,
  tokenFormat: 'opaque' | 'jwt',
): Promise<Credentials> {
  const input = newResourceServerSchema.parse({
    identifier,
    name: tokenFormat,
    tokenFormat,
    scopes: [{ scope: 'read' }, { scope: 'write' }],
  });
  const { credentials } = await service.create(input, actor, (db, id) =>
    createIntrospectionClient(db, id, tokenFormat),
  );
  return credentials;
}

async function createClient(service: ClientService, index: number): Promise<Credentials> {
  const apis = [api, jwtApi].map((identifier) => ({ identifier, scopes: ['read'] }));
  const input = newClientSchema.parse({ name: `Client ${index}`, type: 'machine', apis });
  const { clientId, clientSecret } = await service.create(input, actor);
  if (clientSecret === undefined) throw new TypeError('a machine has a secret');
  return { clientId, clientSecret };
}

/** What the commit of a code exchange leaves behind, without the pages that come before it. */
async function issueToPerson(
  db: Database,
  accountId: string,
  clientId: string,
): Promise<IssuedToken> {
  const token = `${prefixes.access}${randomBytes(32).toString('base64url')}`;
  const grantId = randomBytes(16).toString('base64url');
  const iat = epochSeconds();
  const exp = iat + 86_400;
  const unit = new UnitOfWork(db);
  unit.saveFamily({
    id: grantId,
    exists: false,
    accountId,
    clientId,
    sessionUid: undefined,
    consentVersion: undefined,
    payload: { openid: { scope: 'openid' }, resources: { [api]: 'read' }, rejected: {} },
    offline: true,
    keyId: new Sealer([benchmarkMasterKey]).keyId,
    expiresAt: fromEpoch(exp),
  });
  const payload = {
    kind: 'AccessToken',
    iat,
    exp,
    accountId,
    clientId,
    grantId,
    gty: 'authorization_code',
    aud: api,
    scope: 'read',
  };
  unit.addToken({ ...tokenWrite('access', token, payload), payload });
  const { lost } = await unit.commit(true);
  if (lost !== undefined) throw new TypeError(`the token was not stored: ${lost}`);
  return { token, clientId };
}

async function inParallel<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < count; index = next++) results[index] = await work(index);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return results;
}
