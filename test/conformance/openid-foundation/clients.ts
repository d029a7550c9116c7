import { runCommand } from '../../../demo/vouchsafe.ts';
import type { Certificates, ClientKey } from './keys.ts';
import { atSuite, type Settings } from './settings.ts';

/** What is registered for the suite's static plans, by the command line, as an operator would. */

export interface Registered {
  readonly client_id: string;
  readonly client_secret?: string;
}

type Options = readonly (readonly [name: string, value?: string])[];

/** Registers clients at the server that `env` is the environment of. */
export class Clients {
  readonly #settings: Settings;
  readonly #env: NodeJS.ProcessEnv;

  constructor(settings: Settings, env: NodeJS.ProcessEnv) {
    this.#settings = settings;
    this.#env = env;
  }

  /**
   * A client with a secret. PKCE is optional, because the plans of OpenID Connect send none. Only one that is
   * `notified` gets back-channel logout requests, because modules that expect none fail when one comes.
   */
  withSecret(
    name: string,
    method: 'client_secret_basic' | 'client_secret_post',
    { notified = false } = {},
  ): Promise<Registered> {
    return this.#create(name, 'web', [
      ...this.#callbacks(),
      ['post-logout-redirect-uri', atSuite(this.#settings, 'post_logout_redirect')],
      ...(notified
        ? [['backchannel-logout-uri', atSuite(this.#settings, 'backchannel_logout')] as const]
        : []),
      ['auth-method', method],
      ['pkce', 'optional'],
    ]);
  }

  /** A FAPI 2.0 client that signs its assertions and proves its key by DPoP. */
  withKey(
    name: string,
    key: ClientKey,
    profile: 'fapi2' | 'fapi2-message-signing',
  ): Promise<Registered> {
    return this.#create(name, 'web', [
      ...this.#callbacks(),
      ['auth-method', 'private_key_jwt'],
      ['jwks', key.publicFile],
      ['bound', 'dpop'],
      ['profile', profile],
    ]);
  }

  /** A FAPI 2.0 client that shows a certificate. */
  withCertificate(name: string, which: Certificates['clients'][number]): Promise<Registered> {
    const common = which.subject.find(([type]) => type === 'CN')?.[1] ?? '';
    return this.#create(name, 'web', [
      ...this.#callbacks(),
      ['auth-method', 'tls_client_auth'],
      ['certificate-name', `subject-dn=CN=${common}`],
      ['bound', 'mtls'],
      ['profile', 'fapi2'],
    ]);
  }

  /**
   * One that asks a person elsewhere (CIBA), signs its requests, and shows a certificate with its tokens. FAPI-CIBA is of
   * FAPI 1: its assertions name the endpoint that they are for, which FAPI 2.0 forbids.
   */
  asking(name: string, key: ClientKey, delivery: 'poll' | 'ping'): Promise<Registered> {
    const endpoint = atSuite(this.#settings, 'ciba-notification-endpoint');
    return this.#create(name, 'web', [
      ['grant-types', 'urn:openid:params:grant-type:ciba,refresh_token'],
      ['auth-method', 'private_key_jwt'],
      ['jwks', key.publicFile],
      ['auth-signing-alg', 'PS256'],
      ['id-token-alg', 'ES256'],
      ['bound', 'mtls'],
      ['ciba-signing-alg', 'PS256'],
      ['ciba-delivery', delivery],
      ...(delivery === 'ping' ? [['ciba-notification-endpoint', endpoint] as const] : []),
    ]);
  }

  /** The second client of a FAPI plan has parameters in its redirect URI: it is registered with both forms. */
  #callbacks(): Options {
    const callback = atSuite(this.#settings, 'callback');
    return [
      ['redirect-uri', callback],
      ['redirect-uri', `${callback}?dummy1=lorem&dummy2=ipsum`],
    ];
  }

  #create(name: string, type: string, options: Options): Promise<Registered> {
    return runCommand<Registered>(this.#env, 'client create', [
      ['name', name],
      ['type', type],
      ['verified'],
      ...options,
    ]);
  }
}
