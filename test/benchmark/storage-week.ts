import type pg from 'pg';
import { Database } from '../../src/db/database.ts';
import { migrateUp } from '../../src/db/migrate.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { createAuditMonths } from '../../src/outbox/audit-months.ts';
import { createCleaning } from '../../src/outbox/cleaning.ts';
import { OutboxWorker } from '../../src/outbox/worker.ts';
import { Seed } from '../support/protocol.ts';
import type { BenchmarkDatabase } from './database.ts';
import { exchangesFor } from './exchanges.ts';
import { Child, type Cores } from './processes.ts';
import {
  api,
  benchmarkMasterKey,
  type Connection,
  jwtApi,
  type LoadResult,
  type LoadTask,
  type Material,
} from './protocol.ts';
import { seed } from './seed.ts';
import {
  connect,
  createSimulatedDatabase,
  type SimulatedDate,
  setDatabaseClock,
  simulateDate,
} from './simulated-clock.ts';
import type { StorageOptions } from './storage.ts';
import { ConstantLoad } from './storage-load.ts';
import { reportTables, reportWeek, type Sample } from './storage-report.ts';
import { countTables, rewrite, sizeOf } from './storage-tables.ts';
import { vacuumDue } from './storage-vacuum.ts';

export interface StorageContext {
  readonly database: BenchmarkDatabase;
  readonly cores: Cores | undefined;
  readonly signal: AbortSignal;
  readonly options: StorageOptions;
  readonly progress: (text: string) => void;
}

const HOUR_MS = 3_600_000;
/** Minutes; not by the hour, so that what goes by the hour is seen at all its times. */
const SAMPLED_EVERY = 251;
const CONNECTIONS = 4;
/** How often cleaning comes by in a minute. */
const CLEANINGS = 3;
/** A minute. */
const MACHINE_TOKENS = 200;
const FAMILIES = 2;
const REFRESHES = 3;

/**
 * Issues at constant load for a simulated week, and prints what every table has come to. The clock of everything (the
 * server, this process, the database) stands still for the work of a minute, and is then moved to the next.
 */
export async function simulateWeek(context: StorageContext): Promise<void> {
  const week = new Week(context);
  try {
    await week.prepare();
    await week.run();
  } finally {
    await week.close();
  }
}

class Week {
  readonly #context: StorageContext;
  readonly #children: Child[] = [];
  readonly #databases: Database[] = [];
  readonly #clients: pg.Client[] = [];
  readonly #samples: Sample[] = [];
  #clock: SimulatedDate | undefined;
  #client!: pg.Client;
  #cleaning!: Database;
  #worker!: OutboxWorker;
  #server!: Child;
  #generator!: Child;
  #port = 0;
  #load!: ConstantLoad;
  #material!: Material;
  #now = 0;
  #vacuums = 0;
  #machineTokens = 0;

  constructor(context: StorageContext) {
    this.#context = context;
  }

