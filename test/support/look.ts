import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import axe from 'axe-core';
import type { Page } from 'playwright-core';

const WIDTHS = [360, 1280];
const THEMES = ['light', 'dark'] as const;

/** axe-core's findings, one line each. Evaluated by the debugger, which the page's policy does not reach. */
export async function findings(page: Page): Promise<string[]> {
  await page.evaluate(`if (!globalThis.axe) { ${axe.source} }`);
  return page.evaluate<string[]>(`axe.run({ resultTypes: ['violations'] }).then((found) =>
    found.violations.flatMap((rule) =>
      rule.nodes.map((node) => rule.id + ': ' + node.html + ' ' + node.failureSummary)))`);
}

const overflow = (page: Page) =>
  page.evaluate<number>(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  );

/** Nothing sticks out, at 320 px and at twice the size (WCAG 2.2, 1.4.10 and 1.4.4). */
export async function expectNoOverflow(page: Page): Promise<void> {
  await page.setViewportSize({ width: 320, height: 640 });
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  await page.setViewportSize({ width: 640, height: 640 });
  await page.evaluate("document.documentElement.style.fontSize = '200%'");
  expect(await overflow(page)).toBeLessThanOrEqual(0);
}

/**
 * Looks at the page as it stands, in both themes and at both widths; with `folder`, leaves pictures there. Gives what is
 * wrong with it.
 */
export async function look(page: Page, name: string, folder?: string): Promise<string[]> {
  const wrong: string[] = [];
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: width === 360 ? 740 : 860 });
    if ((await overflow(page)) > 0) wrong.push(`${name}: wider than ${width} px`);
    for (const colorScheme of THEMES) {
      await page.emulateMedia({ colorScheme });
      wrong.push(
        ...(await findings(page)).map((one) => `${name}, ${width} px, ${colorScheme}: ${one}`),
      );
      if (folder === undefined) continue;
      await page.screenshot({
        path: join(folder, `${name}-${width}-${colorScheme}.png`),
        fullPage: true,
      });
    }
  }
  return wrong;
}
