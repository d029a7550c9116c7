import Koa, { type Middleware } from 'koa';
import { clientRegistrationRoutes } from './client-registration/client-registration.routes.ts';
import { accountRoutes } from './console/account.routes.ts';
import { devMailRoutes } from './console/dev-mail.routes.ts';
import { createConsoleSignIn } from './console/sign-in.ts';
import { gatewayRoutes } from './gateway/gateway.routes.ts';
import type { Bounds } from './http/bounds.ts';
import { identifyCertificate } from './http/client-certificate.ts';
import { admitRequests, type Endpoint, endpointsOf } from './http/endpoints.ts';
import { handleErrors } from './http/errors.ts';
import { refuseFailed } from './http/fast-path.ts';
import { isHangUp } from './http/hang-ups.ts';
import { setInteractionId } from './http/interaction-id.ts';
import { only } from './http/only.ts';
import type { PublishedDocuments } from './http/published.ts';
import { accessLog, identifyRequest, mountAtIssuer, securityHeaders } from './http/request.ts';
import { limitAddresses, noteTooMany, type RequestLimits } from './http/request-limits.ts';
import { createAskedRoutes } from './interaction/ciba.routes.ts';
import { createDeviceRoutes } from './interaction/device.routes.ts';
import { limitInteractions } from './interaction/interaction-limit.ts';
import { createInteractionRoutes } from './interaction/interaction.routes.ts';
import { KnownDevices } from './interaction/known-device.ts';
import { recoverInteractions } from './interaction/restart.ts';
import { createSetupRoutes } from './interaction/setup.routes.ts';
import { createVerifyRoutes } from './interaction/verify.routes.ts';
import { renderFormPost } from './oidc/authorization/form-post.ts';
import { carryInteractions } from './oidc/authorization/interaction-cookie.ts';
import { redirectPosts } from './oidc/authorization/posted-requests.ts';
import { boundRequestObjects } from './oidc/authorization/request-object-bounds.ts';
import { refuseBrokenAssertions } from './oidc/client-authentication/assertions.ts';
import { readCredentials } from './oidc/client-authentication/credentials.ts';
import { takeAliasedProofs } from './oidc/client-authentication/dpop.ts';
import { presentCertificates } from './oidc/client-authentication/mtls.ts';
import { hasProven, limitClients } from './oidc/client-limits.ts';
import { leaveOutEmpty } from './oidc/discovery.ts';
import { browserEndpoints, discoveryEndpoints, engineEndpoints } from './oidc/endpoints.ts';
import { unitOfWork } from './oidc/middleware.ts';
import { answerSignedOut } from './oidc/signed-out.ts';
import { presentJwts } from './oidc/present-jwt.ts';
import { distrustSignOuts } from './oidc/sign-out-requests.ts';
import { answerHealth, type Health } from './operations/health.ts';
import type { Metrics } from './operations/metrics.service.ts';
import { serveAssets } from './pages/render-page.ts';
import { metadataEndpoints, resourceMetadata } from './resource-server/resource-metadata.routes.ts';
import { revocationRoutes } from './revocation/revocation.routes.ts';
import type { Services, Surroundings } from './server-services.ts';
import type { Work } from './server-work.ts';

export interface PipelineParts {
  readonly surroundings: Surroundings;
  readonly services: Services;
  readonly mailbox: Work['mailbox'];
  readonly health: Health;
  readonly bounds: Bounds;
  readonly requestLimits: RequestLimits;
  readonly published: PublishedDocuments;
  readonly metrics: Metrics | undefined;
  /** Whether clients can show certificates on a port of their own. */
  readonly takesCertificates: boolean;
}

/**
 * The path of a request that no fast path answers, from top to bottom. Layers that concern only some paths are behind `only`:
 * a request for the token endpoint passes none of the pages.
 */
export function createPipeline(parts: PipelineParts): Koa {
  const app = new Koa();
  // The headers that this makes Koa believe are written by `identifyRequest`.
  app.proxy = true;
  app.on('error', (err: unknown) => {
    if (!isHangUp(err)) parts.surroundings.logger.error({ err }, 'unhandled');
  });
  const routes = createRoutes(parts);
  for (const layer of [
    ...firstLayers(parts),
    ...admission(parts, routes),
    ...answers(parts, routes),
  ])
    app.use(layer);
  return app;
}

/** A router and the endpoints in it. */
interface Routes {
  readonly layer: Middleware;
  readonly endpoints: readonly Endpoint[];
}

