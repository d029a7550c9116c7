import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { sql } from 'kysely';
import type { Database } from '../../src/db/database.ts';
import { type Credentials, redirectUri, type SignedInBrowser } from './protocol.ts';

/** Requests as hostile clients make them, which `fetch` would tidy up or refuse, and what came of them. */

/** A value may be left out, or come several times. */
export type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

export function form(fields: Fields): URLSearchParams {
  const encoded = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of value === undefined ? [] : [value].flat()) encoded.append(name, one);
  }
  return encoded;
}

export interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | URLSearchParams;
  /** The body goes without its length. */
  readonly chunked?: boolean;
}

export const query = (fields: Fields): string => form(fields).toString();

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly cookies: readonly string[];
  readonly text: string;
  /** Where it is JSON. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly location: string | undefined;
}

/** One request on a connection of its own; `path` goes out as it is. */
export function send(
  server: string,
  path: string,
  { method = 'GET', headers = {}, body, chunked = false }: Sent = {},
): Promise<Answer> {
  const payload = body?.toString();
  const sent: Record<string, string | string[]> = {
    ...(body instanceof URLSearchParams
      ? { 'content-type': 'application/x-www-form-urlencoded' }
      : {}),
    ...(payload === undefined || chunked
      ? {}
      : { 'content-length': String(Buffer.byteLength(payload)) }),
    ...headers,
  };
  const { hostname, port } = new URL(server);
  return new Promise((resolve, reject) => {
    let answered = false;
    const outgoing = request(
      {
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        path,
        method,
        headers: sent,
        agent: false,
      },
      (response) => {
        answered = true;
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const { 'set-cookie': cookies = [], ...rest } = response.headers;
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode ?? 0,
            headers: rest as Answer['headers'],
            cookies,
            text,
            json: parsed(text),
            location: response.headers.location,
          });
        });
      },
    );
    // A server that refuses a body before its end closes the connection while we still write.
    outgoing.on('error', (error) => {
      if (!answered) reject(error);
    });
    outgoing.end(payload);
  });
}

function parsed(text: string): Answer['json'] {
  try {
    return JSON.parse(text) as Answer['json'];
  } catch {
    return {};
  }
}

/** What the browser sends along. */
export const cookiesOf = (browser: SignedInBrowser | undefined): Record<string, string> =>
  browser === undefined
    ? {}
    : { cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };

export const basic = ({ clientId, clientSecret = '' }: Credentials): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
});

/** What an honest client asks the authorization endpoint, changed by `extra`. */
export function authorizationFields(
  client: Pick<Credentials, 'clientId'>,
  extra: Fields = {},
): { fields: Fields; verifier: string } {
  const verifier = randomBytes(32).toString('base64url');
  const fields = {
    client_id: client.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: 'openid email',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    state: 'the-state',
    ...extra,
  };
  return { fields, verifier };
}

/** The answer of the authorization endpoint, by GET or by POST. */
export function ask(
  server: string,
  fields: Fields,
  {
    browser,
    method = 'GET',
  }: { browser?: SignedInBrowser | undefined; method?: 'GET' | 'POST' } = {},
): Promise<Answer> {
  const headers = { accept: 'text/html', ...cookiesOf(browser) };
  return method === 'GET'
    ? send(server, `/authorize?${query(fields)}`, { headers })
    : send(server, '/authorize', { method, headers, body: form(fields) });
}

/** The parameters that an app was answered with, in the query or in the fragment. */
export function answered(location: string | undefined): Record<string, string> {
  const url = new URL(location ?? '', 'none://none');
  return Object.fromEntries(new URLSearchParams(url.hash === '' ? url.search : url.hash.slice(1)));
}

const written = [
  'tokens',
  'grants',
  'interactions',
  'consents',
  'session_clients',
  'pushed_requests',
] as const;

/** How many rows there are of all that a request could have left behind. */
export async function countRows(db: Database): Promise<Record<string, number>> {
  const counts = await Promise.all(
    written.map(async (table) => {
      const { rows } = await sql<{
        count: number;
      }>`select count(*) as count from ${sql.table(table)}`.execute(db.kysely);
      return [table, rows[0]?.count ?? 0] as const;
    }),
  );
  return Object.fromEntries(counts);
}