  async prepare(): Promise<void> {
    const { database, cores, options } = this.#context;
    const connection = await createSimulatedDatabase(database.connection, 'week');
    const admin = await this.#connect(database.connection);
    await admin.query('alter system set autovacuum = off');
    await admin.query('select pg_reload_conf()');
    this.#client = await this.#connect(connection);
    this.#now = Date.now() - options.days * 24 * HOUR_MS;
    this.#clock = simulateDate(this.#now);
    await setDatabaseClock(this.#client, this.#now);
    const db = this.#open(connection, 10);
    await migrateUp(db.kysely);
    const seeded = await seed(connection);
    this.#server = new Child('Vouchsafe', import.meta.resolve('./storage-server.ts'), {
      core: cores?.server,
    });
    this.#generator = new Child('the load generator', import.meta.resolve('./load.ts'));
    this.#children.push(this.#server, this.#generator);
    const started = await this.#server.ask<{ port: number }>({ start: connection, now: this.#now });
    this.#port = started.port;
    // One connection: what it has deleted is told to PostgreSQL's statistics before they are looked at.
    this.#cleaning = this.#open(connection, 1);
    this.#worker = new OutboxWorker({
      db: this.#cleaning,
      sealer: new Sealer([benchmarkMasterKey]),
      logger: createLogger('error'),
      handlers: {},
      clockwork: {
        'clock:clean': createCleaning(this.#cleaning),
        'clock:audit': createAuditMonths(this.#cleaning, createLogger('error'), 13),
      },
    });
    await this.#prepareLoad(db, seeded.machines);
  }

  async #prepareLoad(db: Database, material: Material): Promise<void> {
    const { scale } = this.#context.options;
    const seeding = new Seed(db);
    const apis = [api, jwtApi].map((identifier) => ({ identifier, scopes: ['read'] }));
    const apps = await Promise.all([1, 2, 3, 4].map(() => seeding.client({ apis })));
    const accounts = await Promise.all(Array.from({ length: 200 }, () => seeding.account()));
    for (const account of accounts)
      for (const app of apps)
        await seeding.consent(account, app.clientId, { [api]: ['read'], [jwtApi]: ['read'] });
    const who = { machines: material.clients, apps, accounts };
    this.#machineTokens = Math.ceil(MACHINE_TOKENS * scale);
    this.#load = new ConstantLoad(db, `http://127.0.0.1:${this.#port}`, who, {
      machineTokens: this.#machineTokens,
      families: Math.ceil(FAMILIES * scale),
      refreshes: Math.ceil(REFRESHES * scale),
    });
    const tokens = [];
    for (const { clientId } of material.clients)
      tokens.push({ clientId, token: await this.#load.issueForever(clientId) });
    this.#material = { ...material, tokens };
  }

  async run(): Promise<void> {
    const { days } = this.#context.options;
    const started = performance.now();
    const all = Math.round(days * 24 * 60);
    const warm = Math.min(3 * 60, Math.floor(all / 4));
    for (let minute = 0; minute < warm; minute++) await this.#minute();
    const atFirst = await this.#introspect();
    const from = performance.now();
    for (let minute = warm; minute < all; minute++)
      await this.#minute(minute % SAMPLED_EVERY === 0);
    const seconds = (performance.now() - from) / 1000;
    const atLast = await this.#introspect();
    await this.#advance();
    const counted = await countTables(this.#client);
    this.#samples.push({ at: this.#now, counted });
    console.log(
      reportWeek({
        days,
        machineTokens: this.#machineTokens,
        requests: this.#load.requests,
        vacuums: this.#vacuums,
        perSecond: (this.#machineTokens * (all - warm)) / seconds,
        seconds: (performance.now() - started) / 1000,
        introspection: [atFirst, atLast],
      }),
    );
    await this.#server.stop();
    const sizes = [];
    for (const { table } of counted) {
      const before = await sizeOf(this.#client, table);
      sizes.push({ table, before, after: await rewrite(this.#client, table) });
    }
    console.log(reportTables(this.#samples, sizes));
  }

  /** Moves the clock on; what is issued in a minute goes on at the same time as the first of its cleanings. */
  async #minute(isSampled = false): Promise<void> {
    this.#context.signal.throwIfAborted();
    this.#context.progress(`simulated: ${new Date(this.#now).toISOString()}`);
    for (let time = 0; time < CLEANINGS; time++) {
      await this.#advance();
      // Before cleaning comes by: at no moment is more left over.
      if (isSampled)
        this.#samples.push({ at: this.#now, counted: await countTables(this.#client) });
      await Promise.all([time === 0 ? this.#load.minute() : undefined, this.#clean()]);
    }
  }

  async #advance(): Promise<void> {
    this.#now += 60_000 / CLEANINGS;
    await setDatabaseClock(this.#client, this.#now);
    await this.#server.ask({ now: this.#now });
    this.#clock?.set(this.#now);
  }

  async #clean(): Promise<void> {
    await this.#worker.runDue();
    await this.#cleaning.pool.query('select pg_stat_force_next_flush()');
    this.#vacuums += (await vacuumDue(this.#client)).length;
  }

  /** How quick introspection is while everything else goes on. */
  async #introspect(): Promise<LoadResult> {
    const exchanges = await exchangesFor('introspection', this.#port, this.#material);
    const { seconds } = this.#context.options;
    const task: LoadTask = { port: this.#port, connections: CONNECTIONS, seconds, exchanges };
    let isDone = false;
    const asked = this.#generator.ask<LoadResult>(task).finally(() => (isDone = true));
    asked.catch(() => undefined);
    while (!isDone) await this.#minute();
    const result = await asked;
    if (result.wrong > 0)
      throw new Error(`${result.wrong} wrong answers. The first one:\n${result.wrongExample}`);
    return result;
  }

  async #connect(connection: Connection): Promise<pg.Client> {
    const client = await connect(connection);
    this.#clients.push(client);
    return client;
  }

  #open(connection: Connection, poolSize: number): Database {
    const database = new Database({ connection, poolSize });
    this.#databases.push(database);
    return database;
  }

  async close(): Promise<void> {
    this.#clock?.end();
    await Promise.all(this.#children.map((child) => child.stop()));
    await Promise.all(this.#databases.map((database) => database.close().catch(() => undefined)));
    await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)));
  }
}
