import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import Router from '@koa/router';
import express from 'express';
import Koa from 'koa';
import {
  type Auth,
  createResourceServer,
  type ResourceServer,
  type ResourceServerOptions,
} from '../../resource-server/index.ts';
import { FakeIssuer } from '../support/fake-issuer.ts';
import { send } from '../support/wire.ts';

/** The same API by Koa, by Express and as a handler of the Fetch API: what goes over the wire is the same. */

const audience = 'https://api.example.com/v1';

let issuer: FakeIssuer;
let api: ResourceServer;
let server: Server;
let url: string;
let token: string;

const create = (options: Partial<ResourceServerOptions> = {}): ResourceServer =>
  createResourceServer({
    issuer: issuer.issuer,
    audience,
    clientId: 'api',
    clientSecret: 'secret',
    revocationFeed: false,
    realm: 'Ledger',
    ...options,
  });

type Kind = 'koa' | 'express' | 'fetch';

/** GET and POST /v1/invoices, which take scopes of their own, and a route that fails by itself. */
const handlers: Record<Kind, () => Parameters<typeof createServer>[1]> = {
  koa() {
    const app = new Koa();
    app.silent = true;
    app.use(api.koaMetadata());
    const router = new Router({ prefix: '/v1' });
    router.get('/invoices', api.koa({ scopes: 'read' }), (ctx) => {
      ctx.body = (ctx.state as { auth: Auth }).auth.sub;
    });
    router.post('/invoices', api.koa({ scopes: 'write:all' }), (ctx) => {
      ctx.body = 'written';
    });
    router.get('/broken', api.koa(), () => {
      throw new Error('broken');
    });
    app.use(router.routes());
    const handle = app.callback();
    return (request, response) => void handle(request, response);
  },
  express() {
    const app = express();
    app.set('env', 'test');
    app.use(api.expressMetadata());
    const router = express.Router();
    router.use(express.urlencoded(), express.json());
    router.get('/invoices', api.express({ scopes: 'read' }), (request, response) => {
      response.send((request as unknown as { auth: Auth }).auth.sub);
    });
    router.post('/invoices', api.express({ scopes: 'write:all' }), (_request, response) => {
      response.send('written');
    });
    router.get('/broken', api.express(), () => {
      throw new Error('broken');
    });
    app.use('/v1', router);
    return (request, response) => void app(request as never, response as never);
  },
  fetch() {
    const metadata = api.fetchMetadata();
    const routes: Record<string, (request: Request) => Promise<Response>> = {
      'GET /v1/invoices': api.fetch({ scopes: 'read' }, (_request, { sub }) => new Response(sub)),
      'POST /v1/invoices': api.fetch({ scopes: 'write:all' }, () => new Response('written')),
      'GET /v1/broken': api.fetch({}, () => {
        throw new Error('broken');
      }),
    };
    const handle = async (request: Request) =>
      metadata(request) ??
      (await routes[`${request.method} ${new URL(request.url).pathname}`]?.(request)) ??
      new Response(null, { status: 404 });
    return byFetch(handle);
  },
};

/** What a runtime with the Fetch API does for its handlers. */
function byFetch(
  handle: (request: Request) => Promise<Response>,
): NonNullable<Parameters<typeof createServer>[1]> {
  return (incoming, outgoing) => {
    const headers = new Headers();
    for (let at = 0; at < incoming.rawHeaders.length; at += 2)
      headers.append(incoming.rawHeaders[at] ?? '', incoming.rawHeaders[at + 1] ?? '');
    const { method = 'GET', url: path = '/' } = incoming;
    void handle(new Request(`http://internal${path}`, { method, headers }))
      .catch(() => new Response(null, { status: 500 }))
      .then(async (response) => {
        const challenges = response.headers.get('www-authenticate');
        const rest = [...response.headers].filter(([name]) => name !== 'www-authenticate');
        outgoing.writeHead(response.status, {
          ...Object.fromEntries(rest),
          ...(challenges === null ? {} : { 'www-authenticate': challenges }),
        });
        outgoing.end(await response.text());
      });
  };
}

