import {
  type AuthorizationCode,
  type AuthorizationDetail as EngineDetail,
  type Client as EngineClient,
  type DeviceCode,
  errors,
  type AuthorizationDetailsForIntrospection,
  type KoaContextWithOIDC,
  type RichAuthorizationRequestsActiveConfiguration,
} from 'oidc-provider';
import type { Client } from '../../client/client.ts';
import type { ClientService } from '../../client/client.service.ts';
import type { AuthorizationDetail } from '../../resource-server/resource-server.ts';
import {
  findDetailProblem,
  findListProblem,
  isWithin,
} from '../../resource-server/detail-types.service.ts';
import type { ResourceServerService } from '../../resource-server/resource-server.service.ts';

/**
 * Rich authorization requests (RFC 9396). A type belongs to one API, so that a detail says by its type which API it is
 * for; a token for an API holds that API's details and no others.
 */

type Feature = RichAuthorizationRequestsActiveConfiguration & {
  readonly authorizationDetailsForIntrospection: AuthorizationDetailsForIntrospection;
};
type Validate = (
  ctx: KoaContextWithOIDC,
  detail: EngineDetail,
  client: EngineClient,
) => Promise<void>;

/** The details of a parameter that the engine has parsed and checked once already. */
export function readDetails(parameter: unknown): AuthorizationDetail[] {
  return typeof parameter === 'string' ? (JSON.parse(parameter) as AuthorizationDetail[]) : [];
}

/** Whether a client may ask for the type: only for those that it was given. */
export const mayAskFor = ({ settings }: Client, type: string) =>
  settings.authorizationDetailsTypes.includes(type);

/** The APIs of the details of a request, each once: what stands for `resource` where that is not said. */
export async function apisOfDetails(
  ctx: KoaContextWithOIDC,
  resourceServers: ResourceServerService,
): Promise<string[]> {
  const types = await Promise.all(
    readDetails(ctx.oidc.params?.authorization_details).map(({ type }) =>
      resourceServers.findDetailType(type),
    ),
  );
  return [...new Set(types.flatMap((type) => (type === undefined ? [] : [type.api])))];
}

export function createRichAuthorization(
  clients: ClientService,
  resourceServers: ResourceServerService,
): Feature {
  const validate = createValidate(clients, resourceServers);
  const feature = {
    enabled: true,
    // What was granted in this request, or earlier for exactly the same (families.ts).
    authorizationDetailsForGrantSource: (
      ctx: KoaContextWithOIDC,
      _source: AuthorizationCode | DeviceCode,
    ) => ctx.oidc.grant?.rar as EngineDetail[] | undefined,
    authorizationDetailsForAccessToken: createAssignment(clients, resourceServers),
    // Introspection answers are ours: a token holds what its API may be told (see `allowedPolicy` in features.ts).
    authorizationDetailsForIntrospection: () => undefined,
  };
  // The engine keeps an instance of a class as it is, and copies a plain object: so it reads the types as they are now.
  return Object.defineProperty(Object.assign(new RichAuthorization(), feature), 'types', {
    enumerable: true,
    get: () =>
      Object.fromEntries(resourceServers.knownDetailTypes.map((type) => [type, { validate }])),
  }) as unknown as Feature;
}

class RichAuthorization {}

/** Whether a detail may be asked for: by its form, by its type's schema, by this client, and of the API that is named. */
function createValidate(clients: ClientService, resourceServers: ResourceServerService): Validate {
  const lists = new WeakSet<object>();
  return async (ctx, given, { clientId }) => {
    const detail = given as AuthorizationDetail;
    const { params = {} } = ctx.oidc;
    if (!lists.has(ctx.oidc)) {
      refuseWhere(findListProblem(readDetails(params.authorization_details)));
      lists.add(ctx.oidc);
    }
    const type = await resourceServers.findDetailType(detail.type);
    if (type === undefined) refuseWhere(`the type ${detail.type} is unknown`);
    const client = await clients.find(clientId);
    if (client === undefined || type === undefined || !mayAskFor(client, type.type))
      throw new errors.InvalidAuthorizationDetails('the type is not open to this client');
    const problem = findDetailProblem(type, detail);
    refuseWhere(problem && `a detail of type ${type.type}: ${problem}`);
    if (params.resource !== undefined && ![params.resource].flat().includes(type.api))
      refuseWhere(`a detail of type ${type.type} is for an API that resource does not name`);
    if (params.grant_type === 'client_credentials' && !type.machines)
      refuseWhere(`a detail of type ${type.type} is for a person to allow`);
    // Its page has no place for them, and what was not shown is not granted.
    if (ctx.oidc.route === 'backchannel_authentication')
      refuseWhere('they are not taken in backchannel authentication');
  };
}

function refuseWhere(problem: string | undefined): void {
  if (problem !== undefined) throw new errors.InvalidAuthorizationDetails(problem);
}

/** What of them an access token gets: of those that were granted, what is asked for now, and its own API's alone. */
function createAssignment(clients: ClientService, resourceServers: ResourceServerService) {
  return async (
    ctx: KoaContextWithOIDC,
    token: { readonly aud?: string | string[] | undefined },
    source: { readonly rar?: unknown } | undefined,
    grantType: string,
  ): Promise<EngineDetail[] | undefined> => {
    const { params, client: engineClient } = ctx.oidc;
    const asked =
      params?.authorization_details === undefined
        ? undefined
        : readDetails(params.authorization_details);
    const granted =
      source === undefined && grantType === 'client_credentials'
        ? (asked ?? [])
        : ((source?.rar ?? []) as AuthorizationDetail[]);
    const beyond = asked?.find((one) => !granted.some((all) => isWithin(one, all)));
    if (beyond !== undefined)
      refuseWhere(`a detail of type ${beyond.type} is not among those that were granted`);
    const client = await clients.find(engineClient?.clientId ?? '');
    const kept = await Promise.all(
      (asked ?? granted).map(async (detail) => {
        const type = await resourceServers.findDetailType(detail.type);
        const isOwn = type !== undefined && type.api === token.aud;
        return isOwn && client !== undefined && mayAskFor(client, type.type) ? [detail] : [];
      }),
    );
    return kept.flat() as EngineDetail[];
  };
}
