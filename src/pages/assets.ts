import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

export interface Asset {
  body: Buffer;
  type: string;
  etag: string;
}

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * The files that pages link to, each under a URL that holds the hash of what is in it:
 * it may be cached for ever, and an upgrade or a new brand has another URL.
 */
export class Assets {
  readonly #byPath = new Map<string, Asset>();
  readonly #urls = new Map<string, string>();

  constructor(folder: string) {
    for (const name of readdirSync(folder)) this.add(name, readFileSync(join(folder, name)));
  }

  add(name: string, body: Buffer): void {
    const extension = extname(name);
    const type = TYPES[extension];
    if (!type) throw new Error(`No content type is known for the asset ${name}`);
    const hash = createHash('sha256').update(body).digest('base64url').slice(0, 12);
    const path = `/assets/${name.slice(0, -extension.length)}.${hash}${extension}`;
    this.#byPath.set(path, { body, type, etag: `"${hash}"` });
    this.#urls.set(name, path);
  }

  find(path: string): Asset | undefined {
    return this.#byPath.get(path);
  }

  /** @throws for a name that is not among them: a template's mistake, not a reader's. */
  url(name: string): string {
    const url = this.#urls.get(name);
    if (!url) throw new Error(`There is no asset ${name}`);
    return url;
  }
}
