import { parse } from 'yaml';
import { documented, type GatewayApi, replaceOnce } from './gateway.ts';
import { type Answer, send } from './wire.ts';

/**
 * Traefik and Envoy do not run here. What they send and hand on is done by these, step by step as the two do it (read in
 * pkg/middlewares/auth/forward.go of Traefik 3 and ext_authz_http_impl.cc of Envoy), with the documented configuration.
 */

type Headers = Record<string, string | string[]>;

/** A request of a client to the gateway; the answer is the API's, or the gateway's refusal. */
export type Ask = (
  path: string,
  request?: { readonly method?: string; readonly headers?: Headers },
) => Promise<Answer>;

export interface Behind {
  readonly api: GatewayApi;
  /** Where the server listens. */
  readonly server: string;
  /** Where the API listens. */
  readonly upstream: string;
}

/** Header names in small letters, as both hold them apart from their case. */
const lowered = (headers: Headers): Headers =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

async function configuration<T>(place: number, api: GatewayApi): Promise<T> {
  const text = (await documented('yaml'))[place] ?? '';
  return parse(
    replaceOnce(replaceOnce(text, 'api_ID', api.id), 'Basic CREDENTIALS', api.basic),
  ) as T;
}

interface TraefikMiddleware {
  readonly headers?: { readonly customRequestHeaders: Record<string, string> };
  readonly forwardAuth?: {
    readonly address: string;
    readonly trustForwardHeader: boolean;
    readonly authRequestHeaders: string[];
    readonly authResponseHeaders: string[];
  };
  readonly chain?: { readonly middlewares: string[] };
}

interface TraefikFile {
  readonly http: {
    readonly middlewares: Record<string, TraefikMiddleware>;
    readonly routers: Record<string, { readonly middlewares: string[]; readonly service: string }>;
    readonly services: Record<string, unknown>;
  };
}

export async function traefik({ api, server, upstream }: Behind): Promise<Ask> {
  const { http } = await configuration<TraefikFile>(0, api);
  const { middlewares: outer, service } = http.routers.invoices as (typeof http.routers)[string];
  if (!(service in http.services)) throw new Error('the router leads to no service');
  const all = outer.flatMap((name) => http.middlewares[name]?.chain?.middlewares ?? [name]);
  return async (path, { method = 'GET', headers: sent = {} } = {}) => {
    const headers = lowered(sent);
    for (const name of all) {
      const { headers: custom, forwardAuth } = http.middlewares[name] as TraefikMiddleware;
      for (const [key, value] of Object.entries(custom?.customRequestHeaders ?? {})) {
        delete headers[key.toLowerCase()];
        if (value !== '') headers[key.toLowerCase()] = value;
      }
      if (forwardAuth === undefined) continue;
      if (forwardAuth.trustForwardHeader) throw new Error('clients would say what is judged');
      const asked = forwardAuth.authRequestHeaders.map((one) => one.toLowerCase());
      const question = Object.fromEntries(
        Object.entries(headers).filter(([key]) => asked.includes(key)),
      );
      const answer = await send(server, new URL(forwardAuth.address).pathname, {
        headers: {
          ...question,
          'x-forwarded-for': '192.0.2.7',
          'x-forwarded-method': method,
          'x-forwarded-proto': 'https',
          'x-forwarded-host': 'invoices.example.com',
          'x-forwarded-uri': path,
        },
      });
      if (answer.status < 200 || answer.status >= 300) return answer;
      for (const one of forwardAuth.authResponseHeaders) {
        const key = one.toLowerCase();
        delete headers[key];
        if (answer.headers[key] !== undefined) headers[key] = answer.headers[key];
      }
    }
    return send(upstream, path, { method, headers });
  };
}

interface Patterns {
  readonly patterns: readonly { readonly exact?: string; readonly prefix?: string }[];
}

interface EnvoyFile {
  readonly typed_config: {
    readonly http_filters: {
      readonly name: string;
      readonly typed_config: {
        readonly failure_mode_allow?: boolean;
        readonly http_service?: {
          readonly path_prefix: string;
          readonly authorization_request: {
            readonly headers_to_add: readonly { readonly key: string; readonly value: string }[];
          };
          readonly authorization_response: {
            readonly allowed_upstream_headers: Patterns;
            readonly allowed_client_headers: Patterns;
          };
        };
      };
    }[];
  };
}

const matches = ({ patterns }: Patterns, name: string) =>
  patterns.some(
    ({ exact, prefix }) => name === exact || (prefix !== undefined && name.startsWith(prefix)),
  );

export async function envoy({ api, server, upstream }: Behind): Promise<Ask> {
  const file = await configuration<EnvoyFile>(1, api);
  const { typed_config: filter } = file.typed_config
    .http_filters[0] as EnvoyFile['typed_config']['http_filters'][number];
  const { http_service: service } = filter;
  if (filter.failure_mode_allow !== false || service === undefined)
    throw new Error('Envoy would let everything pass');
  const { allowed_upstream_headers: onward, allowed_client_headers: back } =
    service.authorization_response;
  return async (path, { method = 'GET', headers: sent = {} } = {}) => {
    const headers = lowered(sent);
    const { authorization } = headers;
    const answer = await send(server, `${service.path_prefix}${path}`, {
      method,
      headers: {
        host: 'invoices.example.com',
        'content-length': '0',
        // What came twice, Envoy joins.
        ...(authorization === undefined ? {} : { authorization: [authorization].flat().join(',') }),
        ...Object.fromEntries(
          service.authorization_request.headers_to_add.map(({ key, value }) => [key, value]),
        ),
      },
    });
    const told = Object.entries(answer.headers).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    if (answer.status !== 200)
      return {
        ...answer,
        status: answer.status >= 500 ? 503 : answer.status,
        headers: Object.fromEntries(told.filter(([name]) => matches(back, name))),
      };
    for (const [name, value] of told) if (matches(onward, name)) headers[name] = value;
    return send(upstream, path, { method, headers });
  };
}
