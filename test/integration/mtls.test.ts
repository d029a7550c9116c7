import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectionOptions, getCiphers } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import * as openid from 'openid-client';
import type { NewClient } from '../../src/client/client.ts';
import { Listener } from '../../src/http/listener.ts';
import { type Certificate, certificate } from '../support/certificates.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { openKeyServer } from '../support/key-server.ts';
import { ask, type Asked, request } from '../support/mutual-tls.ts';
import { freePort, until } from '../support/process.ts';
import { type Credentials, redirectUri, Seed } from '../support/protocol.ts';
import { type Answer, assertion, jwksOf, newKey, proof } from '../support/proofs.ts';
import { asking, pushedUri } from '../support/requests.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

/** Clients with a certificate (RFC 8705): over TLS of our own, and behind a proxy that tells of it. */

const issuer = 'https://localhost:3000';
const opaque = 'https://opaque.example.com';
const jwt = 'https://jwt.example.com';
const apis = [opaque, jwt].map((identifier) => ({ identifier, scopes: ['read'] }));
let database: TestDatabase;
let seed: Seed;
let opaqueApi: Credentials;

beforeAll(async () => {
  database = await createTestDatabase();
  seed = new Seed(database.db);
  opaqueApi = await seed.api(opaque);
  await seed.api(jwt, 'jwt');
});

afterAll(() => database.drop());

const machine = async (input: Partial<NewClient>) =>
  seed.client({ type: 'machine', apis, ...input });

const jwksWith = (...certificates: Certificate[]) => ({
  keys: certificates.map(({ privateKey, der }) => {
    const { d: _, ...key } = privateKey.export({ format: 'jwk' });
    return { ...key, x5c: [der.toString('base64')] };
  }),
});

const thumbprint = ({ der }: Certificate) => createHash('sha256').update(der).digest('base64url');
const grant = { grant_type: 'client_credentials', resource: opaque };

const basic = ({ clientId, clientSecret }: Credentials) => ({
  authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
});

const issued = async () =>
  (await database.db.kysely.selectFrom('tokens').select('kind').execute()).length;

const outcome = ({ status, body }: Answer) => ({ status, error: body.error });
const ok = { status: 200, error: undefined };
const invalidClient = { status: 401, error: 'invalid_client' };

