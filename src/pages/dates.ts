import { type Html, html } from './html.ts';

const UNITS = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const;

/** The largest unit that a number of seconds fills at least once. */
function inUnit(seconds: number): [number, (typeof UNITS)[number][0]] {
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return [seconds / size, unit];
  }
  return [0, 'second'];
}

/** "in 5 minutes", for a pause; rounded up, so that nobody comes back too early. */
export function inSeconds(seconds: number, locale: string): string {
  const [amount, unit] = inUnit(Math.max(1, Math.ceil(seconds)));
  return new Intl.RelativeTimeFormat(locale).format(Math.ceil(amount), unit);
}

/** "10 minutes". */
export function lasting(seconds: number, locale: string): string {
  const [amount, unit] = inUnit(Math.max(1, Math.ceil(seconds)));
  return new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'long' }).format(
    Math.ceil(amount),
  );
}

/** "21 November 2026, 20:41 UTC": the server does not know the reader's own zone, so it names its own. */
export function exactly(at: Date, locale: string): string {
  const date = new Intl.DateTimeFormat(locale, {
    dateStyle: 'long',
    timeZone: 'UTC',
  }).format(at);
  return `${date}, ${at.toISOString().slice(11, 16)} UTC`;
}

const element = (at: Date, locale: string, words: string): Html =>
  html`<time datetime="${at.toISOString()}" title="${exactly(at, locale)}">${words}</time>`;

/** "2 hours ago", exact in the title. */
export function ago(at: Date, now: Date, locale: string): Html {
  const [amount, unit] = inUnit((at.getTime() - now.getTime()) / 1000);
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  return element(at, locale, relative.format(Math.trunc(amount), unit));
}

/** "3 March", with the year if it is not this one; exact in the title. */
export function onDay(at: Date, now: Date, locale: string): Html {
  const sameYear = at.getUTCFullYear() === now.getUTCFullYear();
  const words = new Intl.DateTimeFormat(locale, {
    day: 'numeric',
    month: 'long',
    ...(sameYear ? {} : { year: 'numeric' }),
    timeZone: 'UTC',
  }).format(at);
  return element(at, locale, words);
}

/** Date and time in full, as an element. */
export function inFull(at: Date, locale: string): Html {
  return html`<time datetime="${at.toISOString()}">${exactly(at, locale)}</time>`;
}
