import { boundTo, hasSecret } from './client-authentication.ts';
import { isPublic, type Metadata } from './metadata.ts';

/**
 * What a decision of a user rests on of a client that registered itself: kept with the consent, and compared with the client as it
 * is. A client that becomes another one is asked about again.
 */
export interface Shown {
  readonly name: string;
  /** Where a browser is sent back to: hosts, `localhost` for all loopback addresses, and private schemes as they are. */
  readonly places: readonly string[];
  /** How it authenticates: not at all, with a secret, or with a key. */
  readonly strength: 0 | 1 | 2;
  /** Its tokens are bound to a key. */
  readonly bound: boolean;
}

/** What users are told about one change. */
export type RegistrationChange =
  | { readonly kind: 'name'; readonly from: string; readonly to: string }
  | { readonly kind: 'place'; readonly added: readonly string[] }
  /** It authenticates, or binds its tokens, in a weaker way than before. */
  | { readonly kind: 'authentication' }
  /** It changed, and how is not known. */
  | { readonly kind: 'unknown' };

interface Described {
  readonly name: string;
  readonly metadata: Metadata;
}

const known = new WeakMap<object, Shown>();

/** What users are shown of a client, and rely on. */
export function shownOf(client: Described): Shown {
  let shown = known.get(client);
  if (shown === undefined) {
    const { name, metadata } = client;
    shown = {
      name,
      places: placesOf(metadata),
      strength: strengthOf(metadata),
      bound: boundTo(metadata) !== undefined,
    };
    known.set(client, shown);
  }
  return shown;
}

/** What makes the client another one than before. */
export function findChanges(before: Shown, after: Shown): RegistrationChange[] {
  const added = after.places.filter((place) => !before.places.includes(place));
  const isWeaker = after.strength < before.strength || (before.bound && !after.bound);
  return [
    ...(before.name === after.name
      ? []
      : [{ kind: 'name', from: before.name, to: after.name } as const]),
    ...(added.length === 0 ? [] : [{ kind: 'place', added } as const]),
    ...(isWeaker ? [{ kind: 'authentication' } as const] : []),
  ];
}

/** A client, as far as a decision about it may be outdated. */
export interface Decided extends Described {
  /** Undefined: an operator did, who may change it without asking users. */
  readonly registeredBy: string | undefined;
  readonly revision: number;
}

/**
 * What changed in a registration since a user allowed it; empty where the decision still counts.
 * @param shown null: decided before this was kept
 */
export function changesSince(client: Decided, shown: Shown | null): RegistrationChange[] {
  if (client.registeredBy === undefined) return [];
  if (shown === null) return client.revision > 0 ? [{ kind: 'unknown' }] : [];
  return findChanges(shown, shownOf(client));
}

function placesOf({ redirect_uris: uris }: Metadata): string[] {
  const all = Array.isArray(uris) ? uris.filter((one) => URL.canParse(one as string)) : [];
  return [...new Set(all.map((uri) => placeOf(new URL(uri as string))))];
}

function placeOf({ protocol, host, hostname }: URL): string {
  if (protocol === 'https:') return host;
  if (protocol !== 'http:') return protocol;
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname) ? 'localhost' : host;
}

function strengthOf(metadata: Metadata): Shown['strength'] {
  if (isPublic(metadata)) return 0;
  return hasSecret(metadata) ? 1 : 2;
}
