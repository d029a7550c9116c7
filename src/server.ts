import { setTimeout as delay } from 'node:timers/promises';
import { knownMigrations } from './db/migrate.ts';
import { AppError } from './errors.ts';
import { Bounds } from './http/bounds.ts';
import { createFastPaths } from './http/fast-path.ts';
import { type Handler, Listener } from './http/listener.ts';
import { PublishedDocuments } from './http/published.ts';
import { RequestLimits } from './http/request-limits.ts';
import { streams } from './http/streams.ts';
import { introspectionFastPath } from './introspection/fast-path.ts';
import { clientCredentialsFastPath } from './oidc/grants/client-credentials-fast-path.ts';
import { createImpliedResource, createResourceInfo } from './oidc/authorization/resources.ts';
import { Health } from './operations/health.ts';
import type { Metrics } from './operations/metrics.service.ts';
import { createServices, type Surroundings } from './server-services.ts';
import { createWork } from './server-work.ts';
import { createPipeline } from './server-pipeline.ts';

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
 * The composition root, with the files beside it: server-services.ts creates the services, server-work.ts does the work in the
 * background, and server-pipeline.ts is the path of a request. Here they are put together, started and stopped.
 */
export async function createServer({
  metrics,
  fastPaths = true,
  ...surroundings
}: ServerParts): Promise<Server> {
  const { config, db, logger } = surroundings;
  const services = await createServices(surroundings);
  const { clients, engine, introspection, resourceServers, watch } = services;
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
  const app = createPipeline({
    surroundings,
    services,
    mailbox: work.mailbox,
    health,
    bounds,
    requestLimits,
    published,
    metrics,
    takesCertificates: certificateListener !== undefined,
  });

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