async function serve(kind: Kind, options: Partial<ResourceServerOptions> = {}): Promise<void> {
  api = create(options);
  server = createServer(handlers[kind]()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

beforeEach(async () => {
  issuer = await FakeIssuer.start();
  token = await issuer.token(audience, { scope: 'read' });
});

afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await issuer.down();
});

const bearer = () => ({ authorization: `Bearer ${token}` });

describe.each<Kind>(['koa', 'express', 'fetch'])('%s', (kind) => {
  const metadataUrl = 'https://api.example.com/.well-known/oauth-protected-resource/v1';
  const named = `resource_metadata="${metadataUrl}"`;

  test('calls that may go on find who calls', async () => {
    await serve(kind);
    const answer = await send(url, '/v1/invoices?page=2', { headers: bearer() });
    expect([answer.status, answer.text]).toEqual([200, 'u_ann']);
    expect(answer.headers['www-authenticate']).toBeUndefined();
  });

  test('14: every answer has the x-fapi-interaction-id of its request, if it is a UUID', async () => {
    await serve(kind);
    const id = '4f0ae6f5-9a3b-4cf2-8d0f-6c1f4f7f6f01';
    const echoed = async (headers: Record<string, string | string[]>) => {
      const answer = await send(url, '/v1/invoices', { headers });
      return [answer.status, answer.headers['x-fapi-interaction-id']];
    };
    const authorization = bearer().authorization;
    expect(await echoed({ authorization, 'X-FAPI-Interaction-Id': id })).toEqual([200, id]);
    expect(await echoed({ 'X-FAPI-Interaction-Id': id })).toEqual([401, id]);
    expect(await echoed({ authorization })).toEqual([200, undefined]);
    expect(await echoed({ authorization, 'X-FAPI-Interaction-Id': 'no UUID' })).toEqual([
      200,
      undefined,
    ]);
  });

  test('14: so has the answer while the issuer is away', async () => {
    await serve(kind);
    await issuer.down();
    const id = '4f0ae6f5-9a3b-4cf2-8d0f-6c1f4f7f6f01';
    const headers = { ...bearer(), 'X-FAPI-Interaction-Id': id };
    const answer = await send(url, '/v1/invoices', { headers });
    expect([answer.status, answer.headers['x-fapi-interaction-id']]).toEqual([503, id]);
  });

  test('others are answered, and reach nobody', async () => {
    await serve(kind);
    const missing = await send(url, '/v1/invoices');
    expect([missing.status, missing.headers['www-authenticate']]).toEqual([
      401,
      `Bearer realm="Ledger", ${named}`,
    ]);
    expect(missing.json).toEqual({
      error: 'missing_token',
      error_description: 'a token is needed',
    });
    expect(missing.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-type': expect.stringContaining('application/json'),
    });
    const narrow = await send(url, '/v1/invoices', { method: 'POST', headers: bearer() });
    expect([narrow.status, narrow.headers['www-authenticate']]).toEqual([
      403,
      `Bearer realm="Ledger", error="insufficient_scope", error_description="the token does not allow this", scope="write:all", ${named}`,
    ]);
    const bad = await send(url, '/v1/invoices', { headers: { authorization: 'Bearer x' } });
    expect([bad.status, bad.json['error']]).toEqual([401, 'invalid_token']);
    const leaked = await send(url, `/v1/invoices?access_token=${token}`, { headers: bearer() });
    expect([leaked.status, leaked.json['error']]).toEqual([400, 'invalid_request']);
  });

  test('two Authorization fields are a request that can’t be meant', async () => {
    await serve(kind);
    const authorization = [`Bearer ${token}`, 'Bearer other'];
    const { status, json } = await send(url, '/v1/invoices', { headers: { authorization } });
    expect([status, json['error']]).toEqual([400, 'invalid_request']);
  });

  test('an issuer that is away is no refusal', async () => {
    await serve(kind);
    await issuer.down();
    const { status, headers, json } = await send(url, '/v1/invoices', { headers: bearer() });
    expect([status, headers['retry-after'], headers['www-authenticate']]).toEqual([
      503,
      '5',
      undefined,
    ]);
    expect(json['error']).toBe('temporarily_unavailable');
    expect(JSON.stringify(json)).not.toContain(issuer.issuer);
  });

  test('what fails behind it is not ours to answer', async () => {
    await serve(kind);
    const { status, headers } = await send(url, '/v1/broken', { headers: bearer() });
    expect([status, headers['www-authenticate']]).toEqual([500, undefined]);
  });

  test('several challenges, each a field of its own where that can be', async () => {
    await serve(kind, { dpop: { algorithms: ['ES256'] } });
    const { headers } = await send(url, '/v1/invoices');
    expect(headers['www-authenticate']).toBe(
      `Bearer realm="Ledger", ${named}, DPoP realm="Ledger", algs="ES256", ${named}`,
    );
  });

  test('RFC 9728: the metadata, for everybody', async () => {
    await serve(kind, {
      metadata: {
        scopes: ['read', 'write:all'],
        name: 'Ledger',
        documentation: 'https://docs.example.com',
      },
    });
    const path = new URL(metadataUrl).pathname;
    const answer = await send(url, path, { headers: { origin: 'https://app.example.com' } });
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        resource: audience,
        authorization_servers: [issuer.issuer],
        scopes_supported: ['read', 'write:all'],
        bearer_methods_supported: ['header'],
        resource_name: 'Ledger',
        resource_documentation: 'https://docs.example.com',
        dpop_signing_alg_values_supported: ['ES256', 'RS256', 'PS256', 'EdDSA', 'Ed25519'],
      },
    ]);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'content-type': expect.stringContaining('application/json'),
    });
    expect((await send(url, path, { method: 'OPTIONS' })).status).toBe(204);
    expect((await send(url, path, { method: 'POST' })).status).toBe(405);
    expect((await send(url, `${path}x`)).status).toBe(404);
  });
});

