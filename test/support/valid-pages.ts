import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect } from '@jest/globals';
import type { Page } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** axe-core's findings, one line each. Evaluated by the debugger, which the page's policy does not reach. */
export async function findings(page: Page): Promise<string[]> {
  await page.evaluate(`if (!globalThis.axe) { ${AXE} }`);
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
