import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import type { NewClient } from '../../src/client/client.ts';
import { allKeys, proofWith } from '../support/metadata-jws.ts';
import {
  apiIdentifier,
  certificateEnv,
  certificateHeaders,
  freePort,
  openWorld,
  type World,
} from '../support/metadata-world.ts';
import { redirectUri } from '../support/protocol.ts';
import { plainApp, register } from '../support/self-registering.ts';
import { type Fields, send } from '../support/wire.ts';

/** COMPATIBILITY 4: each switch of policy changes the metadata, or what is refused, as it should; and rows 2, 3 and 11. */

let bare: World;
beforeAll(async () => {
  bare = await openWorld();
});
afterAll(() => bare.close());

describe('COMPATIBILITY 4: what the operator switches', () => {
  let told: Record<string, unknown>;
  let other: World;
  let toldOther: Record<string, unknown>;

  beforeAll(async () => {
    const { CLIENT_CERTIFICATE_VERIFIED_HEADER: _, ...unverified } = certificateEnv;
    other = await openWorld({
      ...unverified,
      REGISTRATION: 'false',
      CLIENT_REGISTRATION: 'token',
      CLIENT_DOCUMENTS: 'apps.example.com',
    });
    [told, toldOther] = await Promise.all([bare.metadata(), other.metadata()]);
  });
  afterAll(() => other.close());

  test('people may not create accounts: the prompt for it is neither told nor taken', async () => {
    expect(told.prompt_values_supported).toContain('create');
    expect(toldOther.prompt_values_supported).not.toContain('create');
    const { told: answer } = await other.ask(await other.client(), { prompt: 'create' });
    expect(answer.error).toBe('invalid_request');
  });

  test('clients register by a token alone: the endpoint is told, and refuses who has none', async () => {
    expect(told).not.toHaveProperty('registration_endpoint');
    expect(toldOther.registration_endpoint).toBe(`${other.issuer}/register`);
    expect((await register(other.issuer, plainApp)).status).toBe(401);
  });

  test('documents of one host: they are told of, and those of others are refused', async () => {
    expect(told).not.toHaveProperty('client_id_metadata_document_supported');
    expect(toldOther.client_id_metadata_document_supported).toBe(true);
    const { answer } = await other.ask({
      clientId: 'https://evil.example/app.json',
      clientSecret: undefined,
    });
    expect(answer).toMatchObject({ status: 400, location: undefined });
  });

  test('a proxy that verifies no certificate: those that nobody vouched for authenticate by their key alone', async () => {
    for (const name of ['token', 'introspection', 'revocation']) {
      const methods = toldOther[`${name}_endpoint_auth_methods_supported`];
      expect(methods).toContain('self_signed_tls_client_auth');
      expect(methods).not.toContain('tls_client_auth');
      expect(told[`${name}_endpoint_auth_methods_supported`]).not.toContain(
        'self_signed_tls_client_auth',
      );
    }
    const client = await other.client({
      type: 'machine',
      authMethod: 'tls_client_auth',
      certificateName: { kind: 'san_dns', name: 'client.example.com' },
    });
    const { status, json } = await other.post(
      `${other.issuer}/token`,
      undefined,
      { grant_type: 'client_credentials', resource: apiIdentifier, client_id: client.clientId },
      certificateHeaders(other),
    );
    expect({ status, error: json.error }).toEqual({ status: 401, error: 'invalid_client' });
  });
});

describe('COMPATIBILITY 4: what is switched client by client', () => {
  /** What is asked by a client with the switch, and by one without. */
  const asked: [
    name: string,
    input: (world: World) => Partial<NewClient>,
    extra: Fields,
    refusal: string,
  ][] = [
    ['only pushed requests', () => ({ requirePushed: true }), {}, 'invalid_request'],
    [
      'only signed requests',
      (world) => ({ requireSignedRequest: true, jwks: allKeys(world) }),
      {},
      'invalid_request',
    ],
    [
      'only answers in a JWT',
      () => ({ responseModes: ['query.jwt'] }),
      { response_mode: 'query' },
      'invalid_request',
    ],
    ['only some scopes', () => ({ scopes: ['openid'] }), { scope: 'email' }, 'invalid_scope'],
    ['only some APIs', () => ({ apis: [] }), { resource: apiIdentifier }, 'invalid_target'],
  ];

  test.each(asked)('%s', async (_, input, extra, refusal) => {
    const without = await bare.ask(await bare.client(), extra);
    expect(without.told.error).toBeUndefined();
    expect(without.told.code).toMatch(/^vs_ac_/);
    const { told } = await bare.ask(await bare.client(input(bare)), extra);
    const answer = told.response === undefined ? told : decodeJwt(told.response);
    expect(answer).toMatchObject({ error: refusal, iss: bare.issuer });
    expect(answer).not.toHaveProperty('code');
  });

  test('let off PKCE: that client alone, and no public one (COMPATIBILITY 12)', async () => {
    const without = { code_challenge: undefined, code_challenge_method: undefined };
    const letOff = await bare.client({ settings: { pkce: 'optional' } });
    expect((await bare.ask(letOff, without)).told.code).toMatch(/^vs_ac_/);
    expect((await bare.ask(letOff, { code_challenge_method: 'plain' })).told.error).toBe(
      'invalid_request',
    );
    expect((await bare.ask(await bare.client(), without)).told.error).toBe('invalid_request');
    await expect(
      bare.client({ type: 'spa', settings: { pkce: 'optional' } }),
    ).rejects.toMatchObject({
      code: 'invalid_client',
    });
  });

  test('bound to a key: none without a proof of it; with a nonce: none without that', async () => {
    const request = { grant_type: 'client_credentials', resource: apiIdentifier, scope: 'read' };
    const endpoint = `${bare.issuer}/token`;
    const bound = await bare.client({ type: 'machine', bound: 'dpop' });
    expect((await bare.post(endpoint, bound, request)).json.access_token).toBeUndefined();
    const dpop = await proofWith(bare, 'ES256', endpoint);
    expect((await bare.post(endpoint, bound, request, { dpop })).json.token_type).toBe('DPoP');
    const settings = { dpopNonce: 'required' } as const;
    const strict = await bare.client({ type: 'machine', bound: 'dpop', settings });
    const again = await proofWith(bare, 'ES256', endpoint);
    const refused = await bare.post(endpoint, strict, request, { dpop: again });
    expect(refused.json.error).toBe('use_dpop_nonce');
    expect(refused.headers['dpop-nonce']).toEqual(expect.any(String));
  });
});

