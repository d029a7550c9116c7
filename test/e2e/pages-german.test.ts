import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { expectNoOverflow, findings } from '../support/look.ts';
import { pageStates } from '../support/page-fixtures.ts';
import { launchBrowser, type ServedPages, servePages } from '../support/pages-in-browser.ts';

// Every page in every state once more, in words that are longer than the English ones.
const pictures = process.env.SCREENSHOTS;

let pages: ServedPages;
let browser: Browser;
let page: Page;
let complaints: string[] = [];

beforeAll(async () => {
  pages = await servePages();
  browser = await launchBrowser();
  page = await browser.newPage({ reducedMotion: 'reduce' });
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.route('**/form-post.*.js', (route) =>
    route.fulfill({ contentType: 'text/javascript', body: '' }),
  );
  if (pictures) mkdirSync(pictures, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  pages?.close();
});

async function takePictures(name: string): Promise<void> {
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: width === 360 ? 740 : 860 });
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      const path = join(pictures as string, `de-${name}-${width}-${colorScheme}.png`);
      await page.screenshot({ path, fullPage: true });
    }
  }
}

const cases = pageStates.map((state) => [`${state.page}-${state.state}`, state.refused] as const);

test.each(cases)('%s is sound in German, and sticks out nowhere', async (name, refused) => {
  complaints = [];
  await page.setViewportSize({ width: 360, height: 740 });
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(`${pages.origin}/de/${name}`);
  expect(await page.title()).toMatch(refused ? /^Fehler: / : /^(?!Fehler)/);
  expect(await page.getAttribute('html', 'lang')).toBe('de');
  await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true })');
  if (pictures) await takePictures(name);
  // What is hidden, or colour, is the same in every language: the other file looks at that.
  if (name.endsWith('plain')) expect(await findings(page)).toEqual([]);
  await expectNoOverflow(page);
  expect(complaints).toEqual([]);
});
