const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Words with markup of our own in them. `text` is the same without the markup, for titles. */
export class Html {
  readonly markup: string;
  readonly text: string;
  constructor(markup: string, text = '') {
    this.markup = markup;
    this.text = text;
  }
  toString(): string {
    return this.text;
  }
}

/** A message: plain, or with markup. */
export type Words = string | Html;

/**
 * Makes any value safe in text and in quoted attributes; only `Html` passes as it is.
 * It is the templates' escape function, so that no template ever needs Eta's raw tag for a value.
 */
export function escape(value: unknown): string {
  if (value === undefined || value === null || value === false) return '';
  if (value instanceof Html) return value.markup;
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new TypeError(`A template put in a ${typeof value} where words belong`);
  }
  return String(value).replace(/[&<>"']/g, (c) => ENTITIES[c] ?? c);
}

/** A tagged template: our own markup stays, everything that is put in is escaped. */
export function html(strings: TemplateStringsArray, ...values: Words[]): Html {
  let markup = '';
  let text = '';
  strings.forEach((part, i) => {
    const value = values[i] ?? '';
    markup += part + escape(value);
    text += part.replace(/<[^>]*>/g, '') + String(value);
  });
  return new Html(markup, text);
}
