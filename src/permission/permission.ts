/** Permissions that were taken away, and which tokens carry one of them. */

/** What a client, or every client, may no longer do. */
export interface EndedPermission {
  /** `*` stands for every client. */
  readonly clientId: string;
  /** An API's identifier; empty for identity scopes and grant types. */
  readonly audience: string;
  /**
   * `api`: everything at the API, its name is empty; `scope`; `detail`: a type of authorization details; `grant`: `machine` stands
   * for what the client does without a user.
   */
  readonly kind: 'api' | 'scope' | 'detail' | 'grant';
  readonly name: string;
}

/**
 * For so long (seconds) after the change a process that has not learned of it may still put the permission into tokens, by
 * a clock that is ahead.
 */
export const PERMISSION_LAG = 15;

const separator = '\n';

/** The text that stands for it; the revocation feed publishes its hash. */
export const textOf = ({ clientId, audience, kind, name }: EndedPermission): string =>
  [clientId, audience, kind, name].join(separator);

/** What a token carries, whatever form it has. */
export interface CarriedPermissions {
  readonly clientId: string;
  /** It has no user: the client acts for itself. */
  readonly isMachine: boolean;
  readonly audience: string | readonly string[] | undefined;
  readonly scopes: readonly string[];
  /** RFC 9396. */
  readonly authorizationDetails: unknown;
}

/** The texts of all that a token carries. */
export function carriedBy(token: CarriedPermissions): string[] {
  const audiences = token.audience === undefined ? [''] : [token.audience].flat();
  const names = [
    ['api', ''],
    ...token.scopes.map((scope) => ['scope', scope]),
    ...detailTypes(token.authorizationDetails).map((type) => ['detail', type]),
  ];
  const atApis = audiences.flatMap((audience) => names.map((name) => [audience, ...name]));
  const carried = token.isMachine ? [...atApis, ['', 'grant', 'machine']] : atApis;
  return ['*', token.clientId].flatMap((client) =>
    carried.map((parts) => [client, ...parts].join(separator)),
  );
}

function detailTypes(details: unknown): string[] {
  if (!Array.isArray(details)) return [];
  return details.flatMap((one: unknown) => {
    const type = (one as { type?: unknown } | null)?.type;
    return typeof type === 'string' ? [type] : [];
  });
}