function createRoutes({ surroundings: { config, sealer }, services }: PipelineParts) {
  const { engine, renderer } = services;
  const parts = { ...services, config, sealer };
  const { issuer } = config;
  const routesOf = (
    name: string,
    routes: unknown,
    more: Parameters<typeof endpointsOf>[1] = {},
  ): Routes => {
    const endpoints = endpointsOf(routes as Middleware, more);
    return { layer: only(name, endpoints, routes as Middleware), endpoints };
  };
  const signIn = createConsoleSignIn({ config, engine, renderer });
  const registration = clientRegistrationRoutes({
    issuer,
    registration: services.clientRegistration,
  });
  return {
    feed: routesOf('revocation feed', revocationRoutes(services.feed).routes(), {
      crossOrigin: 'ours',
    }),
    registration: routesOf('registration', registration.routes(), {
      body: 'json',
      oauth: true,
      crossOrigin: 'ours',
    }),
    interactions: routesOf(
      'interaction pages',
      createInteractionRoutes({ ...parts, devices: new KnownDevices(sealer) }),
    ),
    verify: routesOf('verification pages', createVerifyRoutes(parts)),
    setup: routesOf('setup pages', createSetupRoutes(parts)),
    device: routesOf('device pages', createDeviceRoutes(parts)),
    asked: routesOf('CIBA pages', createAskedRoutes(parts)),
    account: routesOf('account pages', accountRoutes({ ...services, issuer, signIn }).routes()),
  };
}

type AllRoutes = ReturnType<typeof createRoutes>;

const pagesOf = ({ interactions, verify, setup, device, asked, account }: AllRoutes) =>
  [interactions, verify, setup, device, asked, account].flatMap(({ endpoints }) => endpoints);

/** What every request passes: its identity, its log line, and what becomes of errors. */
function firstLayers({
  surroundings: { config, logger },
  services: { renderer, resourceServers, refusals },
  health,
  metrics,
  published,
}: PipelineParts): Middleware[] {
  const { issuer, trustProxy } = config;
  const { proxy, caFile, host } = config.clientCertificates;
  return [
    answerHealth(issuer, health),
    ...(metrics === undefined ? [] : [metrics.middleware()]),
    accessLog(logger),
    published.record(),
    identifyCertificate({ ownAuthorities: caFile !== undefined, proxy }),
    identifyRequest({ issuer, trustProxy }),
    takeAliasedProofs(host),
    securityHeaders(issuer),
    noteTooMany((endpoint, address) =>
      refusals.take({
        type: 'request.refused',
        outcome: 'refused',
        reason: 'too_many_requests',
        data: { endpoint },
        address,
      }),
    ),
    handleErrors(renderer, logger, issuer),
    resourceMetadata(issuer, resourceServers),
    mountAtIssuer(issuer),
    setInteractionId('/userinfo'),
  ];
}

/** Refuses what no endpoint takes, and what is too much. */
function admission(
  { surroundings: { config }, mailbox, bounds, requestLimits }: PipelineParts,
  routes: AllRoutes,
): Middleware[] {
  return [
    admitRequests([
      ...engineEndpoints,
      ...pagesOf(routes),
      ...routes.feed.endpoints,
      ...(config.clientRegistration === 'off' ? [] : routes.registration.endpoints),
      ...metadataEndpoints,
      { path: '/assets/:name', methods: ['GET'] },
      gatewayEndpoint,
      ...(mailbox === undefined ? [] : [{ path: '/dev/mail', methods: ['GET'] }]),
    ]),
    // Before the body is waited for: what arrives slowly counts as well.
    limitAddresses(requestLimits, hasProven),
    bounds.middleware(),
  ];
}

const gatewayEndpoint: Endpoint = { path: '/gateway/*', methods: 'any' };

/** Our own pages and routes, and at last the engine. */
function answers(
  {
    surroundings: { config, db, logger, sealer },
    services,
    mailbox,
    requestLimits,
    takesCertificates,
  }: PipelineParts,
  routes: AllRoutes,
): Middleware[] {
  const { issuer } = config;
  const { proxy, caFile, host } = config.clientCertificates;
  const { clients, engine, renderer } = services;
  const sessionCookie = () => engine.provider.cookieName('session');
  const limit = limitInteractions({ issuer, sealer });
  const { feed, registration, interactions, verify, setup, device, asked, account } = routes;
  const forBrowsers = [...browserEndpoints, ...pagesOf(routes)];
  const certificates = presentCertificates({
    any: takesCertificates || proxy !== undefined,
    verified: caFile !== undefined || proxy?.verifiedHeader !== undefined,
    host,
  });
  return [
    serveAssets(renderer),
    ...(mailbox === undefined ? [] : [devMailRoutes({ mails: mailbox, renderer })]),
    only('metadata', discoveryEndpoints, certificates, leaveOutEmpty()),
    engine.keepFresh(),
    feed.layer,
    registration.layer,
    only(
      'before the unit of work',
      forBrowsers,
      redirectPosts(issuer),
      recoverInteractions({ issuer }),
      limit.sendBack,
    ),
    unitOfWork(db, sessionCookie, services.refusals.take),
    only('gateway', [gatewayEndpoint], gatewayRoutes({ issuer, gateway: services.gateway })),
    only(
      'in the unit of work',
      forBrowsers,
      carryInteractions(),
      ...[interactions, verify, setup].map(({ layer }) => layer),
      limit.count,
      ...[device, asked, account].map(({ layer }) => layer),
      distrustSignOuts({ provider: () => engine.provider, clients, logger }),
      renderFormPost(renderer),
      answerSignedOut(issuer, sessionCookie),
    ),
    refuseFailed(),
    readCredentials(issuer),
    presentJwts(services.verifyJwt),
    boundRequestObjects(),
    refuseBrokenAssertions(),
    limitClients(requestLimits),
    engine.middleware(),
  ];
}
