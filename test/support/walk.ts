import { Browser, type Fields, type Page } from './browser.ts';

/** Our pages, as a person goes through them whatever comes. */

export interface Person {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly name: string;
}

/** Signs in and decides, until the browser is sent to an app, or stands on a page that asks for something else. */
export async function walk(
  browser: Browser,
  url: string,
  person: Person,
  decision: 'allow' | 'deny' = 'allow',
): Promise<Page> {
  let page = await browser.get(url);
  for (let steps = 0; !page.external && steps < 10; steps++) {
    const { email, password } = person;
    const asks = (name: string) =>
      page.forms.some(({ fields }) => fields.some(([field]) => field === name));
    const offers = page.forms.some(({ buttons }) =>
      buttons.some(({ value }) => value === decision),
    );
    if (asks('password')) page = await browser.submit(page, { email, password });
    else if (offers) page = await browser.submit(page, {}, decision);
    else break;
  }
  return page;
}

/** A browser in which the person is signed in, told by the app that it was sent to. */
export async function signedIn(browser: Browser, url: string, person: Person): Promise<Browser> {
  const page = await walk(browser, url, person);
  if (!page.external) throw new Error(`not signed in: ${page.url} ${page.text}`);
  return browser;
}

/** A person on several origins, ours and apps': each has its own cookies, and redirects lead from one to the other. */
export class Walker {
  readonly #issuer: string;
  readonly #person: Person;
  readonly #browsers = new Map<string, Browser>();

  constructor(issuer: string, person: Person) {
    this.#issuer = new URL(issuer).origin;
    this.#person = person;
  }

  on(url: string): Browser {
    const { origin } = new URL(url);
    const browser = this.#browsers.get(origin) ?? new Browser();
    this.#browsers.set(origin, browser);
    return browser;
  }

  /** Goes there and through our pages, until an app answers, or a page of ours asks for something else. */
  async go(url: string, decision: 'allow' | 'deny' = 'allow'): Promise<Page> {
    return this.#onward(await this.on(url).get(url), decision);
  }

  /** Posts the form that the button stands in, and goes on from there. */
  async submit(page: Page, fields: Fields = {}, button?: string): Promise<Page> {
    return this.#onward(await this.#post(page, fields, button), 'allow');
  }

  async #onward(from: Page, decision: 'allow' | 'deny'): Promise<Page> {
    const { email, password } = this.#person;
    let page = from;
    for (let steps = 0; steps < 20; steps++) {
      if (page.external) page = await this.on(page.url).get(page.url);
      else if (new URL(page.url).origin !== this.#issuer) return page;
      else {
        const asks = (name: string) =>
          page.forms.some(({ fields }) => fields.some(([field]) => field === name));
        const isOnward = page.forms.some(
          ({ action }) => new URL(action, page.url).origin !== this.#issuer,
        );
        const offers = page.forms.some(({ buttons }) =>
          buttons.some(({ value }) => value === decision),
        );
        if (asks('password')) page = await this.#post(page, { email, password });
        else if (isOnward) page = await this.#post(page, {});
        else if (offers) page = await this.#post(page, {}, decision);
        else return page;
      }
    }
    throw new Error(`no end of it at ${page.url}`);
  }

  /** With the cookies of where the form leads to. */
  #post(page: Page, fields: Fields, button?: string): Promise<Page> {
    const { action, body } = this.on(page.url).filled(page, fields, button);
    return this.on(action).post(action, body);
  }
}
