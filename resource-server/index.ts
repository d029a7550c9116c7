/** Checks the access tokens of an API: `vouchsafe/resource-server`. docs/protecting-an-api.md tells how it is used. */
export type { Auth } from './auth.ts';
export type { CertificateSource, ClientCertificate } from './certificate.ts';
export { AuthorizationError, type AuthorizationErrorCode } from './errors.ts';
export type {
  ExpressMiddleware,
  FetchHandler,
  KoaContext,
  KoaMiddleware,
  NodeResponse,
} from './adapters.ts';
export type { ResourceServerOptions } from './options.ts';
export type { ResourceDescription, ResourceMetadata } from './protected-resource-metadata.ts';
export type { AnyRequest, NodeRequest } from './request.ts';
export type { Requirements } from './requirements.ts';
export { createResourceServer, type ResourceServer } from './resource-server.ts';
