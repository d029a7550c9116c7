import { randomBytes } from 'node:crypto';
import { generate } from 'otplib';
import { AccountService } from '../../src/account/account.service.ts';
import type { Account } from '../../src/account/account.ts';
import { Passwords } from '../../src/account/passwords.service.ts';
import { RegistrationService } from '../../src/account/registration.service.ts';
import { SetupService } from '../../src/account/setup.service.ts';
import { AuthenticatorService } from '../../src/authenticator/authenticator.service.ts';
import {
  type ClientCredentials,
  ClientService,
  createIntrospectionClient,
} from '../../src/client/client.service.ts';
import { type NewClient, newClientSchema } from '../../src/client/client.ts';
import { loadConfig } from '../../src/config.ts';
import { ConsentService } from '../../src/consent/consent.service.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { newResourceServerSchema } from '../../src/resource-server/resource-server.ts';
import { parseScopeWords } from '../../src/resource-server/resource-server.ts';
import { ResourceServerService } from '../../src/resource-server/resource-server.service.ts';
import { createServer } from '../../src/server.ts';
import type { TestDatabase } from './database.ts';
import { freePort, until } from './process.ts';
import { testMasterKey } from './server-process.ts';

export const testPassword = 'nine quiet herons over the quay';
export const appRedirectUri = 'https://app.example.com/callback';

export interface TestAccount extends Account {
  readonly password: string;
  /** The seed of its authenticator app, where it has one. */
  readonly seed: string | undefined;
  readonly recoveryCodes: readonly string[];
}

export interface TestServer {
  readonly issuer: string;
  readonly server: Awaited<ReturnType<typeof createServer>>;
  /** Services of their own over the same database and master key, as the command line has them. */
  readonly services: Services;
  close(): Promise<void>;
  /** The mails to an address, the newest first; waits until there are `atLeast` of them. */
  mails(to: string, atLeast?: number): Promise<TestMail[]>;
  createAccount(input?: {
    email?: string;
    password?: string;
    name?: string;
    admin?: boolean;
    verified?: boolean;
    totp?: boolean;
  }): Promise<TestAccount>;
  createClient(input?: Partial<NewClient>): Promise<ClientCredentials>;
  /** @param scopes with their words, as in `{ read: 'see: your invoices' }`; without a verb, as earlier releases had them. */
  createApi(identifier: string, scopes?: Record<string, string>): Promise<ClientCredentials>;
}

export interface TestMail {
  readonly subject: string;
  readonly text: string;
  readonly links: readonly string[];
  /** The code of a verification mail. */
  readonly code: string | undefined;
}

type Services = ReturnType<typeof makeServices>;

function makeServices({ db }: TestDatabase, sealer: Sealer, config: ReturnType<typeof loadConfig>) {
  const resourceServers = new ResourceServerService(db);
  const clients = new ClientService(db, resourceServers);
  const passwords = new Passwords();
  const accounts = new AccountService(db, passwords, sealer, {
    requireSecondFactor: config.requireSecondFactor,
    brandName: config.brand.name,
  });
  return {
    resourceServers,
    clients,
    accounts,
    authenticators: new AuthenticatorService(db, accounts, sealer),
    registration: new RegistrationService(db, accounts, passwords, sealer),
    setup: new SetupService(db, accounts, passwords),
    consents: new ConsentService(db),
  };
}

/** The whole server on a free port of loopback, over the test's database; `log` gets the lines of its log. */
export async function startServer(
  testDb: TestDatabase,
  env: Record<string, string> = {},
  log?: { write(line: string): void },
): Promise<TestServer> {
  const port = await freePort();
  const config = loadConfig({ PORT: String(port), ISSUER: `http://localhost:${port}`, ...env });
  const sealer = new Sealer([testMasterKey]);
  const server = await createServer({
    config,
    db: testDb.db,
    sealer,
    logger: log === undefined ? createLogger('silent') : createLogger('info', log),
  });
  await server.listen();
  const services = makeServices(testDb, sealer, config);
  return {
    issuer: config.issuer,
    server,
    services,
    close: () => server.close(),
    async mails(to, atLeast = 1) {
      // The worker sends them after the commit, and each one appears at /dev/mail.
      let found: TestMail[] = [];
      await until(async () => {
        found = parseMails(await (await fetch(`${config.issuer}/dev/mail`)).text(), to);
        return found.length >= atLeast;
      });
      return found;
    },
    async createAccount({
      email = `u${randomBytes(6).toString('hex')}@example.com`,
      password = testPassword,
      name = 'Imani Okoro',
      admin = false,
      verified = true,
      totp = false,
    } = {}) {
      const account = await services.accounts.create(
        { email, password, name, admin, verified },
        'test',
      );
      if (!totp) return { ...account, password, seed: undefined, recoveryCodes: [] };
      const { secret } = services.authenticators.newTotpSecret('Vouchsafe', email);
      const recoveryCodes = services.authenticators.newRecoveryCodes();
      await testDb.db.transaction(async (db) => {
        await services.authenticators.enrolTotp(db, account.id, { secret, step: 0 }, 'Phone', {});
        await services.authenticators.storeRecoveryCodes(db, account.id, recoveryCodes, {});
      });
      return { ...account, password, seed: secret, recoveryCodes };
    },
    createClient(input = {}) {
      const redirects = input.type === 'machine' ? {} : { redirectUris: [appRedirectUri] };
      return services.clients.create(
        newClientSchema.parse({ name: 'Quillet', type: 'web', ...redirects, ...input }),
        'test',
      );
    },
    async createApi(
      identifier,
      scopes = { 'invoices:read': 'your invoices', 'invoices:write': 'your invoices' },
    ) {
      const input = newResourceServerSchema.parse({
        identifier,
        name: 'Invoices',
        scopes: Object.entries(scopes).map(([scope, words]) =>
          words.includes(': ')
            ? parseScopeWords(`${scope}=${words}`)
            : { scope, description: words },
        ),
      });
      const { credentials } = await services.resourceServers.create(input, 'test', (db, id) =>
        createIntrospectionClient(db, id, input.name),
      );
      return credentials;
    },
  };
}

/** The code that an authenticator app shows, `steps` of thirty seconds from now. */
export function totpCode(seed: string, steps = 0): Promise<string> {
  return generate({ secret: seed, epoch: Math.floor(Date.now() / 1000) + steps * 30 });
}

function parseMails(html: string, to: string): TestMail[] {
  return html
    .split('<article')
    .slice(1)
    .filter((article) => article.includes(`</span> ${to}<br>`))
    .map((article) => {
      const text = article
        .replace(/<[^>]*>/g, '')
        .replaceAll('&#39;', "'")
        .replaceAll('&amp;', '&');
      return {
        subject: /<bdi>([^<]*)<\/bdi>/.exec(article)?.[1] ?? '',
        text,
        links: [...article.matchAll(/<a href="([^"]*)"/g)].map(([, href = '']) => href),
        code: /\b\d{4} \d{4}\b/.exec(text)?.[0],
      };
    });
}
