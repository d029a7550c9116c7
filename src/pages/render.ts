import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Eta } from 'eta';
import { type Asset, Assets } from './assets.ts';
import { type Brand, brandStylesheet } from './brand.ts';
import { token } from './cut.ts';
import { escape } from './html.ts';
import { messagesFor } from './messages.ts';
import type { App } from './page-parts.ts';
import type { Pages } from './pages.ts';
import { presenters } from './present.ts';

export interface RendererOptions {
  /** What the server is called; "Vouchsafe" unless the operator says otherwise. */
  name?: string | undefined;
  brand?: Brand | undefined;
  /** The path at which the issuer stands, before every path of ours; empty unless told. */
  base?: string | undefined;
  /** The clock that "2 hours ago" is told by. */
  now?: (() => Date) | undefined;
}

export interface Renderer {
  /** A whole HTML page. Whatever the model holds is escaped. */
  page<K extends keyof Pages>(name: K, model: Pages[K]): string;
  /** What lies under a path that begins with `/assets/`; it never changes, so it may be cached for ever. */
  asset(path: string): Asset | undefined;
  /** The path of an asset by its plain name, "vouchsafe.css". */
  assetUrl(name: string): string;
}

const VIEWS = join(import.meta.dirname, '../../views');

/** Reads and compiles every template now, so that a broken one stops the start and not a reader. */
function compileViews(): Eta {
  const eta = new Eta({ views: VIEWS, cache: true, autoEscape: true, escapeFunction: escape });
  for (const entry of readdirSync(VIEWS, { recursive: true, encoding: 'utf8' })) {
    if (!entry.endsWith('.eta')) continue;
    const filepath = join(VIEWS, entry);
    eta.templatesSync.define(filepath, eta.compile(readFileSync(filepath, 'utf8'), { filepath }));
  }
  return eta;
}

/** @throws if a template does not compile, or the brand is malformed or too faint (`brandStylesheet`). */
export function createRenderer(options: RendererOptions = {}): Renderer {
  const { name: brandName = 'Vouchsafe', brand, base = '', now = () => new Date() } = options;
  const eta = compileViews();
  const assets = new Assets(join(VIEWS, 'assets'));
  if (brand) assets.add('brand.css', Buffer.from(brandStylesheet(brand)));
  const urlOf = (file: string) => `${base}${assets.url(file)}`;
  const stylesheets = ['vouchsafe.css', ...(brand ? ['brand.css'] : [])].map(urlOf);
  const tools = {
    brand: brandName,
    stylesheets,
    assetUrl: urlOf,
    token: (app: App, size: number, joined: boolean) =>
      token(app.id, { size, joined, outline: !app.verified }),
  };
  return {
    page(name, model) {
      const { lang, locale, messages: m, ...language } = messagesFor(model.lang);
      const view = presenters[name](model, { m, locale, now: now(), brand: brandName });
      const dir = model.dir ?? language.dir;
      const heading = String(view.title);
      const title = m.titleSuffix(
        view.invalid ? String(m.titleError(heading)) : heading,
        brandName,
      );
      return eta.render(`/pages/${name}`, {
        ...tools,
        lang,
        dir,
        title: String(title),
        m,
        model,
        view,
      });
    },
    asset: (path) => assets.find(path),
    assetUrl: urlOf,
  };
}
