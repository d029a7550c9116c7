import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Middleware } from 'koa';
// @ts-expect-error: the engine's private file, which has no types
import EngineRouter from 'oidc-provider/lib/helpers/router.js';
import { loadConfig } from '../../src/config.ts';
import { Bounds } from '../../src/http/bounds.ts';
import type { OnlyLayer } from '../../src/http/only.ts';
import { PublishedDocuments } from '../../src/http/published.ts';
import { RequestLimits } from '../../src/http/request-limits.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { Health } from '../../src/operations/health.ts';
import { createPipeline } from '../../src/server-pipeline.ts';
import { createServices } from '../../src/server-services.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  type ServerProcess,
  startServerProcess,
  testMasterKey,
} from '../support/server-process.ts';
import { form, send } from '../support/wire.ts';

/** Issue 9, 38: a request passes only the layers that concern its path, and all of those. */

const issuer = 'https://id.example.com/tenant';
const browser = ['before the unit of work', 'in the unit of work'];

/**
 * Which layers behind `only` the requests for each route of the engine pass. A route that is not here fails the test: decide
 * which layers concern it, also those that have a list of their own (`clientPaths` in endpoints.ts; credentials.ts,
 * present-jwt.ts, request-object-bounds.ts, posted-requests.ts, and `machineRoutes` in middleware.ts).
 */
const decided: Readonly<Record<string, readonly string[]>> = {
  '/authorize': browser,
  '/authorize/:uid': browser,
  '/logout': browser,
  '/logout/confirm': browser,
  '/logout/success': browser,
  // Our own page answers the first one.
  '/device': [...browser, 'device pages'],
  '/device/:uid': [...browser, 'device pages'],
  '/token': [],
  '/introspect': [],
  '/revoke': [],
  '/userinfo': [],
  '/par': [],
  '/device_authorization': [],
  '/ciba': [],
  '/jwks': [],
  '/.well-known/openid-configuration': ['metadata'],
  '/.well-known/oauth-authorization-server': ['metadata'],
};

let database: TestDatabase;
let server: ServerProcess;
let layers: readonly OnlyLayer[];
const routes = new Set<string>();
let stop: () => void;

beforeAll(async () => {
  database = await createTestDatabase();
  const restore = recordRoutes();
  const config = loadConfig({ ISSUER: issuer, PORT: '0' });
  const sealer = new Sealer([testMasterKey]);
  const logger = createLogger('silent');
  const surroundings = { config, db: database.db, sealer, logger };
  const services = await createServices(surroundings);
  restore();
  stop = () => {
    services.watch.stop();
    services.engine.stop();
  };
  const ending = new AbortController().signal;
  const app = createPipeline({
    surroundings,
    services,
    mailbox: undefined,
    health: new Health({
      db: database.db,
      migrations: [],
      hasKeys: () => true,
      hearsChanges: () => true,
      isDraining: () => false,
    }),
    bounds: new Bounds({ most: 1, streams: [], ending }),
    requestLimits: new RequestLimits(config.requestLimits),
    published: new PublishedDocuments({
      issuer,
      logger,
      sources: () => undefined,
      onAnswer: () => undefined,
    }),
    metrics: undefined,
    takesCertificates: false,
  });
  layers = onlyLayers(app.middleware as Middleware[]);
  server = await startServerProcess(database, issuer);
});

afterAll(async () => {
  stop();
  await server.stop();
  await database.drop();
});

/** Notes the path of each route that the engine registers, until what it gives is called. */
function recordRoutes(): () => void {
  const prototype = EngineRouter.prototype as Record<
    string,
    (name: string, path: string, ...more: unknown[]) => unknown
  >;
  const methods = ['get', 'post', 'put', 'delete', 'options'].map((method) => {
    const original = prototype[method] as (typeof prototype)[string];
    prototype[method] = function record(this: unknown, name, path, ...more) {
      routes.add(path);
      return original.call(this, name, path, ...more);
    };
    return () => {
      prototype[method] = original;
    };
  });
  return () => {
    for (const restore of methods) restore();
  };
}

