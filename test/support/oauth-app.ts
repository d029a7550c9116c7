import * as oauth from 'oauth4webapi';
import type { NewClient } from '../../src/client/client.ts';
import type { Browser, Page } from './browser.ts';
import type { Certificate } from './certificates.ts';
import type { HttpsServer } from './https-server.ts';
import { request } from './mutual-tls.ts';
import { type Credentials, redirectUri } from './protocol.ts';
import { type Person, walk } from './walk.ts';

/** An app whose protocol is oauth4webapi's: every request and every check of an answer is that library's. */

export interface Made {
  /** What the operator registers. */
  readonly registered: Partial<NewClient>;
  readonly auth: (credentials: Credentials) => oauth.ClientAuth;
  /** What the library is told of the client besides its id. */
  readonly told?: Partial<oauth.Client>;
  /** The pair that its tokens are to be bound to. */
  readonly dpop?: Parameters<typeof oauth.DPoP>[1];
  readonly certificate?: Certificate;
  /** Its authorization requests are pushed first (RFC 9126). */
  readonly pushed?: boolean;
  /** Its authorization requests are signed with this (RFC 9101). */
  readonly signedWith?: oauth.PrivateKey | undefined;
  /** Its authorization answers come as a JWT (JARM). */
  readonly jarm?: boolean;
}

export interface Asked {
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  readonly redirectUri: string;
  readonly url: string;
}

interface Options {
  readonly [oauth.customFetch]?: (
    url: string,
    sent: {
      readonly method: string;
      readonly headers: Record<string, string>;
      readonly body?: unknown;
    },
  ) => Promise<Response>;
  readonly DPoP?: oauth.DPoPHandle;
}

export class OauthApp {
  readonly as: oauth.AuthorizationServer;
  readonly client: oauth.Client;
  readonly credentials: Credentials;
  readonly auth: oauth.ClientAuth;
  /** How often the server asked for its nonce in a proof. */
  nonces = 0;
  readonly #made: Made;
  readonly #dpop: oauth.DPoPHandle | undefined;
  readonly #options: Options;

  constructor(
    server: HttpsServer,
    as: oauth.AuthorizationServer,
    credentials: Credentials,
    made: Made,
  ) {
    this.as = as;
    this.credentials = credentials;
    this.#made = made;
    this.auth = made.auth(credentials);
    this.client = {
      client_id: credentials.clientId,
      ...made.told,
      ...(made.certificate === undefined ? {} : { use_mtls_endpoint_aliases: true }),
    };
    this.#dpop = made.dpop && oauth.DPoP(this.client, made.dpop);
    const { certificate } = made;
    this.#options =
      certificate === undefined
        ? {}
        : {
            [oauth.customFetch]: (url, { method, headers, body }) =>
              request(
                { url, certificate, ca: server.authority.cert },
                {
                  method,
                  headers,
                  ...(body instanceof URLSearchParams ? { form: Object.fromEntries(body) } : {}),
                },
              ),
          };
  }

  /** Registers the app, and lets it find out about the server by itself. */
  static async register(server: HttpsServer, made: Made): Promise<OauthApp> {
    const credentials = await server.seed.client(made.registered);
    return OauthApp.with(server, credentials, made);
  }

