import { type Config, loadConfig } from './config.ts';
import { type OpenedDatabase, openDatabase } from './db/open.ts';
import { AppError } from './errors.ts';
import { createLogger, flushLog, logFile, type Logger } from './lib/log.ts';
import { checkIssuer, claimIssuer } from './instance.ts';
import { openSealer } from './master-key.ts';
import { createServer, type Server } from './server.ts';

/** npm passes on the signal that the terminal has sent to both of us: within this time it is the same one. */
const SAME_SIGNAL_MS = 1_000;

/** An end in order takes no longer: who waits for us (Docker: 10 s, ours: 30 s) would kill us instead. */
const END_MS = 25_000;

/** What was opened, to be closed in the opposite order. */
interface Opened {
  database?: OpenedDatabase;
  server?: Server;
}

const config = readConfig();
// Standard output is for the person who starts the server, and holds the setup link; logs go to standard error.
const logger = createLogger(config.logLevel, logFile());
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (err: unknown) => {
    logger.fatal({ err }, 'unhandled');
    process.exit(1);
  });
}

// The engine tells its notices to the console: here they are lines of the log like any other. That it finds request bodies
// read already is by design (see src/oidc/present-jwt.ts).
for (const method of ['info', 'warn'] as const) {
  console[method] = (notice: unknown) => {
    if (!String(notice).includes('already parsed request body')) logger[method](String(notice));
  };
}

const opened: Opened = {};
const starting = start(config, logger, opened);
endOnSignal();
try {
  await starting;
} catch (error) {
  reportFailure(error);
  await close().catch(() => undefined);
  process.exit(1);
}

function readConfig(): Config {
  try {
    return loadConfig();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return process.exit(1);
  }
}

async function start(config: Config, logger: Logger, opened: Opened): Promise<void> {
  for (const warning of config.warnings) logger.warn(warning);
  const metrics =
    config.metricsPort === undefined
      ? undefined
      : new (await import('./operations/metrics.service.ts')).Metrics();
  const database = await openDatabase(config, {
    observer: metrics?.databaseObserver,
    onIdleError: (err) => logger.warn({ err }, 'a connection to the database broke'),
  });
  opened.database = database;
  for (const notice of database.notices) logger.warn(notice);
  const migrated = await database.migrate();
  if (migrated.length > 0)
    logger.info({ migrations: migrated }, 'the database was brought up to date');
  if (await database.canChangeAudit())
    logger.warn(
      "the server's database role owns the tables or can create objects in their schema, so an attacker who gets its password can change and delete the audit: set DATABASE_OWNER_URL, give DATABASE_URL a role of its own, and revoke create on the schema from public (docs/operations.md)",
    );
  const sealer = await openSealer({
    config,
    db: database.db,
    warn: (message) => logger.warn(message),
  });
  await checkIssuer(database.db, config);
  opened.server = await createServer({
    config,
    db: database.db,
    owner: database.owner,
    sealer,
    logger,
    metrics,
  });
  const port = await opened.server.listen();
  await claimIssuer(database.db, config);
  logger.info({ port, issuer: config.issuer }, 'listening');
  process.stdout.write(greeting(config, await opened.server.issueSetupLink()));
}

function greeting({ issuer, devMail }: Config, setupLink: string | undefined): string {
  const links = [['Sign in', `${issuer}/account`]];
  if (devMail) links.push(['Mails', `${issuer}/dev/mail`]);
  const setup =
    setupLink === undefined
      ? ''
      : `\n  There is no administrator yet. Create the first one within the hour:\n  ${setupLink}\n`;
  const rows = links.map(([what, where]) => `  ${what?.padEnd(10)}${where}\n`).join('');
  return `\nVouchsafe is ready at ${issuer}\n\n${rows}${setup}\n`;
}

function reportFailure(error: unknown): void {
  if (error instanceof AppError)
    process.stderr.write(`Vouchsafe did not start. ${error.message}\n`);
  else logger.fatal({ err: error }, 'the start failed');
  if (error instanceof AppError && error.cause !== undefined)
    logger.debug({ err: error.cause }, 'the start failed');
}

function endOnSignal(): void {
  let since: number | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (since !== undefined && performance.now() - since > SAME_SIGNAL_MS) process.exit(1);
      if (since !== undefined) return;
      since = performance.now();
      logger.info({ signal }, 'stopping');
      // Ctrl-C ends it at once: nobody sends it requests through a load balancer.
      const delayMs = signal === 'SIGTERM' ? config.shutdownDelay * 1000 : 0;
      setTimeout(() => {
        logger.fatal('the end took too long');
        process.exit(1);
      }, delayMs + END_MS).unref();
      // Half-way into its start, the process ends that first: what it has opened by then is known.
      starting
        .catch(() => undefined)
        .then(() => close(delayMs))
        .then(() => flushLog(logger))
        .then(
          () => process.exit(0),
          (err: unknown) => {
            logger.fatal({ err }, 'the end failed');
            process.exit(1);
          },
        );
    });
  }
}

async function close(delayMs = 0): Promise<void> {
  await opened.server?.close(delayMs);
  await opened.database?.db.close();
}