describe('over TLS of our own', () => {
  let folder: string;
  let authority: Certificate;
  let clientAuthority: Certificate;
  let server: ServerProcess;
  let other: ServerProcess;
  let ports: number[];

  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const own = (name: string, issuedBy: Certificate) => {
    const made = certificate({ issuer: issuedBy, names: { dns: 'localhost' } });
    return {
      TLS_CERT_FILE: file(`${name}.crt`, made.cert),
      TLS_KEY_FILE: file(`${name}.key`, made.key),
    };
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vouchsafe-tls-'));
    authority = certificate({ subject: [['CN', 'Authority of servers']], ca: true });
    clientAuthority = certificate({ subject: [['CN', 'Authority of clients']], ca: true });
    ports = [await freePort(), await freePort()];
    const start = (port: number, name: string) =>
      startServerProcess(database, issuer, {
        HOST: '127.0.0.1',
        MTLS_PORT: String(port),
        MTLS_HOST: 'mtls.example.com',
        OUTBOUND_ALLOW: '127.0.0.1',
        TLS_CLIENT_CA_FILE: file('clients.crt', clientAuthority.cert),
        ...own(name, authority),
      });
    [server, other] = await Promise.all([
      start(ports[0] as number, 'one'),
      start(ports[1] as number, 'two'),
    ]);
  });

  afterAll(async () => {
    await Promise.all([server.stop(), other.stop()]);
    rmSync(folder, { recursive: true });
  });

  const at = (path: string, with_: Certificate | undefined, process = 0) => ({
    url: `https://127.0.0.1:${ports[process]}${path}`,
    ca: authority.cert,
    certificate: with_,
  });
  const take = (
    clientId: string,
    with_: Certificate | undefined,
    form: Record<string, string> = grant,
    asked: Asked = {},
  ) => ask(at('/token', with_), { form: { client_id: clientId, ...form }, ...asked });

  test('14: with TLS 1.2 only the cipher suites of BCP 195 are offered', async () => {
    /** The suite that is agreed on, or undefined. */
    const agreed = (options: ConnectionOptions) =>
      new Promise<string | undefined>((resolve) => {
        const port = Number(new URL(server.url).port);
        const to = { host: '127.0.0.1', servername: 'localhost', port, ca: authority.cert };
        const socket = connect({ ...to, ...options });
        socket.once('secureConnect', () => {
          resolve(socket.getCipher().standardName);
          socket.destroy();
        });
        socket.once('error', () => resolve(undefined));
      });
    const old = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
    // The suites for RSA certificates are refused because this certificate is none.
    const others = getCiphers().filter((name) => /ecdsa|dhe|aes|chacha/.test(name));
    const refused = others.filter((name) => !/^(tls_|ecdhe-ecdsa-aes\d+-gcm)/.test(name));
    expect(refused.length).toBeGreaterThan(20);
    for (const name of refused)
      expect([
        name,
        await agreed({ ...old, ciphers: `${name.toUpperCase()}:@SECLEVEL=0` }),
      ]).toEqual([name, undefined]);
    expect(await agreed({ ...old, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).toBe(
      'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
    );
    expect(await agreed({ ...old, ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' })).toBe(
      'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
    );
    expect(await agreed({ minVersion: 'TLSv1.3' })).toMatch(/^TLS_(AES|CHACHA20)_/);
    expect(await agreed({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).toBeUndefined();
  });

  test('a certificate is asked for on the second port alone, and the metadata says where that is', async () => {
    const plainPort = new URL(server.url).port;
    const url = `https://127.0.0.1:${plainPort}/.well-known/openid-configuration`;
    const { body } = await ask({ url, ca: authority.cert }, { method: 'GET' });
    expect(body).toMatchObject({
      tls_client_certificate_bound_access_tokens: true,
      token_endpoint: `${issuer}/token`,
      mtls_endpoint_aliases: {
        token_endpoint: 'https://mtls.example.com/token',
        introspection_endpoint: 'https://mtls.example.com/introspect',
        revocation_endpoint: 'https://mtls.example.com/revoke',
        userinfo_endpoint: 'https://mtls.example.com/userinfo',
        pushed_authorization_request_endpoint: 'https://mtls.example.com/par',
      },
    });
    for (const one of ['token', 'introspection', 'revocation'])
      expect(body[`${one}_endpoint_auth_methods_supported`]).toEqual(
        expect.arrayContaining(['tls_client_auth', 'self_signed_tls_client_auth']),
      );
    const mine = certificate();
    const client = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
    });
    const form = { client_id: client.clientId, ...grant };
    const without = await ask(
      { url: `https://127.0.0.1:${plainPort}/token`, ca: authority.cert, certificate: mine },
      { form },
    );
    expect(outcome(without)).toEqual(invalidClient);
  });

  test('self_signed_tls_client_auth: the very certificates that were registered', async () => {
    const [first, second] = [certificate(), certificate()];
    const { clientId, clientSecret } = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(first, second),
    });
    expect(clientSecret).toBeUndefined();
    for (const one of [first, second]) expect(outcome(await take(clientId, one))).toEqual(ok);
    const before = await issued();
    for (const one of [undefined, certificate(), certificate({ subject: first.subject })])
      expect(outcome(await take(clientId, one))).toEqual(invalidClient);
    // Nobody tells us of certificates but the connection.
    const header = encodeURIComponent(first.cert);
    const told = await take(clientId, undefined, grant, {
      headers: {
        'x-client-certificate': header,
        'client-cert': `:${first.der.toString('base64')}:`,
      },
    });
    expect(outcome(told)).toEqual(invalidClient);
    expect(await issued()).toBe(before);

    const { body } = await take(clientId, first);
    const fields = { client_id: clientId, token: body.access_token };
    const introspect = async (with_: Certificate | undefined) =>
      ask(at('/introspect', with_, 1), { form: fields });
    expect((await introspect(first)).body.active).toBe(true);
    expect(outcome(await introspect(certificate()))).toEqual(invalidClient);
    expect(outcome(await ask(at('/revoke', certificate()), { form: fields }))).toEqual(
      invalidClient,
    );
    expect((await introspect(first)).body.active).toBe(true);
    expect((await ask(at('/revoke', second), { form: fields })).status).toBe(200);
    expect((await introspect(first)).body.active).toBe(false);
  });

  test('self_signed_tls_client_auth: those that the client publishes, a new one as soon as it is shown', async () => {
    const [first, second] = [certificate(), certificate()];
    const host = await openKeyServer();
    host.answer = jwksWith(first);
    const { clientId } = await new Seed(database.db, ['127.0.0.1']).client({
      type: 'machine',
      apis,
      authMethod: 'self_signed_tls_client_auth',
      jwksUri: host.uri(),
    });
    for (let i = 0; i < 5; i++) expect(outcome(await take(clientId, first))).toEqual(ok);
    expect(host.asked()).toBe(1);
    host.answer = jwksWith(second);
    expect(outcome(await take(clientId, second))).toEqual(ok);
    expect(host.asked()).toBe(2);
    for (const one of [first, certificate(), certificate(), undefined])
      expect(outcome(await take(clientId, one))).toEqual(invalidClient);
    expect(host.asked()).toBe(3);
    await host.close();
  });

  const names = {
    dns: 'client.example.com',
    uri: 'spiffe://example.com/client',
    email: 'client@example.com',
    ip: [192, 0, 2, 7],
  };
  const subject = [
    ['C', 'DE'],
    ['O', 'Müller + Co, "Ltd"'],
    ['CN', 'client'],
  ] as const;

  test.each([
    ['subject_dn', 'CN=client,O=Müller \\+ Co\\, \\"Ltd\\",C=DE'],
    ['subject_dn', 'cn = client , 2.5.4.10=M\\C3\\BCller \\2B Co\\2C \\22Ltd\\22 , c=DE'],
    ['san_dns', 'client.example.com'],
    ['san_uri', 'spiffe://example.com/client'],
    ['san_email', 'client@example.com'],
    ['san_ip', '192.0.2.7'],
  ] as const)('tls_client_auth: %s %s', async (kind, name) => {
    const { clientId } = await machine({
      authMethod: 'tls_client_auth',
      certificateName: { kind, name },
    });
    const of = (input: Parameters<typeof certificate>[0]) =>
      certificate({ issuer: clientAuthority, subject, names, ...input });
    expect(outcome(await take(clientId, of({})))).toEqual(ok);
    const stranger = certificate({ subject: clientAuthority.subject, ca: true });
    const before = await issued();
    for (const wrong of [
      undefined,
      of({ issuer: authority }),
      of({ issuer: stranger }),
      certificate({ subject, names }),
      of({ expired: true }),
      of({
        subject: [...subject.slice(0, 2), ['CN', `client\nO=${subject[1][1]}`]],
        names: {
          dns: 'a.client.example.com',
          uri: `${names.uri}/other, URI:${names.uri}`,
          email: 'other@example.com',
          ip: [192, 0, 2, 8],
        },
      }),
      of({ subject: [...subject].reverse(), names: { dns: '*.example.com' } }),
      of({ subject: [['CN', names.dns]], names: {} }),
    ])
      expect(outcome(await take(clientId, wrong))).toEqual(invalidClient);
    expect(await issued()).toBe(before);
  });

  test('a token that is bound to the certificate', async () => {
    const mine = certificate();
    const client = await machine({ bound: 'mtls' });
    const grants = async (resource: string, with_: Certificate | undefined) =>
      ask(at('/token', with_), {
        headers: basic(client),
        form: { grant_type: 'client_credentials', resource },
      });
    const { body } = await grants(opaque, mine);
    expect(body.token_type).toBe('Bearer');
    const cnf = { 'x5t#S256': thumbprint(mine) };
    const told = await ask(at('/introspect', undefined), {
      headers: basic(opaqueApi),
      form: { token: body.access_token },
    });
    expect(told.body).toMatchObject({ active: true, cnf });
    const signed = await grants(jwt, mine);
    expect(decodeJwt(signed.body.access_token)).toMatchObject({ cnf });
    const before = await issued();
    for (const resource of [opaque, jwt])
      expect(outcome(await grants(resource, undefined))).toEqual({
        status: 400,
        error: 'invalid_grant',
      });
    expect(await issued()).toBe(before);
  });

  test('and to nothing else: userinfo and refresh ask for it', async () => {
    const [mine, thief] = [certificate(), certificate()];
    const client = await seed.client({
      type: 'spa',
      bound: 'mtls',
      settings: { refreshRotation: 'keep' },
    });
    const accountId = await seed.account();
    await seed.consent(accountId, client.clientId);
    const { code, verifier } = await authorize(accountId, client);
    const redeem = {
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: redirectUri,
    };
    expect(outcome(await take(client.clientId, undefined, redeem))).toEqual({
      status: 400,
      error: 'invalid_grant',
    });
    const { body } = await take(client.clientId, mine, redeem);
    const userinfo = async (with_: Certificate | undefined, process = 0) =>
      ask(at('/userinfo', with_, process), {
        method: 'GET',
        headers: { authorization: `Bearer ${body.access_token}` },
      });
    expect(await userinfo(mine, 1)).toMatchObject({ status: 200, body: { sub: accountId } });
    for (const with_ of [undefined, thief])
      expect(outcome(await userinfo(with_))).toEqual({ status: 401, error: 'invalid_token' });
    const refused = await database.db.kysely
      .selectFrom('audit_events')
      .select(['client_id', 'account_id', 'data'])
      .where('reason', '=', 'invalid_token')
      .execute();
    // Both were refused by one process within a minute, for the same reason: one row, and a count.
    expect(refused).toEqual([
      { client_id: client.clientId, account_id: accountId, data: { endpoint: 'userinfo' } },
    ]);
    const again = { grant_type: 'refresh_token', refresh_token: body.refresh_token };
    for (const with_ of [undefined, thief])
      expect(outcome(await take(client.clientId, with_, again))).toEqual({
        status: 400,
        error: 'invalid_grant',
      });
    expect(outcome(await take(client.clientId, mine, again))).toEqual(ok);
  });

  /** By single sign-on, as a browser that is let in without a certificate. */
  async function authorize(accountId: string, client: Credentials) {
    const plain = await startServerProcess(database, 'http://localhost:3000');
    try {
      return await (await seed.signIn(accountId)).authorize(plain.url, client);
    } finally {
      await plain.stop();
    }
  }

  test('a FAPI client may be one of these', async () => {
    const mine = certificate();
    const { clientId } = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
      bound: 'mtls',
      settings: { profile: 'fapi2' },
    });
    const { body } = await take(clientId, mine);
    const told = await ask(at('/introspect', mine), {
      form: { client_id: clientId, token: body.access_token },
    });
    expect(told.body).toMatchObject({ active: true, cnf: { 'x5t#S256': thumbprint(mine) } });
  });

  test('requests are pushed with one, too, and a proof may name the URL of that endpoint', async () => {
    const mine = certificate();
    const key = await newKey();
    const { clientId } = await seed.client({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
    });
    const push = (with_: Certificate | undefined, headers: Record<string, string> = {}) =>
      ask(at('/par', with_), { form: asking(clientId).parameters, headers });
    expect(pushedUri(await push(mine))).toMatch(/^urn:/);
    for (const with_ of [undefined, certificate()])
      expect(outcome(await push(with_))).toEqual(invalidClient);
    const htu = 'https://mtls.example.com/par';
    expect(pushedUri(await push(mine, { dpop: await proof(key, { htu }) }))).toMatch(/^urn:/);
    const elsewhere = await proof(key, { htu: 'https://mtls.example.com/token' });
    expect(outcome(await push(mine, { dpop: elsewhere }))).toEqual({
      status: 400,
      error: 'invalid_dpop_proof',
    });
  });

  test('a proof may name the URL of these endpoints', async () => {
    const mine = certificate();
    const key = await newKey();
    const { clientId } = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
      bound: 'dpop',
    });
    const ask = async (htu: string) => {
      const headers = { dpop: await proof(key, { htu }) };
      return outcome(await take(clientId, mine, grant, { headers }));
    };
    for (const htu of ['https://mtls.example.com/token', `${issuer}/token`])
      expect(await ask(htu)).toEqual(ok);
    for (const htu of [
      'https://mtls.example.com/userinfo',
      'https://mtls.example.com:8443/token',
      'http://mtls.example.com/token',
      'https://mtls.example.com.evil/token',
      'https://evil.example.com/token',
    ])
      expect(await ask(htu)).toEqual({ status: 400, error: 'invalid_dpop_proof' });
  });

  test('an assertion may name the URL of these endpoints, but for one of a FAPI client', async () => {
    const key = await newKey();
    const signing = { authMethod: 'private_key_jwt', jwks: jwksOf(key) } as const;
    const { clientId } = await machine(signing);
    const { clientId: fapi } = await machine({
      ...signing,
      bound: 'mtls',
      settings: { profile: 'fapi2' },
    });
    const ask = async (aud: string, id = clientId) =>
      outcome(
        await take(id, certificate(), { ...grant, ...(await assertion(key, id, issuer, { aud })) }),
      );
    for (const aud of ['https://mtls.example.com/token', `${issuer}/token`, issuer])
      expect([aud, await ask(aud)]).toEqual([aud, ok]);
    for (const aud of [
      'https://mtls.example.com/introspect',
      'https://mtls.example.com',
      'https://mtls.example.com:8443/token',
      'https://evil.example.com/token',
    ])
      expect([aud, await ask(aud)]).toEqual([aud, invalidClient]);
    expect(await ask('https://mtls.example.com/token', fapi)).toEqual(invalidClient);
    expect(await ask(issuer, fapi)).toEqual(ok);
  });

  test('openid-client, with a certificate and nothing else', async () => {
    const mine = certificate();
    const { clientId } = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
      bound: 'mtls',
    });
    const config = await openid.discovery(
      new URL(issuer),
      clientId,
      { use_mtls_endpoint_aliases: true },
      openid.TlsClientAuth(),
      {
        [openid.customFetch]: (address, { method, headers, body }) => {
          const { host, pathname } = new URL(address);
          const port = host === 'mtls.example.com' ? ports[0] : new URL(server.url).port;
          return request(
            { url: `https://127.0.0.1:${port}${pathname}`, ca: authority.cert, certificate: mine },
            {
              method,
              headers: { ...headers, host },
              ...(body === undefined || body === null
                ? {}
                : { form: Object.fromEntries(body as URLSearchParams) }),
            },
          );
        },
      },
    );
    const granted = await openid.clientCredentialsGrant(config, { resource: opaque });
    const told = await openid.tokenIntrospection(config, granted.access_token);
    expect(told).toMatchObject({ active: true, cnf: { 'x5t#S256': thumbprint(mine) } });
    await openid.tokenRevocation(config, granted.access_token);
    expect((await openid.tokenIntrospection(config, granted.access_token)).active).toBe(false);
  });

  test('a renewed certificate is used without a restart, and one that is broken is told of and is not', async () => {
    const files = own('renewed', authority);
    let problems = 0;
    const listener = new Listener({
      tls: {
        certFile: files.TLS_CERT_FILE,
        keyFile: files.TLS_KEY_FILE,
        onProblem: () => problems++,
      },
    });
    const port = await listener.listen(0, '127.0.0.1', (_request, response) => response.end());
    try {
      const first = await shown(port);
      file('renewed.key', 'broken');
      await until(() => problems > 0);
      expect(await shown(port)).toBe(first);
      own('renewed', authority);
      await until(async () => (await shown(port)) !== first);
    } finally {
      await listener.close(0);
    }
    const other = own('another', authority);
    for (const [certFile, keyFile] of [
      ['/none', '/none'],
      [files.TLS_CERT_FILE, other.TLS_KEY_FILE],
      [files.TLS_KEY_FILE, files.TLS_KEY_FILE],
    ] as const)
      expect(() => new Listener({ tls: { certFile, keyFile, onProblem: () => 0 } })).toThrow(
        /^The files of TLS_CERT_FILE, TLS_KEY_FILE or TLS_CLIENT_CA_FILE can't be used: ./,
      );
  });

  test('the server follows them', async () => {
    const port = Number(new URL(server.url).port);
    const before = await shown(port);
    own('one', authority);
    await until(async () => (await shown(port)) !== before);
    expect(await shown(port)).not.toBe(before);
  });

  const shown = (port: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({
        port,
        host: '127.0.0.1',
        servername: 'localhost',
        rejectUnauthorized: false,
      });
      socket.once('secureConnect', () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.once('error', reject);
    });
});

