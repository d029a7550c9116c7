import { z } from 'zod';
import { refuse } from './client-registration.ts';

/** No document that describes a client nests deeper: keys in a set in the object. */
const MOST_DEPTH = 8;

const object = z.record(z.string(), z.unknown());

/**
 * The JSON object in the text, nested no deeper than what we read, and of characters alone.
 * @throws AppError `invalid_client_metadata`
 */
export function parseObject(text: string): Record<string, unknown> {
  if (depthOf(text) > MOST_DEPTH)
    refuse('invalid_client_metadata', 'The object is nested too deep.');
  try {
    return object.parse(JSON.parse(text, checkStorable));
  } catch {
    return refuse('invalid_client_metadata', 'This is no JSON object.');
  }
}

/** PostgreSQL stores neither NUL nor half a character (RFC 8259, section 8.2, warns of the latter). */
function checkStorable(name: string, value: unknown): unknown {
  for (const text of [name, value])
    if (typeof text === 'string' && (text.includes('\0') || !text.isWellFormed()))
      throw new TypeError('not a text');
  return value;
}

/** A string that does not end goes to the end of the text: no quote in it leads to another pass over the rest. */
const stringOrBracket = /"(?:[^"\\]|\\.)*(?:"|\\?$)|[[\]{}]/gs;

/** Counted before anything is parsed: brackets, but for those in strings. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  for (const [one] of text.matchAll(stringOrBracket)) {
    if (one === '{' || one === '[') most = Math.max(most, ++depth);
    else if (one === '}' || one === ']') depth--;
  }
  return most;
}
