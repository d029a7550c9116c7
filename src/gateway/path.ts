/**
 * Paths as the rules see them. The service behind the gateway parses the path again, in its own way. So a path that two
 * parsers could read differently is refused before any rule is tried, and a rule decides only where a strict and a lenient
 * parser agree.
 */

/** One part of a path, between two slashes. */
export interface Segment {
  /** Decoded, and otherwise as it was sent. */
  readonly text: string;
  /** As the most lenient reader would take it: without regard to case, forms of the same letter, spaces and dots at the end. */
  readonly folded: string;
}

export interface Pattern {
  /** What stands for itself; undefined for any one segment. */
  readonly segments: readonly (Segment | undefined)[];
  /** Any number of segments may follow, none too. */
  readonly open: boolean;
}

const LONGEST = 4_096;

/** What ends a segment, a path or a name for one reader or another. */
const divides = /[/\\;?#\p{Cc}]/u;

function readSegment(text: string): Segment | undefined {
  const plain = text.normalize('NFKC');
  // By way of capitals, so that letters that share one are the same.
  const folded = plain
    .replace(/\p{Cf}/gu, '')
    .replace(/[\s.]+$|^\s+/gu, '')
    .toUpperCase()
    .toLowerCase();
  // An empty one is a dot segment, in whichever spelling, or nothing to see.
  return folded === '' || divides.test(text) || divides.test(plain) ? undefined : { text, folded };
}

function decode(text: string): string | undefined {
  try {
    const decoded = decodeURIComponent(text);
    // Encoded twice: a second reader would decode it again.
    return /%[0-9a-f]{2}/i.test(decoded) ? undefined : decoded;
  } catch {
    return undefined;
  }
}

function splitPath(path: string): string[] {
  const segments = path.slice(1).split('/');
  // Many a server takes a slash at the end for nothing.
  if (segments.at(-1) === '') segments.pop();
  return segments;
}

const areAll = <T>(all: readonly (T | undefined)[]): all is readonly T[] =>
  all.every((one) => one !== undefined);

/**
 * The segments of a request target in origin form, its query left out; undefined where it is ambiguous: dot segments,
 * empty ones, `;`, backslashes, encoded slashes, control characters, anything encoded twice or wrongly, in any encoding.
 */
export function readPath(target: string): readonly Segment[] | undefined {
  const [path = ''] = target.split('?', 1);
  if (path.length > LONGEST || !/^\/[\x21-\x7e]*$/.test(path)) return undefined;
  const segments = splitPath(path).map((part) => {
    const text = decode(part);
    return text === undefined ? undefined : readSegment(text);
  });
  return areAll(segments) ? segments : undefined;
}

/** A rule's path, undefined where it is none. */
export function parsePattern(path: string): Pattern | undefined {
  if (!path.startsWith('/')) return undefined;
  const parts = splitPath(path);
  const open = parts.at(-1) === '**';
  if (open) parts.pop();
  const segments: (Segment | undefined)[] = [];
  for (const part of parts) {
    const any = /^(\*|:[A-Za-z_]\w*)$/.test(part);
    const segment = /^[^*:%\s][^*%\s]*$/.test(part) ? readSegment(part) : undefined;
    if (!any && segment === undefined) return undefined;
    segments.push(segment);
  }
  return { segments, open };
}

/** @param reading how both are compared. */
export function fits(
  { segments, open }: Pattern,
  path: readonly Segment[],
  reading: keyof Segment,
): boolean {
  if (open ? path.length < segments.length : path.length !== segments.length) return false;
  return segments.every(
    (one, place) => one === undefined || one[reading] === path[place]?.[reading],
  );
}
