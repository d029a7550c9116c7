import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { pageStates } from '../support/page-fixtures.ts';
import { launchBrowser, type ServedPages, servePages } from '../support/pages-in-browser.ts';

// Every page in every state, in a real browser, under the policy that the server sends.
const WIDTHS = [360, 1280];
const THEMES = ['light', 'dark'] as const;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
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
  if (pictures) mkdirSync(pictures, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  pages?.close();
});

/** axe-core's findings, one line each. Evaluated by the debugger, which the page's policy does not reach. */
async function findings(): Promise<string[]> {
  await page.evaluate(`if (!globalThis.axe) { ${AXE} }`);
  return page.evaluate<string[]>(`axe.run({ resultTypes: ['violations'] }).then((found) =>
    found.violations.flatMap((rule) =>
      rule.nodes.map((node) => rule.id + ': ' + node.html + ' ' + node.failureSummary)))`);
}

/** Looks at the page as it stands, in both themes and at both widths; leaves pictures if they are asked for. */
async function look(name: string): Promise<void> {
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: width === 360 ? 740 : 860 });
    for (const colorScheme of THEMES) {
      await page.emulateMedia({ colorScheme });
      expect(await findings()).toEqual([]);
      if (!pictures) continue;
      const path = join(pictures, `${name}-${width}-${colorScheme}.png`);
      await page.screenshot({ path, fullPage: true });
    }
  }
}

const overflow = () =>
  page.evaluate<number>(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  );

const cases = pageStates.map((state) => [`${state.page}-${state.state}`, state.refused] as const);

/** Words may be longer than here: nothing sticks out. */
async function expectNoOverflow(): Promise<void> {
  await page.setViewportSize({ width: 320, height: 640 });
  expect(await overflow()).toBeLessThanOrEqual(0);
  // WCAG 2.2, 1.4.4: text at twice its size
  await page.setViewportSize({ width: 640, height: 640 });
  await page.evaluate("document.documentElement.style.fontSize = '200%'");
  expect(await overflow()).toBeLessThanOrEqual(0);
}

describe.each(cases)('%s', (name, refused) => {
  test('is sound in both themes and at both widths', async () => {
    complaints = [];
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${pages.origin}/${name}`);
    expect(await page.title()).toMatch(
      refused ? /^Error: .+ · Vouchsafe$/ : /^(?!Error).+ · Vouchsafe$/,
    );
    // autofocus acts when the page is first drawn, which may be after its load event
    await page.waitForFunction(
      refused
        ? "document.activeElement.id === 'summary'"
        : "document.getElementById('summary') === null",
    );

    await look(name);
    const folds = page.locator('details');
    if ((await folds.count()) > 0) {
      await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true })');
      await look(`${name}-open`);
    }
    await expectNoOverflow();
    expect(complaints).toEqual([]);
  });
});

describe.each(cases)('%s in German', (name, refused) => {
  test('is sound, and longer words stick out nowhere', async () => {
    complaints = [];
    await page.setViewportSize({ width: 360, height: 740 });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(`${pages.origin}/de/${name}`);
    expect(await page.title()).toMatch(refused ? /^Fehler: / : /^(?!Fehler)/);
    expect(await page.getAttribute('html', 'lang')).toBe('de');
    await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true })');
    if (pictures) await look(`de-${name}`);
    else expect(await findings()).toEqual([]);
    await expectNoOverflow();
    expect(complaints).toEqual([]);
  });
});
