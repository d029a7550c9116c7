/**
 * A browser without scripts: it keeps cookies, follows redirects, and posts a form with the fields that are in it. It
 * stays on the origin of its first request: a redirect to elsewhere (an app) is where it stops, and what `url` then is.
 */

const MAX_REDIRECTS = 20;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export interface Button {
  readonly name: string | undefined;
  readonly value: string;
  readonly text: string;
  readonly action: string | undefined;
}

export interface PageForm {
  readonly action: string;
  readonly method: string;
  /** What a browser would post without anybody touching it. */
  readonly fields: readonly (readonly [string, string])[];
  readonly buttons: readonly Button[];
}

export class Page {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly html: string;
  /** It is not ours: the browser was sent there, and did not go. */
  readonly external: boolean;

  constructor(page: {
    url: string;
    status: number;
    headers: Headers;
    html: string;
    external: boolean;
  }) {
    this.url = page.url;
    this.status = page.status;
    this.headers = page.headers;
    this.html = page.html;
    this.external = page.external;
  }

  get path(): string {
    return new URL(this.url).pathname;
  }

  /** The parameters of the address: where the page is an app's, what it was answered with. */
  get params(): URLSearchParams {
    return new URL(this.url).searchParams;
  }

  get title(): string {
    return unescape(/<title>([^<]*)<\/title>/.exec(this.html)?.[1] ?? '');
  }

  /** What can be read, tags and white space taken out. */
  get text(): string {
    const main = /<body[\s\S]*<\/body>/.exec(this.html)?.[0] ?? this.html;
    return unescape(
      main.replace(/<(script|style|svg)[\s\S]*?<\/\1>/g, ' ').replace(/<[^>]*>/g, ' '),
    )
      .replace(/\s+/g, ' ')
      .trim();
  }

  get forms(): PageForm[] {
    return [...this.html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)].map(
      ([, attributes = '', content = '']) => ({
        action: attribute(attributes, 'action') ?? '',
        method: attribute(attributes, 'method') ?? 'get',
        fields: fieldsOf(content),
        buttons: buttonsOf(content),
      }),
    );
  }

  /** The address behind the link whose words or address hold `what`. */
  link(what: string): string {
    for (const [, attributes = '', content = ''] of this.html.matchAll(
      /<a\b([^>]*)>([\s\S]*?)<\/a>/g,
    )) {
      const href = attribute(attributes, 'href') ?? '';
      if (href.includes(what) || unescape(content.replace(/<[^>]*>/g, '')).includes(what))
        return new URL(href, this.url).href;
    }
    throw new Error(`no link "${what}" on the page "${this.title}" (${this.url}): ${this.text}`);
  }
}

/** What is typed over the form's own fields: `undefined` takes a field away, a list posts it several times. */
export type Fields = Record<string, string | readonly string[] | undefined>;

interface Cookie {
  readonly name: string;
  value: string;
  readonly path: string;
}

/** As browsers send it for a page. */
const ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

export class Browser {
  /** Sent with each request. */
  headers: Record<string, string> = {};
  #cookies: Cookie[] = [];

  get(url: string): Promise<Page> {
    return this.#go(url, undefined);
  }

  /**
   * Posts the form that `button` stands in, or the first one of the page.
   * @param button its value, its words, or where it posts to.
   */
  submit(page: Page, fields: Fields = {}, button?: string): Promise<Page> {
    const { action, body } = this.filled(page, fields, button);
    return this.#go(action, body);
  }

  /** Posts without following a redirect: gives the answer itself. */
  submitOnce(page: Page, fields: Fields = {}, button?: string): Promise<Page> {
    const { action, body } = this.filled(page, fields, button);
    return this.#request(action, body);
  }

  /** Posts fields of one's own making to an address; a browser never would. */
  post(url: string, fields: Fields | URLSearchParams): Promise<Page> {
    return this.#go(url, fields instanceof URLSearchParams ? fields : apply([], fields));
  }

  /** One request, redirects not followed. */
  once(url: string, body?: URLSearchParams): Promise<Page> {
    return this.#request(url, body);
  }

