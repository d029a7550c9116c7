import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import * as oauth from 'oauth4webapi';
import { JWT_BEARER, TOKEN_EXCHANGE } from '../../src/client/client.ts';
import { newIssuerSchema } from '../../src/issuer/issuer.ts';
import { Browser } from '../support/browser.ts';
import { addDetailType, payment } from '../support/detail-types.ts';
import { accessTokenType, allow, exchangeGrant, trustedIssuers } from '../support/exchange.ts';
import { type HttpsServer, startHttpsServer } from '../support/https-server.ts';
import { type Made, OauthApp } from '../support/oauth-app.ts';
import { until } from '../support/process.ts';
import { type ClientKey, jwksOf, newKey, now, sign } from '../support/proofs.ts';
import type { Credentials } from '../support/protocol.ts';
import { type Person, signedIn, walk } from '../support/walk.ts';

/** oauth4webapi registers itself, asks for details, and speaks the grants of which it knows no more than the name. */

const [orders, stock] = ['https://orders.example.com', 'https://stock.example.com'];
const both = [orders, stock].map((identifier) => ({ identifier, scopes: ['read', 'write'] }));
let server: HttpsServer;
let person: Person;
let browser: Browser;
let key: ClientKey;
let ordersApi: Credentials;
let plain: OauthApp;

type Metadata = Parameters<typeof oauth.dynamicClientRegistrationRequest>[1];

const byBasic = ({ clientSecret = '' }: Credentials) => oauth.ClientSecretBasic(clientSecret);
const basic: Made = { registered: { apis: both }, auth: byBasic };

beforeAll(async () => {
  server = await startHttpsServer({ env: { CLIENT_REGISTRATION: 'open' } });
  [person, key] = await Promise.all([server.person(), newKey()]);
  ordersApi = await server.seed.api(orders);
  await server.seed.api(stock, 'jwt');
  await addDetailType(server.database.db, orders, payment);
  // The server is another process: it hears of it within two seconds.
  await until(async () => {
    const response = await fetch(`${server.issuer}/.well-known/openid-configuration`);
    const metadata = (await response.json()) as Record<string, unknown>;
    return [metadata.authorization_details_types_supported].flat().includes(payment.type);
  });
  plain = await OauthApp.register(server, basic);
  browser = await signedIn(new Browser(), (await plain.ask()).url, person);
});

afterAll(() => server.stop());

describe('COMPATIBILITY 21: registers itself', () => {
  const register = async (metadata: Metadata) =>
    oauth.processDynamicClientRegistrationResponse(
      await oauth.dynamicClientRegistrationRequest(plain.as, metadata),
    );
  const redirect_uris = ['https://app.example.com/callback'];

  const kinds: [string, () => [Metadata, Omit<Made, 'registered'>]][] = [
    ['with nothing but a redirect URI', () => [{ redirect_uris }, { auth: byBasic }]],
    [
      'with all that its own tests say',
      () => [
        {
          redirect_uris,
          token_endpoint_auth_method: 'client_secret_post',
          id_token_signed_response_alg: 'ES256',
          response_types: ['code'],
          grant_types: ['authorization_code', 'refresh_token'],
          require_auth_time: true,
          default_max_age: 3600,
        },
        {
          auth: ({ clientSecret = '' }) => oauth.ClientSecretPost(clientSecret),
          told: { id_token_signed_response_alg: 'ES256', require_auth_time: true },
        },
      ],
    ],
    [
      'with a key',
      () => [
        { redirect_uris, token_endpoint_auth_method: 'private_key_jwt', jwks: jwksOf(key) },
        { auth: () => oauth.PrivateKeyJwt(key.privateKey) },
      ],
    ],
    [
      'as a public client',
      () => [{ redirect_uris, token_endpoint_auth_method: 'none' }, { auth: () => oauth.None() }],
    ],
  ];

  test.each(kinds)('%s, and signs in', async (_how, kind) => {
    const [metadata, made] = kind();
    const registered = await register(metadata);
    const { client_secret: secret } = registered;
    const credentials = {
      clientId: registered.client_id,
      clientSecret: typeof secret === 'string' ? secret : undefined,
    };
    const app = await OauthApp.with(server, credentials, made);
    const { tokens, claims } = await app.signIn(browser, person, {
      scope: 'openid email offline_access',
    });
    expect(claims).toMatchObject({ aud: credentials.clientId, sub: person.id });
    expect(await app.userinfo(tokens.access_token, person.id)).toMatchObject({
      email: person.email,
    });
    expect((await app.refresh(tokens.refresh_token as string)).access_token).toMatch(/^vs_at_/);
  });

  test.each([
    ['http://evil.example.com/callback', 'invalid_redirect_uri'],
    ['javascript:alert(1)', 'invalid_redirect_uri'],
  ])('but not with %s', async (uri, error) => {
    await expect(register({ redirect_uris: [uri] })).rejects.toMatchObject({
      code: oauth.RESPONSE_BODY_ERROR,
      error,
    });
  });
});