const onlyLayers = (all: readonly Middleware[]): OnlyLayer[] =>
  all
    .filter((layer): layer is OnlyLayer => 'concern' in layer)
    .flatMap((layer) => [layer, ...onlyLayers(layer.layers)]);

const layersFor = (path: string) =>
  layers.filter(({ concerns }) => concerns(path)).map(({ concern }) => concern);

describe('38: layers', () => {
  test('it is decided for each route of the engine which layers concern it', () => {
    const found = [...routes].sort();
    expect(found).toEqual(Object.keys(decided).sort());
    for (const route of found)
      expect([route, layersFor(route.replace(':uid', 'x'))]).toEqual([route, decided[route]]);
  });

  test('pages pass the layers of browsers, and the router that answers them', () => {
    const expected = {
      '/interaction/x/consent': [...browser, 'interaction pages'],
      '/verify-email': [...browser, 'verification pages'],
      '/setup/x': [...browser, 'setup pages'],
      '/asked/x': [...browser, 'CIBA pages'],
      '/account': [...browser, 'account pages'],
      '/': [...browser, 'account pages'],
      '/register/x': ['registration'],
      '/revocations': ['revocation feed'],
      '/gateway/x/nginx': ['gateway'],
    };
    const found = Object.keys(expected).map((path) => [path, layersFor(path)]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });
});

/** Other ways to write a path that a router or a proxy may take for the same. */
const spellings = (path: string): string[] => [
  `/tenant${path.toUpperCase()}`,
  `/tenant${path}/`,
  `/tenant/${path}`,
  `//tenant${path}`,
  `/tenant/tenant${path}`,
  `/tenant/.${path}`,
  `/tenant/x/..${path}`,
  `/tenant/%2e${path}`,
  `/tenant/%${path.charCodeAt(1).toString(16)}${path.slice(2)}`,
  ...(path.endsWith('/x') ? [] : [`/tenant${path}%20`, `/tenant${path};x`]),
  `/tenant%2f${path.slice(1)}`,
  `/Tenant${path}`,
  path,
];

describe('38: with an issuer that has a path', () => {
  test.each(Object.keys(decided))('no other spelling of %s reaches anything', async (route) => {
    const path = route.replace(':uid', 'x');
    for (const spelling of spellings(path))
      for (const method of ['GET', 'POST']) {
        const { status } = await send(server.url, spelling, { method });
        expect([method, spelling, status]).toEqual([method, spelling, 404]);
      }
  });

  test('posted requests become GETs', async () => {
    for (const path of ['/authorize', '/logout']) {
      const answer = await send(server.url, `/tenant${path}`, {
        method: 'POST',
        body: form({ state: 'x' }),
      });
      expect([answer.status, answer.location]).toEqual([303, `${issuer}${path}?state=x`]);
    }
  });

  test('a sign-out request that is not trusted is a plain one, and nobody is signed out', async () => {
    const answer = await send(server.url, '/tenant/logout?id_token_hint=x&state=s');
    expect([answer.status, answer.location]).toEqual([303, `${issuer}/logout/success`]);
    expect(answer.cookies).toEqual([]);
  });

  test.each([
    '/tenant/.well-known/openid-configuration',
    '/.well-known/openid-configuration/tenant',
    '/.well-known/oauth-authorization-server/tenant',
  ])('%s names no certificates, and nothing empty', async (path) => {
    const { status, json } = await send(server.url, path);
    expect(status).toBe(200);
    expect(json.token_endpoint_auth_methods_supported).not.toContain('tls_client_auth');
    expect(json.tls_client_certificate_bound_access_tokens).toBeUndefined();
    expect(Object.values(json).filter((it) => Array.isArray(it) && it.length === 0)).toEqual([]);
  });

  test('clients are asked for credentials, and JWTs are looked at', async () => {
    for (const path of ['/token', '/introspect', '/revoke', '/par', '/device_authorization']) {
      const answer = await send(server.url, `/tenant${path}`, {
        method: 'POST',
        body: form({ token: 'x' }),
      });
      expect([path, answer.status, answer.json.error]).toEqual([path, 401, 'invalid_client']);
      expect(answer.headers['www-authenticate']).toContain('Basic');
    }
  });
});