describe('behind a proxy that tells of it', () => {
  const proxy = '127.0.0.2';
  let server: ServerProcess;

  beforeAll(async () => {
    server = await startServerProcess(database, issuer, {
      HOST: '127.0.0.1',
      TRUST_PROXY: '1',
      CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
      CLIENT_CERTIFICATE_VERIFIED_HEADER: 'X-Client-Verify',
      CLIENT_CERTIFICATE_PROXIES: '192.0.2.0/24,127.0.0.2/32',
    });
  });

  afterAll(() => server.stop());

  const take = (
    { clientId }: Credentials,
    headers: Record<string, string | string[]>,
    localAddress = proxy,
  ) =>
    ask(
      { url: `${server.url}/token`, localAddress },
      { headers, form: { client_id: clientId, ...grant } },
    );
  const pem = (one: Certificate) => encodeURIComponent(one.cert);

  test('its header is heard from it alone, whatever a request says of its way', async () => {
    const mine = certificate();
    const client = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
    });
    const headers = { 'x-client-certificate': pem(mine) };
    expect(outcome(await take(client, headers))).toEqual(ok);
    const before = await issued();
    for (const more of [
      {},
      { 'x-forwarded-for': proxy },
      { 'x-forwarded-for': `${proxy}, ${proxy}`, forwarded: `for=${proxy};by=${proxy}` },
      { 'x-real-ip': proxy },
    ])
      for (const address of ['127.0.0.1', '127.0.0.3'])
        expect(outcome(await take(client, { ...headers, ...more }, address))).toEqual(
          invalidClient,
        );
    expect(await issued()).toBe(before);
  });

  test('each form of it that proxies write', async () => {
    const mine = certificate();
    const client = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
    });
    const base64 = mine.der.toString('base64');
    for (const form of [
      pem(mine),
      mine.cert.replaceAll('\n', ' ').trim(),
      `:${base64}:`,
      base64,
      encodeURIComponent(base64),
      `Hash=${'0'.repeat(64)};Cert="${pem(mine)}";Subject="CN=a;Cert=b"`,
    ])
      expect(outcome(await take(client, { 'x-client-certificate': form }))).toEqual(ok);
  });

  test('more than one, or anything else, is none', async () => {
    const [mine, stolen] = [certificate(), certificate()];
    const client = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(stolen),
    });
    const [told, sent] = [mine, stolen].map((one) => one.der.toString('base64')) as [
      string,
      string,
    ];
    // What a client sent, and behind it what the proxy wrote.
    for (const header of [
      [sent, told],
      [pem(stolen), pem(mine)],
      `${sent},${told}`,
      `${sent}, ${told}`,
      `:${sent}:, :${told}:`,
      pem(stolen) + pem(mine),
      `Hash=1;Cert="${pem(stolen)}",Hash=2;Cert="${pem(mine)}"`,
      `By=";Cert="${pem(stolen)}`,
      '',
      'x',
      '%',
      '(null)',
      sent.slice(0, -8),
      'A'.repeat(8_000),
    ])
      expect(outcome(await take(client, { 'x-client-certificate': header }))).toEqual(
        invalidClient,
      );
    expect(outcome(await take(client, { 'x-client-certificate': sent }))).toEqual(ok);
  });

  test('tls_client_auth: only what the proxy has verified', async () => {
    const mine = certificate({ names: { dns: 'client.example.com' } });
    const client = await machine({
      authMethod: 'tls_client_auth',
      certificateName: { kind: 'san_dns', name: 'client.example.com' },
    });
    const told = { 'x-client-certificate': pem(mine) };
    expect(outcome(await take(client, { ...told, 'x-client-verify': 'SUCCESS' }))).toEqual(ok);
    for (const verify of [
      'NONE',
      'FAILED:expired',
      'success',
      '',
      ['SUCCESS', 'NONE'],
      ['NONE', 'SUCCESS'],
    ])
      expect(outcome(await take(client, { ...told, 'x-client-verify': verify }))).toEqual(
        invalidClient,
      );
    expect(outcome(await take(client, told))).toEqual(invalidClient);
    const elsewhere = await take(client, { ...told, 'x-client-verify': 'SUCCESS' }, '127.0.0.1');
    expect(outcome(elsewhere)).toEqual(invalidClient);
  });

  test('the metadata has no other host where there is none', async () => {
    const url = `${server.url}/.well-known/oauth-authorization-server`;
    const { body } = await ask({ url }, { method: 'GET' });
    expect(body.tls_client_certificate_bound_access_tokens).toBe(true);
    expect(body.mtls_endpoint_aliases).toBeUndefined();
    expect(body.token_endpoint_auth_methods_supported).toEqual(
      expect.arrayContaining(['tls_client_auth', 'self_signed_tls_client_auth']),
    );
  });
});

