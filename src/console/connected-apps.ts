import type { ClientService } from '../client/client.service.ts';
import type { Consent } from '../consent/consent.ts';
import type { ConnectedApp } from '../pages/page-parts.ts';
import { toApp } from '../oidc/apps.ts';
import { asAsked, identityClaims } from '../oidc/authorization/claims.ts';
import { showScope } from '../oidc/shown.ts';
import type { ResourceServer } from '../resource-server/resource-server.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';

/** What an account has allowed, app by app, as its page shows it. */
export async function listConnectedApps(
  consents: readonly Consent[],
  { clients, resourceServers }: { clients: ClientService; resourceServers: ResourceServerService },
  removeUrl: (clientId: string) => string,
): Promise<ConnectedApp[]> {
  const apis = await resourceServers.list();
  const apps = await Promise.all(
    consents.map(async (consent): Promise<ConnectedApp[]> => {
      const client = await clients.findStored(consent.clientId);
      // Deleted since the list was read: its consent went with it.
      if (client === undefined) return [];
      const open = apis.filter(
        (api) => (consent.granted.resources[api.identifier] ?? []).length > 0,
      );
      return [
        {
          app: toApp(client),
          since: consent.createdAt,
          lastUsed: consent.lastUsedAt,
          claims: claimsOf(consent),
          withheld: withheldOf(consent),
          scopes: open.flatMap((api) => scopesOf(api, consent)),
          details: detailsOf(apis, consent),
          stay: consent.granted.scopes.includes('offline_access'),
          tokenTtl: Math.max(
            0,
            ...open.filter((api) => api.tokenFormat === 'jwt').map((api) => api.accessTokenTtl),
          ),
          remove: { action: removeUrl(client.id) },
        },
      ];
    }),
  );
  return apps.flat();
}

/** Claims of whole scopes that were not declined, and claims that were allowed singly. */
function claimsOf({ granted, rejected }: Consent): { name: string }[] {
  const ofScopes = granted.scopes.flatMap(
    (scope) => identityClaims[scope as keyof typeof identityClaims] ?? [],
  );
  const names = new Set([...ofScopes, ...granted.claims]);
  for (const name of rejected.claims) names.delete(name);
  if (rejected.claims.includes('email')) names.delete('preferred_username');
  return asAsked(names);
}

/** What the app asked for and the user declined. */
const withheldOf = ({ granted, rejected }: Consent): { name: string }[] =>
  asAsked(new Set(rejected.claims.filter((name) => !granted.claims.includes(name))));

/** What is not asked again, as far as its type is still there to say it. */
function detailsOf(apis: readonly ResourceServer[], { granted }: Consent): ConnectedApp['details'] {
  const types = new Map(
    apis.flatMap(({ detailTypes }) => detailTypes.map((one) => [one.type, one] as const)),
  );
  return (granted.details ?? []).flatMap((detail) => {
    const words = types.get(detail.type)?.words;
    return words === undefined ? [] : [{ words, detail }];
  });
}

function scopesOf(api: ResourceServer, { granted }: Consent): ConnectedApp['scopes'] {
  const scopes = granted.resources[api.identifier] ?? [];
  return scopes.map((scope) => showScope(api, scope));
}
