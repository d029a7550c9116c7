import type { Page } from 'playwright-core';
import type { BrowserEntry } from '../conformance/openid-foundation/pages.ts';

/** Does what the suite's browser would do with a plan's configuration, in a browser without JavaScript, as its is nearly. */

type Command = NonNullable<BrowserEntry['tasks'][number]['commands']>[number];

/** Goes to the address, and does the tasks of the first entry for it. */
export async function follow(
  page: Page,
  entries: readonly BrowserEntry[],
  url: string,
): Promise<void> {
  const entry = entries.find(({ match }) => isMatch(match, url));
  if (entry === undefined) throw new Error(`no entry is for ${url}`);
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
  const [action, type, target, value, more, mode] = command.map(String) as [
    string,
    string,
    string,
    string | undefined,
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
  if (!isThere) throw new Error(`${task}: there is no ${target} at ${page.url()}`);
  if (action === 'click') {
    await element.click();
    await page.waitForLoadState();
    return;
  }
  if (action !== 'wait') throw new Error(`the suite knows no command ${action}`);
  if (more === undefined || mode === 'update-image-placeholder-optional') return;
  const text = await element.innerText();
  if (!new RegExp(more).test(text)) throw new Error(`${task}: ${page.url()} does not say ${more}`);
}
