import fc from 'fast-check';

/** What becomes of a registered URI in the hands of somebody who looks for one that is taken for it. */

const pieces = fc.constantFrom(
  '@',
  '@evil.example',
  'user@',
  ':x@',
  '#',
  '#x',
  '?',
  '?x=1',
  '/',
  '//',
  '\\',
  '/../',
  '/..;/',
  ';',
  '.',
  '.evil.example',
  'evil.example',
  'evil',
  'x',
  '-',
  '*',
  ':',
  ':443',
  ':8443',
  ':0',
  ':99999',
  '%',
  '%00',
  '%0a',
  '%2e',
  '%2f',
  '%40',
  ' ',
  '\t',
  '\n',
  '\u0000',
  'https://',
  'javascript:',
  '127.0.0.1',
  'localhost',
  '[::1]',
);

/** A place: where one part of a URI ends and the next one begins, or any. */
const place = fc.oneof(fc.constantFrom('scheme', 'host', 'path', 'end', 'start'), fc.nat(60));

type Place = string | number;

function indexOf(uri: string, at: Place): number {
  if (typeof at === 'number') return at % (uri.length + 1);
  const [, scheme = '', slashes = '', authority = ''] =
    /^([^:/?#]*:)(\/\/)?([^/?#\\]*)/.exec(uri) ?? [];
  const host = scheme.length + slashes.length;
  const ends: Record<string, number> = {
    start: 0,
    scheme: host,
    host: host + authority.length,
    path: uri.search(/[?#]|$/),
    end: uri.length,
  };
  return Math.min(ends[at] ?? 0, uri.length);
}

const splice = (uri: string, from: number, length: number, text: string) =>
  uri.slice(0, from) + text + uri.slice(from + length);

/** One change, of the kinds that matching by prefix, by pattern or by a parser is deaf to. */
const edit: fc.Arbitrary<(uri: string) => string> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(place, pieces).map(
      ([at, text]) =>
        (uri: string) =>
          splice(uri, indexOf(uri, at), 0, text),
    ),
  },
  fc.tuple(place, fc.nat(3)).map(
    ([at, length]) =>
      (uri: string) =>
        splice(uri, indexOf(uri, at), length + 1, ''),
  ),
  fc.tuple(place, fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 2 })).map(
    ([at, text]) =>
      (uri: string) =>
        splice(uri, indexOf(uri, at), text.length, text),
  ),
  fc.tuple(place, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })).map(
    ([at, text]) =>
      (uri: string) =>
        splice(uri, indexOf(uri, at), 1, text),
  ),
  // A letter in the other case, or as its bytes are written in a URI.
  place.map((at) => (uri: string) => {
    const index = indexOf(uri, at);
    const letter = uri[index] ?? '';
    const other = letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase();
    return splice(uri, index, 1, other);
  }),
  place.map((at) => (uri: string) => {
    const index = indexOf(uri, at);
    const code = (uri.codePointAt(index) ?? 0x20) & 0xff;
    return splice(uri, index, 1, `%${code.toString(16).padStart(2, '0')}`);
  }),
  // Another letter for a dot, as a pattern takes it that was not escaped.
  fc
    .tuple(fc.nat(3), fc.constantFrom('x', '-', '0', '/'))
    .map(([which, letter]) => (uri: string) => {
      const dots = [...uri.matchAll(/\./g)].map(({ index }) => index);
      const index = dots[which % Math.max(1, dots.length)];
      return index === undefined ? uri : splice(uri, index, 1, letter);
    }),
  // Another port, which alone may differ, and only on loopback.
  fc
    .oneof(
      fc.integer({ min: 0, max: 70_000 }).map(String),
      fc.constantFrom('', '080', '+1', ' 1', '1e3'),
    )
    .map(
      (port) => (uri: string) =>
        uri.replace(/^([a-z.]+:\/\/(?:\[[^\]]*\]|[^/?#:\\]*))(?::[^/?#]*)?/, `$1:${port}`),
    ),
);

/** A registered URI after none to three changes. */
export function mutationsOf(registered: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...registered), fc.array(edit, { maxLength: 3 }))
    .map(([uri, edits]) => edits.reduce((changed, change) => change(changed), uri));
}

const loopback =
  /^http:\/\/(?<host>127\.0\.0\.1|\[::1\]|localhost)(?::(?<port>[1-9]\d{0,4}))?(?<rest>[/?].*)?$/s;

/** Whether an app that registered these may be answered at `uri`: at the same bytes, or on loopback at another port. */
export function mayBeAnsweredAt(
  uri: string,
  registered: readonly string[],
  floating: boolean,
): boolean {
  if (registered.includes(uri)) return true;
  const asked = floating ? loopback.exec(uri)?.groups : undefined;
  if (asked === undefined || Number(asked.port ?? 80) > 65_535) return false;
  return registered.some((one) => {
    const known = loopback.exec(one)?.groups;
    return known !== undefined && known.host === asked.host && known.rest === asked.rest;
  });
}
