import { type Client, isLocalRedirect, isPublic } from '../client/client.ts';
import type { App } from '../pages/page-parts.ts';

/** A client as the pages show it. */
export function toApp(client: Client, redirectUri?: string): App {
  const uri = redirectUri ?? (client.metadata.redirect_uris as string[] | undefined)?.[0];
  return {
    id: client.id,
    name: client.name,
    // A document is its host's word: where that app sends people back to is said apart.
    host: client.registeredBy === 'document' ? new URL(client.id).host : hostOf(uri),
    runsOn: placeOf(client, uri),
    registeredBy: client.verified ? undefined : client.registeredBy,
    developer: client.developer,
    verified: client.verified || client.firstParty,
  };
}

/** Where an app without a website runs, as far as its registration says. */
function placeOf({ type, registeredBy }: Client, uri: string | undefined): App['runsOn'] {
  if (registeredBy === 'document') return undefined;
  if (uri !== undefined) return isLocalRedirect(uri) ? 'this-device' : undefined;
  return type === 'device' ? 'other-device' : undefined;
}

/** Apps of our own that hold a secret are not asked about whatever they ask for, but for what is asked each time. */
export function skipsConsent({ firstParty, metadata }: Client): boolean {
  return firstParty && !isPublic(metadata);
}

/** The host that a redirect goes to; none where it goes to the person's own machine. */
export function hostOf(uri: string | undefined): string | undefined {
  return uri === undefined || isLocalRedirect(uri) ? undefined : new URL(uri).host;
}
