import type { Endpoint } from '../http/endpoints.ts';

/** Where the engine answers, below the issuer's path. */
export const engineRoutes = {
  authorization: '/authorize',
  token: '/token',
  introspection: '/introspect',
  revocation: '/revoke',
  userinfo: '/userinfo',
  jwks: '/jwks',
  end_session: '/logout',
  pushed_authorization_request: '/par',
  device_authorization: '/device_authorization',
  code_verification: '/device',
  backchannel_authentication: '/ciba',
} as const;

/** Where clients authenticate. */
export const clientPaths: ReadonlySet<string> = new Set([
  engineRoutes.token,
  engineRoutes.introspection,
  engineRoutes.revocation,
  engineRoutes.pushed_authorization_request,
  engineRoutes.device_authorization,
  engineRoutes.backchannel_authentication,
]);

/** What the engine answers to browsers. */
export const browserEndpoints: readonly Endpoint[] = [
  { path: engineRoutes.authorization, methods: ['GET', 'POST'], body: 'form' },
  { path: `${engineRoutes.authorization}/:uid`, methods: ['GET'] },
  { path: `${engineRoutes.code_verification}/:uid`, methods: ['GET'] },
  { path: engineRoutes.end_session, methods: ['GET', 'POST'], body: 'form' },
  { path: `${engineRoutes.end_session}/confirm`, methods: ['POST'], body: 'form' },
  { path: `${engineRoutes.end_session}/success`, methods: ['GET'] },
];

/** The server's own metadata. */
export const discoveryEndpoints: readonly Endpoint[] = [
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
].map((path) => ({ path, methods: ['GET'], crossOrigin: 'engine' }));

/** What the engine answers. Its own router also matches paths in other spellings, which never reach it. */
export const engineEndpoints: readonly Endpoint[] = [
  ...browserEndpoints,
  ...[...clientPaths].map(
    (path): Endpoint => ({
      path,
      methods: ['POST'],
      body: 'form',
      oauth: true,
      crossOrigin: path === engineRoutes.backchannel_authentication ? undefined : 'engine',
    }),
  ),
  {
    path: engineRoutes.userinfo,
    methods: ['GET', 'POST'],
    body: 'form',
    oauth: true,
    crossOrigin: 'engine',
  },
  { path: engineRoutes.jwks, methods: ['GET'], crossOrigin: 'engine' },
  ...discoveryEndpoints,
];