describe('COMPATIBILITY 2: an issuer with a path', () => {
  let world: World;
  beforeAll(async () => {
    const port = String(await freePort());
    world = await openWorld({ PORT: port, ISSUER: `http://localhost:${port}/tenants/one` });
  });
  afterAll(() => world.close());

  test('serves all three well-known forms, which say the same, and nothing at its root', async () => {
    const { origin } = new URL(world.issuer);
    const forms = [
      `${world.issuer}/.well-known/openid-configuration`,
      `${origin}/.well-known/oauth-authorization-server/tenants/one`,
      `${origin}/.well-known/openid-configuration/tenants/one`,
    ];
    const answers = await Promise.all(forms.map(async (url) => (await fetch(url)).json()));
    expect(answers[0]).toMatchObject({ issuer: world.issuer });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    for (const path of [
      '/.well-known/openid-configuration',
      '/.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/tenants',
      '/.well-known/oauth-authorization-server/tenants/one/',
      '/.well-known/oauth-authorization-server/tenants/two',
    ])
      expect((await send(origin, path)).status).toBe(404);
    for (const [name, value] of Object.entries(answers[0] as Record<string, unknown>))
      if (/_(endpoint|uri)$/.test(name))
        expect(String(value).startsWith(`${world.issuer}/`)).toBe(true);
  });

  test('without a path both forms say the same', async () => {
    const [one, two] = await Promise.all(
      ['openid-configuration', 'oauth-authorization-server'].map(async (name) =>
        (await fetch(`${bare.issuer}/.well-known/${name}`)).json(),
      ),
    );
    expect(one).toEqual(two);
  });

  test('COMPATIBILITY 3: its answers carry it whole, errors too', async () => {
    const client = await world.client();
    for (const extra of [{}, { scope: '"' }, { prompt: 'none', max_age: '0' }])
      expect((await world.ask(client, extra)).told.iss).toBe(world.issuer);
  });
});

describe('COMPATIBILITY 3: iss in every authorization response', () => {
  const outcomes: [name: string, extra: Fields, told: Record<string, unknown>][] = [
    ['a code', {}, { code: expect.stringMatching(/^vs_ac_/) }],
    ['an error before anybody is asked', { scope: '"' }, { error: 'invalid_scope' }],
    [
      'an error that a sign-in would mend',
      { prompt: 'none', max_age: '0' },
      { error: 'login_required' },
    ],
    ['an unknown API', { resource: 'https://unknown.example.com' }, { error: 'invalid_target' }],
    ['a broken request object', { request: 'e.e.e' }, { error: 'invalid_request_object' }],
  ];

  test.each(outcomes)('%s, in every response mode', async (_, extra, expected) => {
    const modes = (await bare.metadata()).response_modes_supported as string[];
    expect(modes.length).toBeGreaterThan(2);
    for (const mode of modes) {
      const client = await bare.client({ responseModes: [mode as never] });
      const { told } = await bare.ask(client, { response_mode: mode, ...extra });
      const answer = mode.includes('jwt') ? decodeJwt(String(told.response)) : told;
      expect({ mode, ...answer }).toMatchObject({
        mode,
        iss: bare.issuer,
        state: 'the-state',
        ...expected,
      });
    }
  });
});

test('COMPATIBILITY 11: the token endpoint tolerates a scope that comes along with a code, and gives no more for it', async () => {
  const client = await bare.client();
  for (const scope of ['openid', 'openid email', 'openid profile email read admin', 'whatever']) {
    const { told, verifier } = await bare.ask(client, { scope: 'openid email' });
    const { status, json } = await bare.post(`${bare.issuer}/token`, client, {
      grant_type: 'authorization_code',
      code: told.code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
      scope,
    });
    expect({ status, scope: json.scope }).toEqual({ status: 200, scope: 'openid email' });
  }
});