  static async with(
    server: HttpsServer,
    credentials: Credentials,
    made: Omit<Made, 'registered'>,
  ): Promise<OauthApp> {
    const issuer = new URL(server.issuer);
    const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));
    return new OauthApp(server, as, credentials, { registered: {}, ...made });
  }

  /** What the browser is sent to. */
  async ask(extra: Record<string, string> = {}): Promise<Asked> {
    const [verifier, state, nonce] = [
      oauth.generateRandomCodeVerifier(),
      oauth.generateRandomState(),
      oauth.generateRandomNonce(),
    ];
    let params = new URLSearchParams({
      client_id: this.client.client_id,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: 'openid',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...(this.#made.jarm ? { response_mode: 'jwt' } : {}),
      ...extra,
    });
    if (this.#made.signedWith !== undefined) {
      const object = await oauth.issueRequestObject(
        this.as,
        this.client,
        params,
        this.#made.signedWith,
      );
      params = new URLSearchParams({ client_id: this.client.client_id, request: object });
    }
    if (this.#made.pushed) {
      const { request_uri } = await this.push(params);
      params = new URLSearchParams({ client_id: this.client.client_id, request_uri });
    }
    const url = `${this.as.authorization_endpoint}?${params.toString()}`;
    return { verifier, state, nonce, url, redirectUri: extra.redirect_uri ?? redirectUri };
  }

  push(params: URLSearchParams): Promise<oauth.PushedAuthorizationResponse> {
    return this.#withNonce(async () =>
      oauth.processPushedAuthorizationResponse(
        this.as,
        this.client,
        await oauth.pushedAuthorizationRequest(
          this.as,
          this.client,
          this.auth,
          params,
          this.#bound(),
        ),
      ),
    );
  }

  /** What the browser came back with, as the library takes it. */
  async answer(
    page: Pick<Page, 'external' | 'url' | 'text'>,
    state: string,
  ): Promise<URLSearchParams> {
    if (!page.external) throw new Error(`not sent back: ${page.url} ${page.text}`);
    const url = new URL(page.url);
    return this.#made.jarm
      ? oauth.validateJwtAuthResponse(this.as, this.client, url, state, this.#options)
      : oauth.validateAuthResponse(this.as, this.client, url, state);
  }

  /** The whole way of a person into the app: gives the tokens, and the answer that they came in. */
  async signIn(browser: Browser, person: Person, extra: Record<string, string> = {}) {
    const asked = await this.ask(extra);
    const params = await this.answer(await walk(browser, asked.url, person), asked.state);
    const maxAge = extra.max_age === undefined ? {} : { maxAge: Number(extra.max_age) };
    return { asked, params, ...(await this.redeem(params, asked, maxAge)) };
  }

  async redeem(
    params: URLSearchParams,
    { verifier, nonce, redirectUri: to }: Omit<Asked, 'state' | 'url'>,
    checks: oauth.ProcessAuthorizationCodeResponseOptions = {},
  ) {
    return this.#withNonce(async () => {
      const response = await oauth.authorizationCodeGrantRequest(
        this.as,
        this.client,
        this.auth,
        params,
        to,
        verifier,
        this.#bound(),
      );
      const tokens = await oauth.processAuthorizationCodeResponse(this.as, this.client, response, {
        expectedNonce: nonce,
        requireIdToken: true,
        ...checks,
      });
      await oauth.validateApplicationLevelSignature(this.as, response);
      return { tokens, claims: oauth.getValidatedIdTokenClaims(tokens) as oauth.IDToken };
    });
  }

  refresh(token: string, extra: Record<string, string> = {}): Promise<oauth.TokenEndpointResponse> {
    return this.#withNonce(async () =>
      oauth.processRefreshTokenResponse(
        this.as,
        this.client,
        await oauth.refreshTokenGrantRequest(this.as, this.client, this.auth, token, {
          ...this.#bound(),
          additionalParameters: extra,
        }),
      ),
    );
  }

  clientCredentials(params: Record<string, string>): Promise<oauth.TokenEndpointResponse> {
    return this.#withNonce(async () =>
      oauth.processClientCredentialsResponse(
        this.as,
        this.client,
        await oauth.clientCredentialsGrantRequest(
          this.as,
          this.client,
          this.auth,
          params,
          this.#bound(),
        ),
      ),
    );
  }

  /** A grant of which the library knows no more than its name. */
  grant(type: string, params: Record<string, string>): Promise<oauth.TokenEndpointResponse> {
    return this.#withNonce(async () =>
      oauth.processGenericTokenEndpointResponse(
        this.as,
        this.client,
        await oauth.genericTokenEndpointRequest(
          this.as,
          this.client,
          this.auth,
          type,
          params,
          this.#bound(),
        ),
      ),
    );
  }

  /** Codes for a device that has no browser (RFC 8628). */
  async askForCodes(params: Record<string, string>): Promise<oauth.DeviceAuthorizationResponse> {
    return oauth.processDeviceAuthorizationResponse(
      this.as,
      this.client,
      await oauth.deviceAuthorizationRequest(
        this.as,
        this.client,
        this.auth,
        params,
        this.#options,
      ),
    );
  }

  pollDevice(code: string): Promise<oauth.TokenEndpointResponse> {
    return this.#withNonce(async () =>
      oauth.processDeviceCodeResponse(
        this.as,
        this.client,
        await oauth.deviceCodeGrantRequest(this.as, this.client, this.auth, code, this.#bound()),
      ),
    );
  }

  /** Asks a person by the back channel (CIBA). */
  async askPerson(
    params: Record<string, string>,
  ): Promise<oauth.BackchannelAuthenticationResponse> {
    return oauth.processBackchannelAuthenticationResponse(
      this.as,
      this.client,
      await oauth.backchannelAuthenticationRequest(
        this.as,
        this.client,
        this.auth,
        params,
        this.#options,
      ),
    );
  }

  pollAnswer(id: string): Promise<oauth.TokenEndpointResponse> {
    return this.#withNonce(async () =>
      oauth.processBackchannelAuthenticationGrantResponse(
        this.as,
        this.client,
        await oauth.backchannelAuthenticationGrantRequest(
          this.as,
          this.client,
          this.auth,
          id,
          this.#bound(),
        ),
      ),
    );
  }

  /** As JSON, or as a JWT whose signature is checked as well where the client is told to ask for one. */
  userinfo(token: string, sub: string): Promise<oauth.UserInfoResponse> {
    return this.#withNonce(async () => {
      const response = await oauth.userInfoRequest(this.as, this.client, token, this.#bound());
      const isJwt = response.headers.get('content-type')?.startsWith('application/jwt');
      const told = await oauth.processUserInfoResponse(this.as, this.client, sub, response);
      if (isJwt) await oauth.validateApplicationLevelSignature(this.as, response);
      return told;
    });
  }

  /** As JSON, or as a JWT whose signature is checked as well (RFC 9701) where the client is told to ask for one. */
  async introspect(
    token: string,
    decrypt?: oauth.JweDecryptFunction,
  ): Promise<oauth.IntrospectionResponse> {
    const response = await oauth.introspectionRequest(
      this.as,
      this.client,
      this.auth,
      token,
      this.#options,
    );
    const isJwt = response.headers
      .get('content-type')
      ?.startsWith('application/token-introspection+jwt');
    const answer = await oauth.processIntrospectionResponse(
      this.as,
      this.client,
      response,
      decrypt === undefined ? {} : { [oauth.jweDecrypt]: decrypt },
    );
    if (isJwt) await oauth.validateApplicationLevelSignature(this.as, response);
    return answer;
  }

  async revoke(token: string): Promise<void> {
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(this.as, this.client, this.auth, token, this.#options),
    );
  }

  /** The certificate and the proof, where it has them. */
  #bound(): Options {
    return { ...this.#options, ...(this.#dpop === undefined ? {} : { DPoP: this.#dpop }) };
  }

  /** The nonce comes with a refusal, and the library keeps it (RFC 9449, section 8). */
  async #withNonce<T>(attempt: () => Promise<T>): Promise<T> {
    try {
      return await attempt();
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error;
      this.nonces++;
      return attempt();
    }
  }
}
