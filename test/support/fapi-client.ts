import { randomUUID } from 'node:crypto';
import { type Certificate } from './certificates.ts';
import { ask } from './mutual-tls.ts';
import { redirectUri, type SignedInBrowser } from './protocol.ts';
import { type Answer, answerOf, assertion, type ClientKey, proof, send } from './proofs.ts';
import { answered, type Asking, asking, pushedUri, requestObject, visit } from './requests.ts';

/** A client of FAPI 2.0 as it should be, each step of which can be made wrong. */

export interface FapiClient {
  readonly id: string;
  readonly issuer: string;
  /** Signs its assertions, and its requests. */
  readonly key: ClientKey;
  /** What its tokens are bound to. */
  readonly proves: ClientKey;
  /** Its requests are signed. */
  readonly signs?: boolean;
}

export interface Wrong {
  /** Of the assertion. */
  readonly claims?: Record<string, unknown>;
  readonly by?: ClientKey;
  /** Of the proof; none at all where it is undefined. */
  readonly proof?: Record<string, unknown> | undefined;
  readonly proves?: ClientKey;
  /** Of the request object. */
  readonly object?: Record<string, unknown>;
}

let nonce: string | undefined;

async function proofFor(
  client: FapiClient,
  path: string,
  wrong: Wrong,
  token?: string,
  htm = 'POST',
) {
  if ('proof' in wrong && wrong.proof === undefined) return {};
  return {
    dpop: await proof(
      wrong.proves ?? client.proves,
      { htu: `${client.issuer}${path}`, htm, nonce, ...(token === undefined ? {} : { token }) },
      { jti: randomUUID(), ...wrong.proof },
    ),
  };
}

/** Asks once more with the nonce that is asked for, as libraries do. */
async function withNonce(ask: () => Promise<Answer>): Promise<Answer> {
  const answer = await ask();
  if (answer.body.error !== 'use_dpop_nonce') return answer;
  const given = answer.headers.get('dpop-nonce') as string;
  if (given === nonce) return answer;
  nonce = given;
  return ask();
}

/** A form with an assertion of the client's. */
export async function authenticated(
  client: FapiClient,
  form: Record<string, string>,
  { claims = {}, by = client.key }: Wrong = {},
): Promise<Record<string, string>> {
  return { ...form, ...(await assertion(by, client.id, client.issuer, claims)) };
}

/** Pushes; without a proof unless one is given, since the request is bound by none. */
export async function push(
  server: string,
  client: FapiClient,
  asked: Asking,
  wrong: Wrong = { proof: undefined },
): Promise<Answer> {
  const form = client.signs
    ? {
        client_id: client.id,
        request: await requestObject(wrong.by ?? client.key, asked, client.issuer, wrong.object),
      }
    : asked.parameters;
  return withNonce(async () =>
    send(
      server,
      '/par',
      await authenticated(client, form, wrong),
      await proofFor(client, '/par', wrong),
    ),
  );
}

export interface Given {
  readonly code: string;
  readonly verifier: string;
}

/** A code by single sign-on. */
export async function authorize(
  server: string,
  client: FapiClient,
  browser: SignedInBrowser,
  extra: Record<string, string | undefined> = {},
  wrong: Wrong = { proof: undefined },
): Promise<Given> {
  const asked = asking(client.id, extra);
  const request_uri = pushedUri(await push(server, client, asked, wrong));
  const response = await visit(browser, server, { client_id: client.id, request_uri });
  const code = answered(response)?.code;
  if (code === undefined) throw new Error(`no code: ${response.headers.get('location')}`);
  return { code, verifier: asked.verifier };
}

export const codeForm = ({ code, verifier }: Given): Record<string, string> => ({
  grant_type: 'authorization_code',
  code,
  code_verifier: verifier,
  redirect_uri: redirectUri,
});

/** A token request. */
export function take(
  server: string,
  client: FapiClient,
  form: Record<string, string>,
  wrong: Wrong = {},
): Promise<Answer> {
  return withNonce(async () =>
    send(
      server,
      '/token',
      await authenticated(client, form, wrong),
      await proofFor(client, '/token', wrong),
    ),
  );
}

/** Userinfo, with a bound token. */
export function see(
  server: string,
  client: FapiClient,
  token: string,
  wrong: Wrong = {},
  scheme = 'DPoP',
): Promise<Answer> {
  return withNonce(async () =>
    answerOf(
      await fetch(new URL('/userinfo', server), {
        headers: {
          authorization: `${scheme} ${token}`,
          ...(await proofFor(client, '/userinfo', wrong, token, 'GET')),
        },
      }),
    ),
  );
}

/** A form post behind a proxy that tells of the client's certificate. */
export function postWithCertificate(
  server: string,
  path: string,
  form: Record<string, string>,
  shown: Certificate | undefined,
): Promise<Answer> {
  const headers =
    shown === undefined ? {} : { 'x-client-certificate': encodeURIComponent(shown.cert) };
  return ask({ url: `${server}${path}`, localAddress: '127.0.0.2' }, { headers, form });
}
