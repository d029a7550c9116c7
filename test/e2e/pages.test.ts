import { createServer, type Server } from 'node:http';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { createRenderer } from '../../src/http/render.ts';
import { NOW, pageStates, type PageState } from '../support/page-fixtures.ts';

// Every page in every state, in a real browser, under the policy that the server sends.
const POLICY =
  "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";
const WIDTHS = [360, 1280];
const THEMES = ['light', 'dark'] as const;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pictures = process.env.SCREENSHOTS;

const renderer = createRenderer({ name: 'Vouchsafe', now: () => NOW });
const key = ({ page, state }: PageState) => `${page}-${state}`;

let server: Server;
let origin: string;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What must stay empty: refused by the policy, asked of a foreign host, thrown by a script. */
let complaints: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    const asset = renderer.asset(pathname);
    const found = pageStates.find((state) => pathname === `/${key(state)}`);
    response.setHeader('content-security-policy', POLICY);
    if (asset) response.setHeader('content-type', asset.type).end(asset.body);
    else if (found) {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(renderer.page(found.page, found.model as never));
    } else response.writeHead(pathname === '/post' ? 204 : 404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  context = await browser.newContext({ reducedMotion: 'reduce' });
  page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(origin)) complaints.push(`asked for ${request.url()}`);
  });
  // held back, so that the page which posts itself stands still to be looked at
  await page.route('**/form-post.*.js', (route) =>
    route.fulfill({ contentType: 'text/javascript', body: '' }),
  );
  if (pictures) mkdirSync(pictures, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  server?.close();
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

describe.each(pageStates.map((state) => [key(state), state] as const))('%s', (name, state) => {
  test('is sound in both themes and at both widths', async () => {
    complaints = [];
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${origin}/${name}`);
    expect(await page.title()).toMatch(
      state.refused ? /^Error: .+ · Vouchsafe$/ : /^(?!Error).+ · Vouchsafe$/,
    );
    // autofocus acts when the page is first drawn, which may be after its load event
    if (state.refused) await page.waitForFunction("document.activeElement.id === 'summary'");
    else expect(await page.locator('#summary').count()).toBe(0);

    await look(name);
    const folds = page.locator('details');
    if ((await folds.count()) > 0) {
      await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true })');
      await look(`${name}-open`);
    }
    await page.setViewportSize({ width: 320, height: 640 });
    expect(await overflow()).toBeLessThanOrEqual(0);
    expect(complaints).toEqual([]);
  });
});
