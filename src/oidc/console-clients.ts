import type { ClientMetadata } from 'oidc-provider';

/**
 * The consoles are first-party clients of the server itself: they ask the authorization endpoint for nothing but a
 * sign-in (`response_type=none`). Their ids are reserved, they are in no table, and what they are granted is never saved.
 */
const consoles = ['account'] as const;
export type Console = (typeof consoles)[number];

function consoleClientId(console: Console): string {
  return `vouchsafe-${console}`;
}

export function isConsoleClient(clientId: string): boolean {
  return consoles.some((console) => consoleClientId(console) === clientId);
}

/** Where the authorization endpoint sends the browser back to. */
function consoleCallback(issuer: string, console: Console): string {
  return `${issuer}/${console}/signed-in`;
}

export function consoleClients(issuer: string, name: string): ClientMetadata[] {
  return consoles.map((console) => ({
    client_id: consoleClientId(console),
    client_name: name,
    redirect_uris: [consoleCallback(issuer, console)],
    response_types: ['none'],
    grant_types: [],
    token_endpoint_auth_method: 'none',
  }));
}

/** Where a console sends a browser to sign in: nothing is asked for but that. */
export function consoleAuthorizationUrl(
  issuer: string,
  console: Console,
  { state, maxAge, acr }: { state: string; maxAge: number | undefined; acr: string | undefined },
): string {
  const params = new URLSearchParams({
    client_id: consoleClientId(console),
    response_type: 'none',
    redirect_uri: consoleCallback(issuer, console),
    scope: 'openid',
    state,
    ...(maxAge === undefined ? {} : { max_age: String(maxAge) }),
    ...(acr === undefined ? {} : { acr_values: acr }),
  });
  return `${issuer}/authorize?${params.toString()}`;
}