describe('COMPATIBILITY 21: grants', () => {
  test('a token is exchanged for one of another API, and no other way', async () => {
    const service = await OauthApp.register(server, {
      ...basic,
      registered: { type: 'machine', apis: both, ...exchangeGrant },
    });
    await allow(server.database, {
      clientId: service.client.client_id,
      source: orders,
      target: stock,
      scopes: ['read'],
      impersonation: true,
    });
    const { tokens } = await plain.signIn(browser, person, {
      scope: 'openid read',
      resource: orders,
    });
    const exchange = (params: Record<string, string>) =>
      service.grant(TOKEN_EXCHANGE, {
        subject_token: tokens.access_token,
        subject_token_type: accessTokenType,
        resource: stock,
        scope: 'read',
        ...params,
      });
    const given = await exchange({});
    expect(given).toMatchObject({ issued_token_type: accessTokenType, scope: 'read' });
    expect(decodeJwt(given.access_token)).toMatchObject({ sub: person.id, aud: stock });
    const refused = (error: string) => ({ code: oauth.RESPONSE_BODY_ERROR, error });
    await expect(exchange({ scope: 'write' })).rejects.toMatchObject(refused('invalid_scope'));
    await expect(exchange({ subject_token: 'vs_at_guessed' })).rejects.toMatchObject(
      refused('invalid_request'),
    );
    await expect(
      plain.grant(TOKEN_EXCHANGE, {
        subject_token: tokens.access_token,
        subject_token_type: accessTokenType,
        resource: stock,
      }),
    ).rejects.toMatchObject(refused('unauthorized_client'));
  });

  test('the assertion of a trusted issuer', async () => {
    const issuer = 'https://ci.example.com';
    const robot = await OauthApp.register(server, {
      ...basic,
      registered: { type: 'machine', apis: both, grantTypes: [JWT_BEARER] },
    });
    const issuers = trustedIssuers(server.database);
    const jwks = { keys: jwksOf(key).keys.map((jwk) => ({ ...jwk, kid: 'key-0' })) };
    await issuers.add(newIssuerSchema.parse({ issuer, jwks }), 'test');
    const subject = 'repo:quillet/shop';
    const clientId = robot.client.client_id;
    const entrusted = { subject, clientId, api: orders, scopes: ['read'], public: false };
    await issuers.allow(issuer, entrusted, 'test');
    const claims = { iss: issuer, sub: subject, aud: server.issuer, iat: now(), exp: now() + 60 };
    const assertion = await sign(key, { ...claims, jti: randomUUID() }, { kid: 'key-0' });
    const params = { assertion, resource: orders, scope: 'read' };
    const { access_token: token } = await robot.grant(JWT_BEARER, params);
    const api = await OauthApp.with(server, ordersApi, basic);
    expect(await api.introspect(token)).toMatchObject({
      active: true,
      client_id: clientId,
      scope: 'read',
    });
    // It was of use once.
    await expect(robot.grant(JWT_BEARER, params)).rejects.toMatchObject({ error: 'invalid_grant' });
  });
});

test('COMPATIBILITY 21: details are asked for, shown, and told', async () => {
  const app = await OauthApp.register(server, {
    ...basic,
    registered: { apis: both, settings: { authorizationDetailsTypes: [payment.type] } },
    pushed: true,
  });
  const details = [
    {
      type: payment.type,
      instructedAmount: { amount: '123.50', currency: 'EUR' },
      creditorName: 'Merchant A',
    },
  ];
  const asked = await app.ask({
    scope: 'openid read',
    resource: orders,
    authorization_details: JSON.stringify(details),
  });
  const shown = await browser.get(asked.url);
  expect(shown.text).toContain('123.50 EUR to Merchant A');
  const again = await app.ask({
    scope: 'openid read',
    resource: orders,
    authorization_details: JSON.stringify(details),
  });
  const page = await walk(browser, again.url, person);
  const { tokens } = await app.redeem(await app.answer(page, again.state), again);
  expect(tokens.authorization_details).toMatchObject(details);
  const api = await OauthApp.with(server, ordersApi, basic);
  expect((await api.introspect(tokens.access_token)).authorization_details).toMatchObject(details);
  await expect(
    app.ask({ authorization_details: JSON.stringify([{ type: 'unknown' }]) }),
  ).rejects.toMatchObject({ error: 'invalid_authorization_details' });
});
