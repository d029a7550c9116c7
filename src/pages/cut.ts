// The cut: a line peculiar to one app, worked out from its client id, along which a page is parted.
// It is a courtesy to the eye, never a proof: seven coarse steps are easily found again.
import { createHash } from 'node:crypto';
import { Html } from './html.ts';

type Point = readonly [x: number, y: number];

const SEGMENTS = 7;
const HOUSE = [0, 1, 2, 3, 2, 1, 0]; // a V

/** Seven depths, 0 to 3; no two neighbours alike (a flat line would show nothing), none more than 2 apart. */
export function depths(seed: string): number[] {
  const bytes = createHash('sha256').update(seed).digest();
  let last = (bytes[0] ?? 0) % 3;
  const out = [last];
  for (let i = 1; i < SEGMENTS; i++) {
    const near = [0, 1, 2, 3].filter((d) => d !== last && Math.abs(d - last) <= 2);
    last = near[(bytes[i] ?? 0) % near.length] ?? 0;
    out.push(last);
  }
  return out;
}

/** The corners of the line from x0 to x1: flats joined by slopes of 45 degrees, as on a key. */
function corners(ds: number[], x0: number, x1: number, y: number, step: number): Point[] {
  const width = (x1 - x0) / ds.length;
  const points: Point[] = [];
  let last = ds[0] ?? 0;
  points.push([x0, y + last * step]);
  ds.forEach((depth, i) => {
    if (depth === last) return;
    const half = (Math.abs(depth - last) * step) / 2;
    const x = x0 + i * width;
    points.push([x - half, y + last * step], [x + half, y + depth * step]);
    last = depth;
  });
  points.push([x1, y + last * step]);
  return points;
}

const say = ([x, y]: Point): string => `${+x.toFixed(1)} ${+y.toFixed(1)}`;

function toward([x, y]: Point, [a, b]: Point, r: number): Point {
  const far = Math.hypot(a - x, b - y);
  const t = Math.min(r, far / 2) / far;
  return [x + (a - x) * t, y + (b - y) * t];
}

/** Path data through the corners, each rounded by r; without the opening M. */
function rounded(points: Point[], r: number): string {
  let out = '';
  points.forEach((point, i) => {
    const before = points[i - 1];
    const after = points[i + 1];
    if (!before) out += say(point);
    else if (!after) out += `L${say(point)}`;
    else out += `L${say(toward(point, before, r))}Q${say(point)} ${say(toward(point, after, r))}`;
  });
  return out;
}

const svg = (cls: string, attrs: string, body: string): Html =>
  new Html(`<svg class="${cls}" ${attrs} aria-hidden="true" focusable="false">${body}</svg>`);

const WIDTH = 416;
const STEP = 7;

/**
 * The cut across a sheet: two halves with a gap of `gap`, or joined at 0.
 * Without a seed it is the brand's V. `other` seeds a lower half that does not fit the upper one.
 */
export function cut(seed?: string, gap = 4, other: string | undefined = seed): Html {
  const kerf = Math.max(gap, 1); // joined halves keep a hairline, or the cut could not be seen at all
  const height = 3 * STEP + kerf;
  const edge = (s: string | undefined, y: number) =>
    rounded(corners(s === undefined ? HOUSE : depths(s), 0, WIDTH, y, STEP), 5);
  return svg(
    'cut',
    `viewBox="0 0 ${WIDTH} ${height}" height="${height}" preserveAspectRatio="none"`,
    `<path class="over" d="M0-1L${edge(seed, 0)}L${WIDTH}-1Z"/><path class="under" d="M0 ${height + 1}L${edge(other, kerf)}L${WIDTH} ${height + 1}Z"/>`,
  );
}

const R = 24;
const inRim = ([x, y]: Point) => Math.hypot(x - R, y - R) <= R;

/** Where the line from a point outside the rim to one inside it meets the rim, by halving. */
function meetRim([ox, oy]: Point, [ix, iy]: Point): Point {
  const at = (t: number): Point => [ox + (ix - ox) * t, oy + (iy - oy) * t];
  let low = 0;
  let high = 1;
  for (let i = 0; i < 24; i++) {
    const middle = (low + high) / 2;
    if (inRim(at(middle))) high = middle;
    else low = middle;
  }
  return at(high);
}

/** The parts of a line that lie within the rim, ending exactly on it. */
function clip(points: Point[]): Point[] {
  const first = points.findIndex(inRim);
  const last = points.findLastIndex(inRim);
  const before = points[first - 1];
  const entry = points[first];
  const exit = points[last];
  const after = points[last + 1];
  if (!before || !entry || !exit || !after) return points;
  return [meetRim(before, entry), ...points.slice(first, last + 1), meetRim(after, exit)];
}

/**
 * An app without a logo: a disc parted by the middle of its own cut.
 * Apart while it asks, joined once allowed, an outline while nobody has verified who makes it.
 */
export function token(
  seed: string,
  { size = 48, joined = false, outline = false }: TokenOptions = {},
): Html {
  const apart = joined ? (outline ? 0 : 1.5) : 4;
  const step = 3.5;
  const middle = depths(seed).slice(1, 6);
  const centre = (Math.min(...middle) + Math.max(...middle)) / 2;
  const half = (x: number, sweep: 0 | 1): string => {
    // drawn along the x axis, then turned, so that it runs from top to bottom
    const line = corners(middle, -2, 50, x - centre * step, step).map(([a, b]): Point => [b, a]);
    const part = clip(line);
    const start = part[0] ?? [R, 0];
    const end = part.at(-1) ?? [R, 2 * R];
    const at = (start[0] + end[0]) / 2;
    const large = (sweep ? at > R : at < R) ? 1 : 0;
    return `M${rounded(part, 1)}A24 24 0 ${large} ${sweep} ${say(start)}Z`;
  };
  return svg(
    `token${outline ? ' token-outline' : ''}`,
    `viewBox="-1 -1 50 50" width="${size}" height="${size}"`,
    `<path d="${half(R - apart / 2, 1)}"/><path class="lower" d="${half(R + apart / 2, 0)}"/>`,
  );
}

export interface TokenOptions {
  size?: number;
  joined?: boolean;
  outline?: boolean;
}
