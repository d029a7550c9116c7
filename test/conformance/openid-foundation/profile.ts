import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { runCommand, spawnServer, stopServer, untilReady } from '../../../demo/vouchsafe.ts';
import { openDatabase } from '../../../src/db/open.ts';
import { acr } from '../../../src/oidc/authorization/acr.ts';
import { ASK_MAIL } from '../../../src/oidc/decoupled/ciba-mail.ts';
import { openApprover } from './approver.ts';
import { Clients } from './clients.ts';
import { type Certificates, makeCertificates, makeKey } from './keys.ts';
import { Pages, type Person } from './pages.ts';
import { cibaPlans, fapiPlans, openidPlans, type Json, type Pair, type Plan } from './plans.ts';
import type { Settings } from './settings.ts';

/** The server as the suite needs it, over HTTPS, with a person and clients, and the configuration of each plan. */
export interface Profile {
  readonly plans: readonly Plan[];
  readonly certificates: Certificates;
  readonly person: Person;
  /** The environment of the server's command line, as far as it differs from the caller's. */
  readonly commandEnvironment: Readonly<Record<string, string>>;
  /** The environment of the server. */
  readonly environment: NodeJS.ProcessEnv;
  /** Resolves when the server has ended by itself. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Starts everything on a new database, which is deleted at the end. */
export async function startProfile(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
): Promise<Profile> {
  await mkdir(settings.folder, { recursive: true });
  const data = await mkdtemp(join(tmpdir(), 'vouchsafe-conformance-'));
  const { hostname, port } = new URL(settings.issuer);
  const certificates = await makeCertificates(settings.folder, hostname);
  const approver = await openApprover();
  const commandEnvironment = { ISSUER: settings.issuer, DATA_DIR: data };
  const env = {
    ...environment,
    ...commandEnvironment,
    PORT: port || '443',
    DATABASE_URL: '',
    TLS_CERT_FILE: certificates.certFile,
    TLS_KEY_FILE: certificates.keyFile,
    TLS_CLIENT_CA_FILE: certificates.caFile,
    MTLS_PORT: String(settings.mtlsPort),
    OUTBOUND_ALLOW: new URL(settings.suite).hostname,
    SMTP_URL: approver.mailUrl,
    // Each module of the dynamic plan registers a client or two.
    CLIENT_REGISTRATION: 'open',
    CLIENT_REGISTRATION_PER_ADDRESS: '1000',
    // The plans of OpenID Connect send no PKCE.
    CLIENT_REGISTRATION_PKCE: 'optional',
  };
  const server = spawnServer(env);
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const trusted = getCACertificates('default');
  const stop = async () => {
    setDefaultCACertificates(trusted);
    await approver.close();
    await stopServer(server);
    await rm(data, { recursive: true, force: true });
  };
  try {
    await untilReady(server);
    // The approver opens the server's pages in this process.
    setDefaultCACertificates([...trusted, certificates.ca.cert]);
    const person = await createPerson(env);
    await approver.listen(settings.approvalPort, person, () => prepareApproval(data));
    const plans = await configure(settings, new Clients(settings, env), person, certificates);
    for (const { file, configuration } of plans)
      await writeFile(
        join(settings.folder, file),
        `${JSON.stringify(configuration, undefined, 2)}\n`,
        { mode: 0o600 },
      );
    return { plans, certificates, person, commandEnvironment, environment: env, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Waits until every email is sent, and removes the counts of rate limits: the suite makes more requests to one user than
 * any app may.
 */
async function prepareApproval(dataDir: string): Promise<void> {
  const { db } = await openDatabase({ databaseUrl: undefined, databasePool: 2, dataDir });
  try {
    await db.kysely.deleteFrom('rate_limits').execute();
    const waiting = () =>
      db.kysely
        .selectFrom('outbox')
        .select('id')
        .where('kind', '=', ASK_MAIL)
        .where('done_at', 'is', null)
        .where('dead_at', 'is', null)
        .executeTakeFirst();
    while ((await waiting()) !== undefined) await delay(50);
  } finally {
    await db.close();
  }
}

async function createPerson(env: NodeJS.ProcessEnv): Promise<Person> {
  const person = {
    email: 'ann@example.com',
    password: `conformance ${randomBytes(9).toString('base64url')}`,
  };
  await runCommand(
    env,
    'account create',
    [
      ['email', person.email],
      ['name', 'Ann Example'],
      ['locale', 'en'],
      ['verified'],
      ['password-stdin'],
    ],
    `${person.password}\n`,
  );
  return person;
}

type FapiProfile = 'fapi2' | 'fapi2-message-signing';

async function configure(
  settings: Settings,
  clients: Clients,
  person: Person,
  { clients: [first, second] }: Certificates,
): Promise<Plan[]> {
  const pages = new Pages(settings, person);
  // The suite asks for what is listed here; a module changes the order of the scopes.
  const scope = 'openid profile email offline_access';
  const secret = async (...input: Parameters<Clients['withSecret']>) => ({
    ...(await clients.withSecret(...input)),
  });
  const keyed = async (name: string, profile: FapiProfile) => {
    const key = await makeKey(settings.folder, name, 'PS256');
    const { client_id } = await clients.withKey(name, key, profile);
    return { client_id, scope, jwks: { keys: [key.jwk] } };
  };
  const certified = async (name: string, which: typeof first) => {
    // The client signs nothing, but the suite expects a key in each client's configuration.
    const key = await makeKey(settings.folder, name, 'PS256');
    const { client_id } = await clients.withCertificate(name, which);
    return { client_id, scope, jwks: { keys: [key.jwk] } };
  };
  const asking = async (name: string, delivery: 'poll' | 'ping') => {
    const key = await makeKey(settings.folder, name, 'PS256');
    const { client_id } = await clients.asking(name, key, delivery);
    const hint = { hint_type: 'login_hint', hint_value: person.email };
    return { client_id, scope, jwks: { keys: [key.jwk] }, ...hint, acr_value: acr.oneFactor };
  };
  const pair = async (one: Promise<Json>, two: Promise<Json>): Promise<Pair> => {
    const [client, client2] = await Promise.all([one, two]);
    return { client, client2 };
  };
  const keys = (name: string, profile: FapiProfile) =>
    pair(keyed(name, profile), keyed(`${name}-2`, profile));
  const certificates = (name: string) =>
    pair(certified(name, first), certified(`${name}-2`, second));
  const users = (delivery: 'poll' | 'ping') =>
    pair(asking(delivery, delivery), asking(`${delivery}-2`, delivery));
  const shown = ({ cert, key }: typeof first) => ({ cert, key });
  const both = { mtls: shown(first), mtls2: shown(second) };
  return [
    ...openidPlans(settings, pages, {
      basic: {
        ...(await pair(
          secret('basic', 'client_secret_basic'),
          secret('basic-2', 'client_secret_basic'),
        )),
        client_secret_post: await secret('post', 'client_secret_post'),
      },
      backchannel: await pair(
        secret('backchannel', 'client_secret_basic', { notified: true }),
        secret('backchannel-2', 'client_secret_basic', { notified: true }),
      ),
    }),
    ...fapiPlans(settings, pages, {
      dpop: { clients: await keys('dpop', 'fapi2'), denied: await keys('dpop-denied', 'fapi2') },
      mtls: {
        clients: await certificates('mtls'),
        denied: await certificates('mtls-denied'),
        certificates: both,
      },
      signing: {
        clients: await keys('signing', 'fapi2-message-signing'),
        denied: await keys('signing-denied', 'fapi2-message-signing'),
      },
    }),
    ...cibaPlans(settings, {
      poll: { ...(await users('poll')), ...both },
      ping: { ...(await users('ping')), ...both },
    }),
  ];
}
