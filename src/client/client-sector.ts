import { AppError } from '../errors.ts';
import { Outbound } from '../outbound/outbound.service.ts';
import type { OutboundAllow } from '../outbound/outbound.ts';
import { checkCalledUri } from './called-uri.ts';
import { CIBA, DEVICE_CODE, hasGrantType } from './client-grants.ts';
import { isLocalRedirect } from './client.ts';
import { isPairwise, sectorUriOf } from './client-subjects.ts';
import type { Metadata } from './metadata.ts';
import { refuse } from './refusal.ts';

/** The sectors of pairwise subjects (OpenID Connect Core, section 8.1). */

/** What brings a person to a client by another way than its pages. */
const beyondPages = [DEVICE_CODE, CIBA] as const;

/**
 * The sector of a client whose people have subjects for it alone; undefined for every other client. It is a host: that of
 * the document which names the redirect URIs, or else the one that all of them have.
 * @throws AppError `invalid_client` where there is none.
 */
export function sectorOf(metadata: Metadata): string | undefined {
  if (!isPairwise(metadata)) return undefined;
  const redirects = listOf(metadata.redirect_uris);
  if (redirects.length === 0)
    refuse('Only a client that people sign in to in a browser has pairwise subjects.');
  // Their sector would be that of the client's keys, and not that of its pages.
  if (beyondPages.some((type) => hasGrantType(metadata, type)))
    refuse('Pairwise subjects do not go together with the device and CIBA grants.');
  const uri = sectorUriOf(metadata);
  if (uri !== undefined) return hostOf(uri);
  const hosts = new Set(redirects.map((redirect) => new URL(redirect).host));
  if (hosts.size > 1)
    refuse('Redirect URIs on several hosts are one sector only by a sector identifier URI.');
  if (redirects.some(isLocalRedirect))
    refuse('What redirects to the device itself has a sector only by a sector identifier URI.');
  return [...hosts][0];
}

/**
 * Checks that the document behind the client's sector identifier URI names every redirect URI of it. It is asked for here,
 * when the client is registered, and never again: no request of anybody waits for it.
 * @throws AppError `invalid_client`, with the reason in words.
 */
export async function checkSectorDocument(metadata: Metadata, allow: OutboundAllow): Promise<void> {
  const uri = sectorUriOf(metadata);
  if (uri === undefined) return;
  checkCalledUri('The sector identifier URI', uri, allow);
  const named = await readDocument(uri, allow);
  const missing = listOf(metadata.redirect_uris).find((redirect) => !named.includes(redirect));
  if (missing !== undefined)
    refuse(`The document at the sector identifier URI does not name ${missing}.`);
}

async function readDocument(uri: string, allow: OutboundAllow): Promise<readonly unknown[]> {
  try {
    const response = await new Outbound({ allow }).fetch(uri, {
      headers: { accept: 'application/json' },
    });
    const text = await response.text();
    const document = response.status === 200 ? (JSON.parse(text) as unknown) : undefined;
    if (Array.isArray(document)) return document;
  } catch (cause) {
    // What answers there, and how, is not told to who may only have guessed at an inside host.
    throw new AppError('invalid_client', 'The sector identifier URI could not be read.', {
      status: 400,
      cause,
    });
  }
  return refuse('At the sector identifier URI is no list of redirect URIs.');
}

/** Section 8.1 asks for https, whatever an operator lists. */
function hostOf(uri: string): string {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  return url?.protocol === 'https:' ? url.host : refuse('A sector identifier URI is an https URL.');
}

const listOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? (value as string[]) : [];
