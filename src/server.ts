import { setTimeout as delay } from 'node:timers/promises';
import Koa, { type Middleware } from 'koa';
import { clientRegistrationRoutes } from './client-registration/client-registration.routes.ts';
import { accountRoutes } from './console/account.routes.ts';
import { devMailRoutes } from './console/dev-mail.routes.ts';
import { createConsoleSignIn } from './console/sign-in.ts';
import { knownMigrations } from './db/migrate.ts';
import { AppError } from './errors.ts';
import { Bounds } from './http/bounds.ts';
import { gatewayRoutes } from './gateway/gateway.routes.ts';
import { identifyCertificate } from './http/client-certificate.ts';
import { admitRequests, endpointsOf } from './http/endpoints.ts';
import { handleErrors } from './http/errors.ts';
import { readFormFirst } from './http/form.ts';
import { createFastPaths, refuseFailed } from './http/fast-path.ts';
import { setInteractionId } from './http/interaction-id.ts';
import { isHangUp } from './http/hang-ups.ts';
import { type Handler, Listener } from './http/listener.ts';
import { PublishedDocuments } from './http/published.ts';
import { limitAddresses, noteTooMany, RequestLimits } from './http/request-limits.ts';
import { streams } from './http/streams.ts';
import { serveAssets } from './pages/render-page.ts';
import { accessLog, identifyRequest, mountAtIssuer, securityHeaders } from './http/request.ts';
import { createAskedRoutes } from './interaction/ciba.routes.ts';
import { createDeviceRoutes } from './interaction/device.routes.ts';
import { limitInteractions } from './interaction/interaction-limit.ts';
import { createInteractionRoutes } from './interaction/interaction.routes.ts';
import { KnownDevices } from './interaction/known-device.ts';
import { recoverInteractions } from './interaction/restart.ts';
import { createSetupRoutes } from './interaction/setup.routes.ts';
import { createVerifyRoutes } from './interaction/verify.routes.ts';
import { introspectionFastPath } from './introspection/fast-path.ts';
import { refuseBrokenAssertions } from './oidc/client-authentication/assertions.ts';
import { readCredentials } from './oidc/client-authentication/credentials.ts';
import { engineEndpoints } from './oidc/endpoints.ts';
import { carryInteractions } from './oidc/authorization/interaction-cookie.ts';
import { clientCredentialsFastPath } from './oidc/grants/client-credentials-fast-path.ts';
import { leaveOutEmpty } from './oidc/discovery.ts';
import { takeAliasedProofs } from './oidc/client-authentication/dpop.ts';
import { renderFormPost } from './oidc/authorization/form-post.ts';
import { hasProven, limitClients } from './oidc/client-limits.ts';
import { unitOfWork } from './oidc/middleware.ts';
import { answerSignedOut } from './oidc/signed-out.ts';
import { presentCertificates } from './oidc/client-authentication/mtls.ts';
import { redirectPosts } from './oidc/authorization/posted-requests.ts';
import { createImpliedResource, createResourceInfo } from './oidc/authorization/resources.ts';
import { presentJwts } from './oidc/present-jwt.ts';
import { distrustSignOuts } from './oidc/sign-out-requests.ts';
import { boundRequestObjects } from './oidc/authorization/request-object-bounds.ts';
import { answerHealth, Health } from './operations/health.ts';
import type { Metrics } from './operations/metrics.service.ts';
import { revocationRoutes } from './revocation/revocation.routes.ts';
import { metadataEndpoints, resourceMetadata } from './resource-server/resource-metadata.routes.ts';
import { createServices, type Surroundings } from './server-services.ts';
import { createWork } from './server-work.ts';

export interface ServerParts extends Surroundings {
  readonly metrics?: Metrics | undefined;
  /** Whether the plain form of some requests is answered before the engine; it is unless told, and changes no answer. */
  readonly fastPaths?: boolean;
}

export interface Server {
  /** Listens; gives the port. */
  listen(): Promise<number>;
  /** A new link that makes the first administrator, good for an hour; undefined where there is one. */
  issueSetupLink(): Promise<string | undefined>;
  /**
   * Takes no new request, ends the ones under way, and leaves nothing running.
   * @param delayMs for how long readiness fails before that, while requests are still taken; 0 by default
   */
  close(delayMs?: number): Promise<void>;
}

/** How long connections stay open on which a load balancer may just be sending a request. */
const LINGER_MS = 1_000;

