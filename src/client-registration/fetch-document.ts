import { AppError } from '../errors.ts';
import type { Outbound } from '../outbound/outbound.service.ts';

/** Bytes: the draft thinks of 5 KB (section 8.7); keys with certificates are longer. */
const MOST_BYTES = 16 * 1024;
/** Seconds for which a document serves at the least, unless told, and at the most. */
const LEAST = 60;
const USUALLY = 300;
const MOST = 86_400;

/**
 * The text at the address, with the headers of the answer: 200, JSON, of a bounded size, from where no redirect has led.
 * @throws AppError `document_away` where its host does not answer so that it could be told, else `document_refused`
 */
export async function fetchDocument(
  outbound: Outbound,
  url: string,
): Promise<{ text: string; headers: Headers }> {
  let response: Response;
  let text: string;
  try {
    response = await outbound.fetch(url, { headers: { accept: 'application/json' } });
    text = await read(response);
  } catch (cause) {
    if (cause instanceof AppError && cause.code !== 'outbound_answer')
      throw refused(
        cause.code === 'outbound_refused' ? 'its address may not be called' : cause.message,
      );
    // What answers there, and how, is not told: it may be an inside host.
    throw new AppError('document_away', 'the client id metadata document could not be read', {
      status: 400,
      cause,
    });
  }
  if (response.status >= 500 || response.status === 429)
    throw new AppError(
      'document_away',
      'the host of the client id metadata document has an error',
      {
        status: 400,
      },
    );
  if (response.status !== 200)
    throw refused(
      response.status >= 300 && response.status < 400
        ? 'its address redirects, and redirects are not followed'
        : `its address answers ${response.status}`,
    );
  const type = response.headers.get('content-type') ?? '';
  if (!/^application\/([a-z0-9.+-]+\+)?json\s*(;|$)/i.test(type))
    throw refused('it is not served as application/json');
  return { text, headers: response.headers };
}

async function read(response: Response): Promise<string> {
  if (response.status !== 200) {
    await response.body?.cancel();
    return '';
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    // Leaving the loop closes the connection.
    if (size > MOST_BYTES) throw refused(`it is longer than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Seconds for which an answer may serve (RFC 9111, section 5.2.2), within bounds of ours. */
export function freshFor(headers: Headers): number {
  const control = headers.get('cache-control') ?? '';
  if (/(^|[\s,])(no-store|no-cache)\b/i.test(control)) return LEAST;
  const maxAge = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})/i.exec(control)?.[1];
  const age = Number(/^\d{1,9}$/.exec(headers.get('age') ?? '')?.[0] ?? 0);
  const expires = Date.parse(headers.get('expires') ?? '');
  const said =
    maxAge !== undefined
      ? Number(maxAge) - age
      : Number.isNaN(expires)
        ? USUALLY
        : (expires - Date.now()) / 1_000;
  return Math.max(LEAST, Math.min(MOST, said));
}

function refused(reason: string): AppError {
  return new AppError('document_refused', `the client id metadata document is refused: ${reason}`, {
    status: 400,
  });
}
