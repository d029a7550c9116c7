import { setTimeout as delay } from 'node:timers/promises';
import Koa from 'koa';
import { AccountService } from './account/account.service.ts';
import { Limits } from './account/limits.service.ts';
import { Passwords } from './account/passwords.service.ts';
import { RegistrationService } from './account/registration.service.ts';
import { SetupService } from './account/setup.service.ts';
import { AuthenticatorService } from './authenticator/authenticator.service.ts';
import { ClientService } from './client/client.service.ts';
import type { Config } from './config.ts';
import { ConsentService } from './consent/consent.service.ts';
import { accountRoutes } from './console/account.routes.ts';
import { devMailRoutes } from './console/dev-mail.routes.ts';
import { createConsoleSignIn } from './console/sign-in.ts';
import type { Database } from './db/database.ts';
import { knownMigrations } from './db/migrate.ts';
import { VersionWatch } from './db/versions.ts';
import { DevMailbox } from './email/dev-mailbox.ts';
import { REPLAY_MAIL } from './email/email.ts';
import { createMailHandler, createReplayMailHandler } from './email/email.service.ts';
import { SmtpMailer } from './email/mailer.ts';
import { AppError } from './errors.ts';
import { gatewayRoutes } from './gateway/gateway.routes.ts';
import { GatewayService } from './gateway/gateway.service.ts';
import { GatewayRules } from './gateway/rules.service.ts';
import { identifyCertificate } from './http/client-certificate.ts';
import { handleErrors } from './http/errors.ts';
import { readBody } from './http/form.ts';
import { createLanes, refuseFailed } from './http/lane.ts';
import { type Handler, Listener } from './http/listener.ts';
import { createRenderer } from './http/render.ts';
import { serveAssets } from './http/render-page.ts';
import {
  accessLog,
  identifyRequest,
  issuerPath,
  mountAtIssuer,
  securityHeaders,
} from './http/request.ts';
import { createInteractionRoutes } from './interaction/interaction.routes.ts';
import { KnownDevices } from './interaction/known-device.ts';
import { recoverInteractions } from './interaction/restart.ts';
import { createSetupRoutes } from './interaction/setup.routes.ts';
import { createVerifyRoutes } from './interaction/verify.routes.ts';
import { introspectionLane } from './introspection/introspection.lane.ts';
import { IntrospectionService } from './introspection/introspection.service.ts';
import type { Logger } from './lib/log.ts';
import type { Sealer } from './lib/seal.ts';
import { refuseBrokenAssertions } from './oidc/assertions.ts';
import { refuseForeignResume } from './oidc/begun-here.ts';
import { clientCredentialsLane } from './oidc/client-credentials.lane.ts';
import { takeAliasedProofs } from './oidc/dpop.ts';
import { Engine } from './oidc/engine.ts';
import { createLogoutHandler } from './oidc/backchannel-logout.ts';
import { createEnginePages } from './oidc/engine-pages.ts';
import { renderFormPost } from './oidc/form-post.ts';
import { createKeyRotation } from './oidc/key-rotation.ts';
import { KeyService } from './oidc/keys.service.ts';
import { unitOfWork } from './oidc/middleware.ts';
import { tellOfCertificates } from './oidc/mtls.ts';
import { takePosts } from './oidc/posts.ts';
import { createResourceInfo } from './oidc/resources.ts';
import { createVerifyJwt, presentJwts } from './oidc/present-jwt.ts';
import { answerHealth, Health } from './operations/health.ts';
import type { Metrics } from './operations/metrics.service.ts';
import { OutboundAllow } from './outbound/outbound.ts';
import { Outbound } from './outbound/outbound.service.ts';
import { createAuditMonths } from './outbox/audit-months.ts';
import { createCleaning } from './outbox/cleaning.ts';
import { OutboxWorker } from './outbox/worker.ts';
import { type ClientLogout, LOGOUT } from './session/session.ts';
import { ResourceServerService } from './resource-server/resource-server.service.ts';
import { revocationRoutes } from './revocation/revocation.routes.ts';
import { RevocationFeed } from './revocation/revocation.service.ts';

export interface ServerParts {
  readonly config: Config;
  readonly db: Database;
  readonly sealer: Sealer;
  readonly logger: Logger;
  readonly metrics?: Metrics | undefined;
  /** Whether the plain form of some requests is answered before the engine; it is unless told, and changes no answer. */
  readonly lanes?: boolean;
}

