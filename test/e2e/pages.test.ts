import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { expectNoOverflow, look } from '../support/look.ts';
import { pageStates } from '../support/page-fixtures.ts';
import { launchBrowser, type ServedPages, servePages } from '../support/pages-in-browser.ts';
import { until } from '../support/process.ts';

// Every page in every state, in a real browser, under the policy that the server sends.
const pictures = process.env.SCREENSHOTS;

let pages: ServedPages;
let browser: Browser;
let page: Page;
/** What must stay empty: refused by the policy, asked of a foreign host, thrown by a script. */
let complaints: string[] = [];

beforeAll(async () => {
  pages = await servePages();
  browser = await launchBrowser();
  page = await browser.newPage({ reducedMotion: 'reduce' });
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(pages.origin)) complaints.push(`asked for ${request.url()}`);
  });
  // held back, so that the page which posts itself stands still to be looked at
  await page.route('**/form-post.*.js', (route) =>
    route.fulfill({ contentType: 'text/javascript', body: '' }),
  );
});

afterAll(async () => {
  await browser?.close();
  pages?.close();
});

const cases = pageStates.map((state) => [`${state.page}-${state.state}`, state.refused] as const);

describe.each(cases)('%s', (name, refused) => {
  test('is sound in both themes and at both widths', async () => {
    complaints = [];
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${pages.origin}/${name}`);
    expect(await page.title()).toMatch(
      refused ? /^Error: .+ · Vouchsafe$/ : /^(?!Error).+ · Vouchsafe$/,
    );
    // autofocus acts when the page is first drawn, which may be after its load event
    const isDrawn = refused
      ? "document.activeElement.id === 'summary'"
      : "document.getElementById('summary') === null";
    await until(() => page.evaluate<boolean>(isDrawn));

    expect(await look(page, name, pictures)).toEqual([]);
    const folds = page.locator('details');
    if ((await folds.count()) > 0) {
      await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true })');
      expect(await look(page, `${name}-open`, pictures)).toEqual([]);
    }
    await expectNoOverflow(page);
    expect(complaints).toEqual([]);
  });
});