describe('where nobody tells of certificates', () => {
  test('a client that needs one gets nothing, rather than what anybody can use', async () => {
    const mine = certificate();
    const bound = await machine({ bound: 'mtls' });
    const { clientId } = await machine({
      authMethod: 'self_signed_tls_client_auth',
      jwks: jwksWith(mine),
    });
    const server = await startServerProcess(database, issuer);
    const url = `${server.url}/token`;
    try {
      const before = await issued();
      const headers = { 'x-client-certificate': encodeURIComponent(mine.cert) };
      expect(
        outcome(await ask({ url }, { form: grant, headers: { ...basic(bound), ...headers } })),
      ).toEqual({ status: 400, error: 'invalid_grant' });
      expect(
        outcome(await ask({ url }, { form: { client_id: clientId, ...grant }, headers })),
      ).toEqual(invalidClient);
      expect(await issued()).toBe(before);
    } finally {
      await server.stop();
    }
  });
});

test('a registration says all that is needed, and nothing that does not fit', async () => {
  const key = await newKey();
  const other = await newKey();
  const mine = certificate();
  const [withCertificate] = jwksWith(mine).keys;
  const wrong: Partial<NewClient>[] = [
    { authMethod: 'tls_client_auth' },
    { authMethod: 'self_signed_tls_client_auth' },
    { authMethod: 'self_signed_tls_client_auth', jwks: jwksOf(key) },
    { authMethod: 'private_key_jwt' },
    { authMethod: 'private_key_jwt', jwks: jwksOf(key), authSigningAlg: 'PS256' },
    { authSigningAlg: 'ES256', jwks: jwksOf(key) },
    { certificateName: { kind: 'san_dns', name: 'client.example.com' } },
  ];
  for (const input of wrong)
    await expect(machine(input)).rejects.toMatchObject({ code: 'invalid_client' });
  const malformed: unknown[] = [
    { certificateName: { kind: 'san_dns', name: '.example.com' } },
    { certificateName: { kind: 'san_dns', name: '*.example.com' } },
    { certificateName: { kind: 'san_ip', name: '192.0.2' } },
    { certificateName: { kind: 'subject_dn', name: 'client' } },
    { certificateName: { kind: 'san_dns', name: 'a.example.com', more: true } },
    { jwks: { keys: [{ ...key.publicJwk, x5c: withCertificate?.x5c }] } },
    { jwks: { keys: [{ ...key.publicJwk, x: other.publicJwk.y }] } },
    { jwks: { keys: [{ ...withCertificate, x5c: ['AAAA'] }] } },
  ];
  for (const input of malformed)
    await expect(machine(input as Partial<NewClient>)).rejects.toThrow();
});
