/** The part of the engine's own files that engine-helpers.ts opens: see there. */
declare module 'oidc-provider/lib/helpers/grants.js' {
  import type { X509Certificate } from 'node:crypto';
  import type Provider from 'oidc-provider';
  import type { KoaContextWithOIDC } from 'oidc-provider';

  interface Proof {
    readonly thumbprint: string;
    readonly jti: string;
    readonly iat: number;
  }

  export function validateDpop(
    provider: Provider,
    ctx: KoaContextWithOIDC,
  ): Promise<Proof | undefined>;
  export function checkDpopRequired(
    provider: Provider,
    ctx: KoaContextWithOIDC,
    proof: Proof | undefined,
  ): void;
  export function checkDpopReplay(
    provider: Provider,
    ctx: KoaContextWithOIDC,
    proof: Proof | undefined,
    clientId: string,
  ): Promise<void>;
  export function checkMtlsCert(
    provider: Provider,
    ctx: KoaContextWithOIDC,
  ): X509Certificate | undefined;
}