  cookies(): Record<string, string> {
    return Object.fromEntries(this.#cookies.map(({ name, value }) => [name, value]));
  }

  setCookie(name: string, value: string, path = '/'): void {
    this.#cookies = this.#cookies.filter((one) => one.name !== name || one.path !== path);
    this.#cookies.push({ name, value, path });
  }

  deleteCookies(keep: (name: string) => boolean = () => false): void {
    this.#cookies = this.#cookies.filter(({ name }) => keep(name));
  }

  /** Another window with the same cookies at this moment, which then go their own ways. */
  clone(): Browser {
    const other = new Browser();
    other.#cookies = this.#cookies.map((cookie) => ({ ...cookie }));
    return other;
  }

  /** What the form would post, and where to. */
  filled(page: Page, fields: Fields, button?: string): { action: string; body: URLSearchParams } {
    const forms = page.forms;
    // A value that is exactly that before words that contain it: "allow" is in "Don't allow" too.
    const matches = [
      (one: Button) => one.value === button,
      (one: Button) =>
        button !== undefined && (one.text.includes(button) || (one.action ?? '').includes(button)),
    ];
    const isPressed =
      matches.find(
        (match) => button !== undefined && forms.some((one) => one.buttons.some(match)),
      ) ?? (() => false);
    const form =
      button === undefined
        ? forms[0]
        : (forms.find((one) => one.buttons.some(isPressed)) ??
          forms.find((one) => one.action.includes(button)));
    if (form === undefined)
      throw new Error(
        `no form${button === undefined ? '' : ` with the button "${button}"`} on the page "${page.title}" (${page.status} ${page.url}): ${page.text}`,
      );
    const using =
      form.buttons.find(isPressed) ?? (button === undefined ? undefined : form.buttons[0]);
    const body = apply(form.fields, fields);
    if (using?.name !== undefined) body.append(using.name, using.value);
    return { action: new URL(using?.action ?? form.action, page.url).href, body };
  }

  async #go(url: string, body: URLSearchParams | undefined): Promise<Page> {
    const home = new URL(url).origin;
    let page = await this.#request(url, body);
    for (let hops = 0; REDIRECTS.has(page.status); hops++) {
      if (hops === MAX_REDIRECTS)
        throw new Error(`too many redirects, the last one to ${page.url}`);
      const target = new URL(page.headers.get('location') as string, page.url).href;
      if (new URL(target).origin !== home)
        return new Page({
          url: target,
          status: page.status,
          headers: page.headers,
          html: '',
          external: true,
        });
      page = await this.#request(target, undefined);
    }
    return page;
  }

  async #request(url: string, body: URLSearchParams | undefined): Promise<Page> {
    const headers: Record<string, string> = { accept: ACCEPT, ...this.headers };
    const cookie = this.#cookieHeader(url);
    if (cookie !== '') headers.cookie = cookie;
    const response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      redirect: 'manual',
      headers,
      ...(body === undefined ? {} : { body }),
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line, url);
    return new Page({
      url,
      status: response.status,
      headers: response.headers,
      html: await response.text(),
      external: false,
    });
  }

  /** The longest path first, as browsers send them. */
  #cookieHeader(url: string): string {
    const { pathname } = new URL(url);
    const matching = this.#cookies.filter(
      ({ path }) =>
        path === '/' || pathname === path || pathname.startsWith(`${path.replace(/\/$/, '')}/`),
    );
    return matching
      .toSorted((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  #keep(line: string, url: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
    const name = pair.slice(0, pair.indexOf('='));
    const value = pair.slice(name.length + 1);
    const find = (key: string) =>
      attributes.find((one) => one.toLowerCase().startsWith(`${key}=`))?.slice(key.length + 1);
    const path = find('path') ?? new URL(url).pathname.replace(/\/[^/]*$/, '') ?? '/';
    const expires = find('expires');
    const maxAge = find('max-age');
    this.#cookies = this.#cookies.filter((one) => one.name !== name || one.path !== path);
    const gone =
      (expires !== undefined && new Date(expires) <= new Date()) ||
      (maxAge !== undefined && Number(maxAge) <= 0);
    if (!gone) this.#cookies.push({ name, value, path });
  }
}

function apply(own: readonly (readonly [string, string])[], fields: Fields): URLSearchParams {
  const body = new URLSearchParams(
    own
      .filter(([name]) => !(name in fields))
      .map(([name, value]): [string, string] => [name, value]),
  );
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    for (const one of typeof value === 'string' ? [value] : value) body.append(name, one);
  }
  return body;
}

function fieldsOf(content: string): [string, string][] {
  const fields: [string, string][] = [];
  for (const [, tag = '', attributes = '', inner = ''] of content.matchAll(
    /<(input|textarea)\b((?:"[^"]*"|[^>"])*)>(?:([^<]*)<\/textarea>)?/g,
  )) {
    const name = attribute(attributes, 'name');
    if (name === undefined) continue;
    const type = attribute(attributes, 'type');
    if (type === 'checkbox' || type === 'radio') {
      if (/\schecked(?=\s|$|=)/.test(attributes))
        fields.push([name, attribute(attributes, 'value') ?? 'on']);
    } else if (type !== 'submit') {
      fields.push([
        name,
        tag === 'textarea' ? unescape(inner) : (attribute(attributes, 'value') ?? ''),
      ]);
    }
  }
  return fields;
}

function buttonsOf(content: string): Button[] {
  return [...content.matchAll(/<button\b((?:"[^"]*"|[^>"])*)>([\s\S]*?)<\/button>/g)]
    .filter(([, attributes = '']) => attribute(attributes, 'type') !== 'button')
    .map(([, attributes = '', inner = '']) => ({
      name: attribute(attributes, 'name'),
      value: attribute(attributes, 'value') ?? '',
      text: unescape(inner.replace(/<[^>]*>/g, '')),
      action: attribute(attributes, 'formaction'),
    }));
}

function attribute(attributes: string, name: string): string | undefined {
  const value = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1];
  return value === undefined ? undefined : unescape(value);
}

const entities: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&nbsp;': ' ',
};

function unescape(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (entity) => entities[entity] ?? entity);
}
