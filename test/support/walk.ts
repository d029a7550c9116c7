import type { Browser, Page } from './browser.ts';

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
