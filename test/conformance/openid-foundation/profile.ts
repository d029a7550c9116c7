import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand, spawnServer, stopServer, untilReady } from '../../../demo/vouchsafe.ts';
import { openDatabase } from '../../../src/db/open.ts';
import { openApprover } from './approver.ts';
import { Clients } from './clients.ts';
import { type Certificates, makeCertificates, makeKey } from './keys.ts';
import { Pages, type Person } from './pages.ts';
import { cibaPlans, fapiPlans, openidPlans, type Plan } from './plans.ts';
import type { Settings } from './settings.ts';

/** The server as the suite needs it, over HTTPS, with a person and clients, and the configuration of each plan. */
export interface Profile {
  readonly plans: readonly Plan[];
  readonly certificates: Certificates;
  readonly person: Person;
  /** Resolves when the server has ended by itself. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Starts everything on a database of its own, which is gone afterwards. */
export async function startProfile(
  settings: Settings,
  environment: NodeJS.ProcessEnv,
): Promise<Profile> {
  await mkdir(settings.folder, { recursive: true });
  const data = await mkdtemp(join(tmpdir(), 'vouchsafe-conformance-'));
  const { hostname, port } = new URL(settings.issuer);
  const certificates = await makeCertificates(settings.folder, hostname);
  const approver = await openApprover();
  const env = {
    ...environment,
    ISSUER: settings.issuer,
    PORT: port || '443',
    DATA_DIR: data,
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
  };
  const server = spawnServer(env);
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const stop = async () => {
    await approver.close();
    await stopServer(server);
    await rm(data, { recursive: true, force: true });
  };
  try {
    await untilReady(server);
    const person = await createPerson(env);
    await approver.listen(settings.approvalPort, person, () => forgetLimits(data));
    const plans = await configure(settings, new Clients(settings, env), person, certificates);
    for (const { file, configuration } of plans)
      await writeFile(
        join(settings.folder, file),
        `${JSON.stringify(configuration, undefined, 2)}\n`,
        { mode: 0o600 },
      );
    return { plans, certificates, person, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The suite asks the same person more often than any app may: how often it has asked is forgotten. */
async function forgetLimits(dataDir: string): Promise<void> {
  const { db } = await openDatabase({ databaseUrl: undefined, databasePool: 2, dataDir });
  await db.kysely.deleteFrom('rate_limits').execute();
  await db.close();
}

async function createPerson(env: NodeJS.ProcessEnv): Promise<Person> {
  const person = {
    email: 'ann@example.com',
    password: `conformance ${randomBytes(9).toString('base64url')}`,
  };
  await runCommand(
    env,
    'account create',
    [['email', person.email], ['name', 'Ann Example'], ['verified'], ['password-stdin']],
    `${person.password}\n`,
  );
  return person;
}

async function configure(
  settings: Settings,
  clients: Clients,
  person: Person,
  { clients: [first, second] }: Certificates,
): Promise<Plan[]> {
  const pages = new Pages(settings, person);
  const keyed = async (name: string, profile: 'fapi2' | 'fapi2-message-signing') => {
    const key = await makeKey(settings.folder, name, 'PS256');
    const { client_id } = await clients.withKey(name, key, profile);
    return { client_id, scope: 'openid', jwks: { keys: [key.jwk] } };
  };
  const certified = async (name: string, which: typeof first) => {
    const { client_id } = await clients.withCertificate(name, which);
    return { client_id, scope: 'openid' };
  };
  const asking = async (name: string, delivery: 'poll' | 'ping') => {
    const key = await makeKey(settings.folder, name, 'PS256');
    const { client_id } = await clients.asking(name, key, delivery);
    const hint = { hint_type: 'login_hint', hint_value: person.email };
    return { client_id, scope: 'openid', jwks: { keys: [key.jwk] }, ...hint };
  };
  const shown = ({ cert, key }: typeof first) => ({ cert, key });
  const both = { mtls: shown(first), mtls2: shown(second) };
  return [
    ...openidPlans(settings, pages, {
      client: { ...(await clients.withSecret('basic', 'client_secret_basic')) },
      client2: { ...(await clients.withSecret('basic-2', 'client_secret_basic')) },
      client_secret_post: { ...(await clients.withSecret('post', 'client_secret_post')) },
    }),
    ...fapiPlans(settings, pages, {
      dpop: { client: await keyed('dpop', 'fapi2'), client2: await keyed('dpop-2', 'fapi2') },
      mtls: {
        client: await certified('mtls', first),
        client2: await certified('mtls-2', second),
        ...both,
      },
      signing: {
        client: await keyed('signing', 'fapi2-message-signing'),
        client2: await keyed('signing-2', 'fapi2-message-signing'),
      },
    }),
    ...cibaPlans(settings, {
      poll: {
        client: await asking('poll', 'poll'),
        client2: await asking('poll-2', 'poll'),
        ...both,
      },
      ping: {
        client: await asking('ping', 'ping'),
        client2: await asking('ping-2', 'ping'),
        ...both,
      },
    }),
  ];
}
