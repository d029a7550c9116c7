import { readFileSync } from 'node:fs';
import type { Context } from 'koa';

/** Markup that is safe to put into a page as it is. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Markup | string | number | undefined | readonly Content[];

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function render(content: Content): string {
  if (content === undefined) return '';
  if (content instanceof Markup) return content.text;
  if (typeof content === 'object') return content.map(render).join('');
  return String(content).replace(/[&<>"']/g, (char) => entities[char] as string);
}

/** Markup in which every value is escaped. */
export function html(parts: TemplateStringsArray, ...values: Content[]): Markup {
  return new Markup(parts.map((part, index) => part + render(values[index])).join(''));
}

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const files = {
  '/style.css': { type: 'css', body: read('./style.css') },
  '/icon.svg': { type: 'svg', body: read('./icon.svg') },
};

/** What the pages of the example app load. */
export function sendFile(ctx: Context): void {
  Object.assign(ctx, files[ctx.path as keyof typeof files]);
}

/** @param issuer where the form that signs out leads to. */
export function sendPage(
  ctx: Context,
  issuer: string,
  title: string,
  body: Content,
  status = 200,
): void {
  ctx.status = status;
  ctx.type = 'html';
  ctx.set('Cache-Control', 'no-store');
  ctx.set('Referrer-Policy', 'no-referrer');
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.set(
    'Content-Security-Policy',
    `default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' ${issuer}; base-uri 'none'; frame-ancestors 'none'`,
  );
  ctx.body = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Quillet</title>
<link rel="icon" type="image/svg+xml" href="/icon.svg">
<link rel="stylesheet" href="/style.css">
</head>
<body>${body}</body>
</html>
`.text;
}
