import type { Page } from 'playwright-core';
import type { BrowserEntry } from '../conformance/openid-foundation/pages.ts';

/**
 * Does what the suite's browser does with a plan's configuration, in a browser without JavaScript. Like the suite's, a wait for
 * a text fails if the text is not there: `update-image-placeholder-optional` only makes the copy optional.
 */

type Command = NonNullable<BrowserEntry['tasks'][number]['commands']>[number];

/** How often each entry with a `match-limit` was taken. */
export type Visits = Map<BrowserEntry, number>;

/** Opens the address, and does the tasks of the first entry for it. One module keeps its visits. */
export async function follow(
  page: Page,
  entries: readonly BrowserEntry[],
  url: string,
  visits: Visits = new Map(),
): Promise<void> {
  const entry = entries.find(
    (one) =>
      isMatch(one.match, url) && (visits.get(one) ?? 0) < (one['match-limit'] ?? Number.MAX_VALUE),
  );
  if (entry === undefined) throw new Error(`no entry is for ${url}`);
  visits.set(entry, (visits.get(entry) ?? 0) + 1);
  await page.goto(url);
  for (const { task, match, optional = false, commands = [] } of entry.tasks) {
    if (!isMatch(match, page.url())) {
      if (optional) continue;
      throw new Error(`${task}: the browser is at ${page.url()}, and not at ${match}`);
    }
    for (const command of commands) await run(page, command, task);
  }
}

/** A star stands for anything; everything else for itself. */
function isMatch(pattern: string, url: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(url);
}

const selectorOf = (type: string, target: string): string => {
  if (type === 'css') return target;
  if (type === 'name') return `[name="${target}"]`;
  if (type === 'id') return `#${target}`;
  if (type === 'xpath') return `xpath=${target}`;
  throw new Error(`the suite knows no element by ${type}`);
};

async function run(page: Page, command: Command, task: string): Promise<void> {
  const [action, type, target, value, more] = command.map(String) as [
    string,
    string,
    string,
    string | undefined,
    string | undefined,
  ];
  const element = page.locator(selectorOf(type, target)).first();
  const isThere = (await element.count()) > 0;
  if (action === 'text') {
    if (isThere) await element.fill(value as string);
    else if (more !== 'optional')
      throw new Error(`${task}: there is no ${target} at ${page.url()}`);
    return;
  }
  if (!isThere && action === 'click' && value === 'optional') return;
  if (!isThere) throw new Error(`${task}: there is no ${target} at ${page.url()}`);
  if (action === 'click') {
    await element.click();
    await page.waitForLoadState();
    return;
  }
  if (action !== 'wait') throw new Error(`the suite knows no command ${action}`);
  if (more === undefined) return;
  const text = await element.innerText();
  if (!new RegExp(more).test(text)) throw new Error(`${task}: ${page.url()} does not say ${more}`);
}