/** How long requests under way may take to end. */
const DRAIN_MS = 10_000;

/**
 * The composition root, with the two files beside it: what there is stands in server-services.ts, what is done behind the
 * requests in server-work.ts, and here the way of a request, from top to bottom.
 */
export async function createServer({
  metrics,
  fastPaths = true,
  ...surroundings
}: ServerParts): Promise<Server> {
  const { config, db, sealer, logger } = surroundings;
  const services = await createServices(surroundings);
  const { clients, engine, introspection, renderer, resourceServers, watch } = services;
  const work = createWork(surroundings, services);
  // Beside all that follows; where it fails, the first reader of the feed waits for it.
  const prepared = services.feed.prepare().catch(() => undefined);

  const published = new PublishedDocuments({
    issuer: config.issuer,
    logger,
    sources: () => {
      const keys = fastPaths ? engine.publication : undefined;
      return keys && [keys, resourceServers.knownDetailTypes];
    },
    onAnswer: (route, seconds) => metrics?.noteFastPath(route, seconds),
  });

  const app = new Koa();
  const { clientCertificates } = config;
  const tls = config.tls && {
    ...config.tls,
    onProblem: (err: unknown) => logger.error({ err }, 'the files of TLS could not be used'),
  };
  const listener = new Listener({ tls, logger });
  const certificateListener =
    tls === undefined || clientCertificates.port === undefined
      ? undefined
      : new Listener({ tls: { ...tls, clientCertificates }, logger });
  const health = new Health({
    db,
    migrations: await knownMigrations(),
    hasKeys: () => engine.isReady,
    hearsChanges: () => watch.hears,
    isDraining: () => listener.ending.aborted,
  });
  const bounds = new Bounds({ most: config.maxRequests, streams, ending: listener.ending });
  const requestLimits = new RequestLimits(config.requestLimits);
  const interactionLimit = limitInteractions({ issuer: config.issuer, sealer });
  // The headers that this makes Koa believe are written by `identifyRequest`.
  app.proxy = true;
  app.on('error', (err: unknown) => {
    if (!isHangUp(err)) logger.error({ err }, 'unhandled');
  });
  app.use(answerHealth(config.issuer, health));
  if (metrics !== undefined) app.use(metrics.middleware());
  app.use(accessLog(logger));
  app.use(published.record());
  const { proxy, caFile, host } = clientCertificates;
  app.use(identifyCertificate({ ownAuthorities: caFile !== undefined, proxy }));
  app.use(identifyRequest({ issuer: config.issuer, trustProxy: config.trustProxy }));
  app.use(takeAliasedProofs(host));
  app.use(securityHeaders(config.issuer));
  app.use(
    noteTooMany((endpoint, address) =>
      services.refusals.take({
        type: 'request.refused',
        outcome: 'refused',
        reason: 'too_many_requests',
        data: { endpoint },
        address,
      }),
    ),
  );
  app.use(handleErrors(renderer, logger, config.issuer));
  app.use(resourceMetadata(config.issuer, resourceServers));
  app.use(mountAtIssuer(config.issuer));
  app.use(setInteractionId('/userinfo'));

  const parts = { ...services, config, sealer };
  const feed = revocationRoutes(services.feed).routes() as unknown as Middleware;
  const registration = clientRegistrationRoutes({
    issuer: config.issuer,
    registration: services.clientRegistration,
  }).routes() as unknown as Middleware;
  const signIn = createConsoleSignIn({ config, engine, renderer });
  const account = accountRoutes({
    ...services,
    issuer: config.issuer,
    signIn,
  }).routes() as unknown as Middleware;
  const interactions = createInteractionRoutes({ ...parts, devices: new KnownDevices(sealer) });
  const verify = createVerifyRoutes(parts);
  const setup = createSetupRoutes(parts);
  const device = createDeviceRoutes(parts);
  const asked = createAskedRoutes(parts);
  const pages = [interactions, verify, setup, device, asked, account];
  app.use(
    admitRequests([
      ...engineEndpoints,
      ...pages.flatMap((routes) => endpointsOf(routes)),
      ...endpointsOf(feed, { crossOrigin: 'ours' }),
      ...(config.clientRegistration === 'off'
        ? []
        : endpointsOf(registration, { body: 'json', oauth: true, crossOrigin: 'ours' })),
      ...metadataEndpoints,
      { path: '/assets/:name', methods: ['GET'] },
      { path: '/gateway/*', methods: 'any' },
      ...(work.mailbox === undefined ? [] : [{ path: '/dev/mail', methods: ['GET'] }]),
    ]),
  );
  app.use(bounds.middleware());
  app.use(limitAddresses(requestLimits, hasProven));
  app.use(serveAssets(renderer));
  if (work.mailbox !== undefined) app.use(devMailRoutes({ mails: work.mailbox, renderer }));
  app.use(
    presentCertificates({
      any: certificateListener !== undefined || proxy !== undefined,
      verified: caFile !== undefined || proxy?.verifiedHeader !== undefined,
      host,
    }),
  );
  app.use(leaveOutEmpty());
  app.use(engine.keepFresh());
  app.use(feed);
  app.use(registration);
  app.use(redirectPosts(config.issuer));
  app.use(recoverInteractions({ issuer: config.issuer }));
  app.use(interactionLimit.sendBack);
  app.use(unitOfWork(db, () => engine.provider.cookieName('session'), services.refusals.take));
  app.use(carryInteractions());
  app.use(gatewayRoutes({ issuer: config.issuer, gateway: services.gateway }));
  for (const routes of [interactions, verify, setup]) app.use(routes);
  app.use(interactionLimit.count);
  for (const routes of [device, asked, account]) app.use(routes);
  app.use(distrustSignOuts({ provider: () => engine.provider, clients, logger }));
  app.use(renderFormPost(renderer));
  app.use(answerSignedOut(config.issuer, () => engine.provider.cookieName('session')));
  app.use(refuseFailed());
  app.use(readFormFirst());
  app.use(readCredentials(config.issuer));
  app.use(presentJwts(services.verifyJwt));
  app.use(boundRequestObjects());
  app.use(refuseBrokenAssertions());
  app.use(limitClients(requestLimits));
  app.use(engine.middleware());

  const answer = createFastPaths({
    issuer: config.issuer,
    logger,
    fastPaths: fastPaths
      ? [
          introspectionFastPath(introspection),
          clientCredentialsFastPath({
            db,
            provider: () => engine.provider,
            resourceInfo: createResourceInfo(clients, resourceServers),
            impliedResource: createImpliedResource(clients, resourceServers),
          }),
        ]
      : [],
    bounds,
    isOpen: () => engine.isReady && !bounds.isFull,
    authenticate: (credentials) => {
      // The body may have taken its time.
      watch.keepFresh();
      return clients.authenticate(credentials);
    },
    onCaller: (route, { id }) =>
      requestLimits.countClient(route === 'token' ? 'token' : 'introspect', id),
    onAnswer: (route, seconds, result) => metrics?.noteFastPath(route, seconds, result),
    next: app.callback(),
  });
  const answerPublished = published.answer(answer);
  const handler: Handler = (request, response) => {
    watch.keepFresh();
    return answerPublished(request, response);
  };
  const metricsListener = new Listener();
  metrics?.watch({ db, passwords: services.passwords });

  return {
    async listen() {
      if (metrics !== undefined && config.metricsPort !== undefined)
        await metricsListener.listen(
          config.metricsPort,
          config.metricsHost,
          metrics.handler(),
          'METRICS_PORT',
        );
      await prepared;
      const port = await listener.listen(config.port, config.hosts, handler);
      if (certificateListener !== undefined && clientCertificates.port !== undefined)
        await certificateListener.listen(
          clientCertificates.port,
          config.hosts,
          handler,
          'MTLS_PORT',
        );
      await work.start();
      return port;
    },
    async issueSetupLink() {
      try {
        return `${config.issuer}/setup/${await services.setup.issueSetupLink('server')}`;
      } catch (error) {
        if (error instanceof AppError && error.code === 'already_set_up') return undefined;
        throw error;
      }
    },
    async close(delayMs = 0) {
      listener.drain();
      certificateListener?.drain();
      if (delayMs > 0) await delay(delayMs);
      const lingerMs = delayMs > 0 ? LINGER_MS : 0;
      // A delivery that takes longer is somebody else's when its lease ends.
      const delivered = Promise.race([work.stop(), delay(DRAIN_MS, undefined, { ref: false })]);
      await Promise.all([
        listener.close(DRAIN_MS, lingerMs),
        certificateListener?.close(DRAIN_MS, lingerMs),
        delivered,
      ]);
      work.close();
      await services.refusals.flush().catch(() => undefined);
      await metricsListener.close(0);
      watch.stop();
      engine.stop();
    },
  };
}
