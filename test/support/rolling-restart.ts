import { Agent, request } from 'node:http';
import { createTestDatabase } from './database.ts';
import { freePort, MainProcess, until } from './process.ts';
import { type Credentials, Seed } from './protocol.ts';
import { testMasterKey } from './server-process.ts';
import { basic, form } from './wire.ts';

/** A started load balancer. */
export interface Balancer {
  stop(): Promise<void>;
  /** Whether it sends requests to the process at that place, where it checks that. */
  leadsTo?(place: number): Promise<boolean>;
}

interface Asked {
  readonly path: string;
  readonly fields?: Record<string, string>;
  readonly by?: Credentials;
}

const api = 'https://api.example.com';

/**
 * Restarts two processes in turn behind a load balancer while eight callers ask through it without a pause.
 * @param open starts the balancer on `front`, before processes on `ports`
 * @returns how often each path was answered with which status, or broke off with which error
 */
export async function restartInTurn(
  open: (front: number, ports: readonly number[]) => Promise<Balancer>,
): Promise<ReadonlyMap<string, number>> {
  const database = await createTestDatabase();
  const seed = new Seed(database.db);
  const apiClient = await seed.api(api);
  const client = await seed.client({
    type: 'machine',
    apis: [{ identifier: api, scopes: ['read'] }],
  });
  const ports = [await freePort(), await freePort()];
  const front = await freePort();
  const start = (port: number) =>
    new MainProcess({
      PORT: String(port),
      ISSUER: 'http://localhost:3000',
      DATABASE_URL: database.url,
      MASTER_KEY: testMasterKey.toString('base64'),
      SHUTDOWN_DELAY: '3',
      LOG_LEVEL: 'info',
    }).ready();
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const kinds: Asked[] = [
    { path: '/token', by: client, fields: { grant_type: 'client_credentials', resource: api } },
    { path: '/introspect', by: apiClient, fields: { token: `vs_at_${'x'.repeat(43)}` } },
    { path: '/jwks' },
    { path: '/revocations' },
  ];
  const outcomes = new Map<string, number>();
  let isOver = false;
  const caller = async (kind: Asked) => {
    while (!isOver) {
      const outcome = await ask(front, agent, kind);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  let servers: MainProcess[] = [];
  let balancer: Balancer | undefined;
  let load: Promise<unknown> | undefined;
  try {
    servers = await Promise.all(ports.map(start));
    balancer = await open(front, ports);
    await until(() => isAlive(front));
    load = Promise.all([...kinds, ...kinds].map(caller));
    for (const [index, port] of ports.entries()) {
      const before = outcomes.get('/token 200') ?? 0;
      await until(async () => (outcomes.get('/token 200') ?? 0) > before + 20);
      const old = servers[index] as MainProcess;
      old.signal('SIGTERM');
      // Readiness fails while requests are still taken, and each ends its connection.
      await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status === 503);
      const taken = await fetch(`http://127.0.0.1:${port}/jwks`);
      const connection = taken.headers.get('connection');
      if (taken.status !== 200 || connection !== 'close')
        throw new Error(`/jwks of a process that ends: ${taken.status}, Connection: ${connection}`);
      const code = await old.ended;
      if (code !== 0) throw new Error(`A process ended with ${code}.`);
      servers[index] = await start(port);
      // As an operator does, before the next one.
      await until(async () => (await balancer?.leadsTo?.(index)) ?? true);
    }
    return outcomes;
  } finally {
    isOver = true;
    await load;
    agent.destroy();
    await balancer?.stop();
    await Promise.all(servers.map((one) => one.stop()));
    await database.drop();
  }
}

const isAlive = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/livez`).then(
    ({ ok }) => ok,
    () => false,
  );

function ask(port: number, agent: Agent, { path, fields, by }: Asked): Promise<string> {
  return new Promise((resolve) => {
    const outgoing = request(
      {
        port,
        host: '127.0.0.1',
        path,
        agent,
        method: fields === undefined ? 'GET' : 'POST',
        headers: {
          ...(by === undefined ? {} : basic(by)),
          ...(fields === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
      },
      (response) => {
        response.resume().on('end', () => resolve(`${path} ${response.statusCode}`));
      },
    );
    outgoing.on('error', (error) => resolve(`${path} ${error.message}`));
    outgoing.end(fields === undefined ? undefined : form(fields).toString());
  });
}

/** What `restartInTurn` returns where no request has failed. */
export const allAnswered = ['/introspect 200', '/jwks 200', '/revocations 200', '/token 200'];
