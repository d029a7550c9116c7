import { Html, html, type Words } from './html.ts';
import type { DetailShown } from './page-parts.ts';
import type { Kit } from './present-forms.ts';

/** A detail (RFC 9396) in its API's words, with the values that the app has sent. Those may be anything. */
export interface SpelledOut {
  readonly verb: string;
  readonly words: Words;
  readonly facts: { label: Words; value: string }[];
  /** Every value there is, by its name: whatever the words leave out. */
  readonly all: { label: string; value: string }[];
}

/** Characters of a value within a sentence; the whole of it stands below. */
const LONGEST = 80;
const graphemes = new Intl.Segmenter();

/**
 * What a browser would act on, or not show at all: it would tell something else than what is granted. Joiners and selectors
 * stay: some scripts and pictures can't be written without them.
 */
const hidden =
  /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\u2800]|(?!\p{Join_Control}|\p{Variation_Selector})\p{Default_Ignorable_Code_Point}/gu;
/** What shows; a text without any of it is none to read. */
const visible = /[\p{L}\p{N}\p{P}\p{S}]/u;
const unreadable = '\ufffd';

export function spellOut({ words: byLanguage, detail }: DetailShown, kit: Kit): SpelledOut {
  const language = kit.locale.split('-', 1)[0] as string;
  const { verb, text, facts } = (byLanguage[kit.locale] ??
    byLanguage[language] ??
    byLanguage.en) as DetailShown['words'][string];
  return {
    verb,
    words: fill(text, detail, kit),
    facts: facts.flatMap(({ label, value }) => {
      const filled = fillPlain(value, detail, kit);
      return filled === undefined ? [] : [{ label, value: filled }];
    }),
    all: flatten(detail, kit),
  };
}

const placeholder = /\{([^{}]+)\}/;

/** The sentence; what is not there is said to be so. */
function fill(template: string, detail: unknown, kit: Kit): Words {
  // Split by a pattern with a group: text and names in turn.
  const parts = template.split(placeholder).map((part, index): Words => {
    if (index % 2 === 0) return part;
    const value = valueInWords(valueAt(detail, part), kit);
    return value === undefined
      ? html`<span class="soft">${kit.m.notSet}</span>`
      : html`<b><bdi>${cut(value)}</bdi></b>`;
  });
  return parts.reduce<Html>((before, part) => html`${before}${part}`, new Html(''));
}

/** The same without markup; undefined where none of what it names is there. */
function fillPlain(template: string, detail: unknown, kit: Kit): string | undefined {
  let found = 0;
  const text = template.replace(new RegExp(placeholder, 'g'), (_, name: string) => {
    const value = valueInWords(valueAt(detail, name), kit);
    if (value !== undefined) found++;
    return value === undefined ? '' : cut(value);
  });
  return found === 0 && placeholder.test(template) ? undefined : text.trim();
}

function valueAt(detail: unknown, path: string): unknown {
  let value = detail;
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** A plain value, or a list of such, as it is read; undefined for anything else. */
function valueInWords(value: unknown, kit: Kit): string | undefined {
  if (typeof value === 'string') return readable(value.replace(/\s+/g, ' ').trim());
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return String(value ? kit.m.yes : kit.m.no);
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const parts = value.map((one) => (Array.isArray(one) ? undefined : valueInWords(one, kit)));
  return parts.every((part) => part !== undefined)
    ? new Intl.ListFormat(kit.locale, { style: 'short' }).format(parts)
    : undefined;
}

function readable(text: string): string {
  const shown = text.replace(hidden, unreadable);
  return shown === '' || visible.test(shown) ? shown : unreadable;
}

function cut(value: string): string {
  const characters = Array.from(graphemes.segment(value), ({ segment }) => segment);
  return characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join('')}…` : value;
}

function flatten(value: unknown, kit: Kit, path = ''): SpelledOut['all'] {
  const plain = valueInWords(value, kit);
  if (plain !== undefined) return path === 'type' ? [] : [{ label: name(path), value: plain }];
  if (typeof value !== 'object' || value === null)
    return [{ label: name(path), value: String(kit.m.notSet) }];
  return Object.entries(value).flatMap(([key, one]) =>
    flatten(one, kit, path === '' ? key : `${path}.${key}`),
  );
}

const name = (path: string) => path.replace(hidden, unreadable);