test('Express: a token in a form beside one in the header; in JSON it is a field like any other', async () => {
  await serve('express');
  token = await issuer.token(audience, { scope: 'write:all' });
  const post = (type: string, body: string) =>
    send(url, '/v1/invoices', {
      method: 'POST',
      headers: { ...bearer(), 'content-type': type, 'content-length': String(body.length) },
      body,
    });
  const both = await post('application/x-www-form-urlencoded', 'access_token=x');
  expect([both.status, both.json['error']]).toEqual([400, 'invalid_request']);
  expect((await post('application/json', '{"access_token":"x"}')).status).toBe(200);
});

test('no metadata is named where nothing serves any; another place may be named', async () => {
  await serve('koa');
  for (const [options, challenge] of [
    [{}, 'Bearer realm="Ledger"'],
    [
      { metadataUrl: 'https://a.example/m' },
      'Bearer realm="Ledger", resource_metadata="https://a.example/m"',
    ],
  ] as const) {
    await expect(create(options).authenticate(new Request(audience))).rejects.toMatchObject({
      challenges: [challenge],
    });
  }
  expect(() => create({ audience: 'urn:ledger' }).koaMetadata()).toThrow('web address');
});

test.each([
  ['https://api.example.com', '/.well-known/oauth-protected-resource'],
  ['https://api.example.com/', '/.well-known/oauth-protected-resource'],
  ['https://api.example.com/a/b', '/.well-known/oauth-protected-resource/a/b'],
])('the metadata of %s stands at %s', async (identifier, path) => {
  await serve('fetch', { audience: identifier });
  expect((await send(url, path)).json['resource']).toBe(identifier);
});