export interface Server {
  /** Listens; gives the port. */
  listen(): Promise<number>;
  /** A new link that makes the first administrator, good for an hour; undefined where there is one. */
  issueSetupLink(): Promise<string | undefined>;
  /** Takes no new request, ends the ones under way, and leaves nothing running. */
  close(): Promise<void>;
}

/** How long requests under way may take to end. */
const DRAIN_MS = 10_000;

/** The composition root: the one place that knows every feature. */
export async function createServer({
  config,
  db,
  sealer,
  logger,
  metrics,
  lanes = true,
}: ServerParts): Promise<Server> {
  const resourceServers = new ResourceServerService(db);
  const outboundAllow = new OutboundAllow(config.outboundAllow);
  const outbound = new Outbound({ allow: outboundAllow });
  const clients = new ClientService(db, resourceServers, outboundAllow);
  const keys = new KeyService(db, sealer);
  await keys.ensure();
  const passwords = new Passwords({ threadPoolSize: config.threadPoolSize });
  const accounts = new AccountService(db, passwords, sealer, {
    requireSecondFactor: config.requireSecondFactor,
    brandName: config.brand.name,
  });
  const setup = new SetupService(db, accounts, passwords);
  const authenticators = new AuthenticatorService(db, accounts, sealer);
  const consents = new ConsentService(db);
  const { color, onColor } = config.brand;
  const renderer = createRenderer({
    name: config.brand.name,
    base: issuerPath(config.issuer),
    brand:
      color !== undefined && onColor !== undefined ? { brand: color, onBrand: onColor } : undefined,
  });
  const engine = new Engine(
    {
      config,
      clients,
      resourceServers,
      sealer,
      outbound,
      pages: createEnginePages({ renderer, clients, issuer: config.issuer }),
      tellOf: (clientId, token) => introspection.answerById(clientId, token),
    },
    keys,
  );
  const verifyJwt = createVerifyJwt({
    issuer: config.issuer,
    keys: () => engine.verificationKeys,
    resourceServers,
  });
  const introspection = new IntrospectionService({
    db,
    issuer: config.issuer,
    clients,
    resourceServers,
    verifyJwt,
  });
  await engine.load();

  const rules = new GatewayRules(db, resourceServers);
  const gateway = new GatewayService({ db, clients, resourceServers, rules, introspection });

  const watch = new VersionWatch(db);
  watch.on('clients', () => clients.refresh());
  watch.on('resource_servers', () => {
    resourceServers.refresh();
    clients.refresh();
    rules.refresh();
  });
  watch.on(
    'keys',
    () =>
      void engine
        .load()
        .catch((err: unknown) => logger.error({ err }, 'the keys could not be read')),
  );
  await watch.start();

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
  const house = { name: config.brand.name, issuer: config.issuer };
  const worker = new OutboxWorker({
    db,
    sealer,
    logger,
    handlers:
      mailer === undefined
        ? {}
        : {
            mail: createMailHandler(mailer, house),
            [REPLAY_MAIL]: createReplayMailHandler(mailer, house, {
              address: async (id) => (await accounts.find(id))?.email,
              app: async (id) => (await clients.find(id))?.name,
            }),
          },
    clockwork: {
      'clock:clean': createCleaning(db),
      'clock:audit': createAuditMonths(db, logger, config.auditRetentionMonths),
      'clock:keys': createKeyRotation(keys, config.keyRotationDays),
    },
  });
  // Of its own, so that no client that is slow to answer holds up a mail.
  const logoutWorker = new OutboxWorker({
    db,
    sealer,
    logger,
    handlers: { [LOGOUT]: createLogoutHandler({ provider: () => engine.provider, outbound }) },
    concurrency: 8,
    fairTo: 'clientId' satisfies keyof ClientLogout,
  });

  const app = new Koa();
  const { clientCertificates } = config;
  const tls = config.tls && {
    ...config.tls,
    onProblem: (err: unknown) => logger.error({ err }, 'the files of TLS could not be used'),
  };
  const listener = new Listener(tls);
  const certificateListener =
    tls === undefined || clientCertificates.port === undefined
      ? undefined
      : new Listener({ ...tls, clientCertificates });
  const health = new Health({
    db,
    migrations: await knownMigrations(),
    hasKeys: () => engine.isReady,
    isDraining: () => listener.draining,
  });
  // The headers that this makes Koa believe are written by `identifyRequest`.
  app.proxy = true;
  app.on('error', (err) => logger.error({ err }, 'unhandled'));
  app.use(answerHealth(config.issuer, health));
  if (metrics !== undefined) app.use(metrics.middleware());
  app.use(accessLog(logger));
  const { proxy, caFile, host } = clientCertificates;
  app.use(identifyCertificate({ ownAuthorities: caFile !== undefined, proxy }));
  app.use(identifyRequest({ issuer: config.issuer, trustProxy: config.trustProxy }));
  app.use(takeAliasedProofs(host));
  app.use(securityHeaders(config.issuer));
  app.use(handleErrors(renderer, logger));
  app.use(mountAtIssuer(config.issuer));
  app.use(serveAssets(renderer));
  if (mailbox !== undefined) app.use(devMailRoutes({ mails: mailbox, renderer }));
  app.use(
    tellOfCertificates({
      any: certificateListener !== undefined || proxy !== undefined,
      verified: caFile !== undefined || proxy?.verifiedHeader !== undefined,
      host,
    }),
  );
  app.use(engine.keepFresh());
  const feed = new RevocationFeed({
    db,
    issuer: config.issuer,
    cursorKeys: sealer.deriveEach('revocation cursors'),
    sign: (claims, typ) => engine.sign(claims, typ),
  });
  app.use(revocationRoutes(feed).routes());
  app.use(takePosts(config.issuer));
  app.use(recoverInteractions({ issuer: config.issuer }));
  app.use(unitOfWork(db, () => engine.provider.cookieName('session')));
  app.use(gatewayRoutes({ issuer: config.issuer, gateway }));
  const registration = new RegistrationService(db, accounts, passwords, sealer);
  const limits = new Limits(db, sealer);
  app.use(
    createInteractionRoutes({
      config,
      engine,
      renderer,
      sealer,
      accounts,
      authenticators,
      registration,
      limits,
      clients,
      consents,
      resourceServers,
      devices: new KnownDevices(sealer),
    }),
  );
  app.use(createVerifyRoutes({ config, renderer, registration, limits }));
  app.use(createSetupRoutes({ config, renderer, accounts, setup }));
  const signIn = createConsoleSignIn({ config, engine, renderer });
  app.use(
    accountRoutes({
      issuer: config.issuer,
      engine,
      renderer,
      clients,
      resourceServers,
      consents,
      authenticators,
      signIn,
    }).routes(),
  );
  app.use(refuseForeignResume(() => engine.provider.cookieName('resume')));
  app.use(renderFormPost(renderer));
  app.use(refuseFailed());
  app.use(presentJwts({ verify: verifyJwt, readBody }));
  app.use(refuseBrokenAssertions());
  app.use(engine.middleware());

  const answer = createLanes({
    issuer: config.issuer,
    logger,
    lanes: lanes
      ? [
          introspectionLane(introspection),
          clientCredentialsLane({
            db,
            provider: () => engine.provider,
            resourceInfo: createResourceInfo(clients, resourceServers),
          }),
        ]
      : [],
    isOpen: () => engine.isReady,
    authenticate: (credentials) => {
      // The body may have taken its time.
      watch.keepFresh();
      return clients.authenticate(credentials);
    },
    onAnswer: (route, seconds, result) => metrics?.noteLane(route, seconds, result),
    next: app.callback(),
  });
  const handler: Handler = (request, response) => {
    watch.keepFresh();
    return answer(request, response);
  };
  const metricsListener = new Listener();
  metrics?.watch({ db, passwords });

  return {
    async listen() {
      if (metrics !== undefined && config.metricsPort !== undefined)
        await metricsListener.listen(
          config.metricsPort,
          config.metricsHost,
          metrics.handler(),
          'METRICS_PORT',
        );
      const port = await listener.listen(config.port, config.host, handler);
      if (certificateListener !== undefined && clientCertificates.port !== undefined)
        await certificateListener.listen(
          clientCertificates.port,
          config.host,
          handler,
          'MTLS_PORT',
        );
      await Promise.all([worker.start(), logoutWorker.start()]);
      return port;
    },
    async issueSetupLink() {
      try {
        return `${config.issuer}/setup/${await setup.issueSetupLink('server')}`;
      } catch (error) {
        if (error instanceof AppError && error.code === 'already_set_up') return undefined;
        throw error;
      }
    },
    async close() {
      // A delivery that takes longer is somebody else's when its lease ends.
      const delivered = Promise.race([
        Promise.all([worker.stop(), logoutWorker.stop()]),
        delay(DRAIN_MS, undefined, { ref: false }),
      ]);
      await Promise.all([
        listener.close(DRAIN_MS),
        certificateListener?.close(DRAIN_MS),
        delivered,
      ]);
      smtp?.close();
      await metricsListener.close(0);
      watch.stop();
      engine.stop();
    },
  };
}
