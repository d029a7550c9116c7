import { DevMailbox } from './email/dev-mailbox.ts';
import { REPLAY_MAIL } from './email/email.ts';
import {
  createAskMailHandler,
  createMailHandler,
  createReplayMailHandler,
} from './email/email.service.ts';
import { SmtpMailer } from './email/mailer.ts';
import { createLogoutHandler } from './oidc/backchannel-logout.ts';
import { ASK_MAIL, createAskFinder } from './oidc/decoupled/ciba-mail.ts';
import { createPingHandler, PING } from './oidc/decoupled/ciba-ping.ts';
import { createFamilyEnding, LEFT_FAMILIES } from './grant/grant.service.ts';
import { createKeyRotation } from './keys/key-rotation.ts';
import { createAuditMonths } from './outbox/audit-months.ts';
import { createCleaning } from './outbox/cleaning.ts';
import { OutboxWorker } from './outbox/worker.ts';
import type { Services, Surroundings } from './server-services.ts';
import { type ClientLogout, LOGOUT } from './session/session.ts';

export interface Work {
  /** Where mails are shown instead of sent; undefined where they are sent. */
  readonly mailbox: DevMailbox | undefined;
  start(): Promise<void>;
  /** Resolves when what is under way is done. */
  stop(): Promise<void>;
  /** Gives up the connections that deliveries were made on. */
  close(): void;
}

/** Counts of refusals are written so often: a kill loses as much. */
const FLUSH_MS = 60_000;

/** All that is done behind the requests: what leaves from the outbox, and what comes by the clock. */
export function createWork(
  { config, db, owner = db, sealer, logger }: Surroundings,
  { accounts, clients, engine, keys, outbound, refusals }: Services,
): Work {
  const smtp =
    config.smtpUrl === undefined
      ? undefined
      : new SmtpMailer({
          url: config.smtpUrl,
          from: config.mailFrom,
          host: new URL(config.issuer).hostname,
        });
  const mailbox = config.devMail ? new DevMailbox() : undefined;
  const mailer = smtp ?? mailbox;
  if (mailer === undefined) logger.warn('mails wait in the outbox until SMTP_URL is set');
  const brand = { name: config.brand.name, issuer: config.issuer };
  const mailWorker = new OutboxWorker({
    db,
    sealer,
    logger,
    handlers:
      mailer === undefined
        ? {}
        : {
            mail: createMailHandler(mailer, brand),
            [ASK_MAIL]: createAskMailHandler(mailer, brand, createAskFinder(db)),
            [REPLAY_MAIL]: createReplayMailHandler(mailer, brand, {
              account: (id) => accounts.find(id),
              app: async (id) => (await clients.findStored(id))?.name,
            }),
          },
  });
  // Of its own, so that no mail server that hangs holds up the keys, the cleaning and what a change ends.
  const clockWorker = new OutboxWorker({
    db,
    sealer,
    logger,
    handlers: { [LEFT_FAMILIES]: createFamilyEnding(db) },
    clockwork: {
      'clock:clean': createCleaning(owner),
      'clock:audit': createAuditMonths(owner, logger, config.auditRetentionMonths),
      'clock:keys': createKeyRotation(keys, config.keyRotationDays),
    },
  });
  // Of its own, so that no client that is slow to answer holds up a mail.
  const logoutWorker = new OutboxWorker({
    db,
    sealer,
    logger,
    handlers: {
      [LOGOUT]: createLogoutHandler({ provider: () => engine.provider, outbound }),
      [PING]: createPingHandler({ clients, outbound }),
    },
    concurrency: 8,
    fairTo: 'clientId' satisfies keyof ClientLogout,
  });

  const workers = [mailWorker, clockWorker, logoutWorker];
  const flush = () =>
    void refusals
      .flush()
      .catch((err: unknown) => logger.error({ err }, 'refusals could not be written'));
  let flushing: NodeJS.Timeout | undefined;
  return {
    mailbox,
    async start() {
      flushing = setInterval(flush, FLUSH_MS).unref();
      await Promise.all(workers.map((one) => one.start()));
    },
    async stop() {
      clearInterval(flushing);
      await Promise.all(workers.map((one) => one.stop()));
    },
    close: () => smtp?.close(),
  };
}
