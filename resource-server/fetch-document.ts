import { Unavailable } from './errors.ts';

/** How documents of the issuer are fetched. */
export interface Fetcher {
  /** The `fetch` of the platform, or one in its place. */
  readonly fetch: typeof fetch;
  /** Milliseconds until a request is given up. */
  readonly timeout: number;
}

export interface FetchedDocument {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * The answer of the issuer, whatever its status; of bounded size, in bounded time, and never from where a redirect leads.
 * @throws Unavailable where there is none
 */
export async function fetchDocument(
  { fetch, timeout }: Fetcher,
  url: string,
  { maxBytes, ...init }: RequestInit & { readonly maxBytes: number },
): Promise<FetchedDocument> {
  try {
    const signal = AbortSignal.timeout(timeout);
    const response = await fetch(url, { ...init, redirect: 'error', signal });
    return {
      status: response.status,
      headers: response.headers,
      text: await readAtMost(response, maxBytes),
    };
  } catch (cause) {
    throw new Unavailable(`${url} does not answer`, { cause });
  }
}

async function readAtMost(response: Response, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = '';
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/**
 * The object in a document.
 * @throws Unavailable where it holds none
 */
export function parseObject(url: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Unavailable(`${url} answers with what is no JSON`, { cause });
  }
  if (!isObject(value)) throw new Unavailable(`${url} answers with no JSON object`);
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** For how long the answer may be kept (milliseconds), between bounds of ours; undefined where it does not say. */
export function maxAgeOf(headers: Headers): number | undefined {
  const control = headers.get('cache-control') ?? '';
  if (/\bno-(?:store|cache)\b/i.test(control)) return 0;
  const seconds = /\bmax-age\s*=\s*"?(\d{1,9})/i.exec(control)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
