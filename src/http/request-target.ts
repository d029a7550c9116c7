/** RFC 9112, section 3.2.2: `http://host/path?query`. What follows the authority is kept as it was sent. */
const absolute = /^[a-z][a-z\d+.-]*:\/\/[^/?\\]*(?<rest>[/?].*)?$/i;

/**
 * The target of a request as a path and a query, whichever form of RFC 9112, section 3.2, it was sent in; undefined where it
 * has none of them. Koa would believe the host of a whole URL before any header, and its parser throws on some of the others.
 */
export function originForm(target: string): string | undefined {
  // A target has no fragment. Before one, Koa's parser looks for a host in any path.
  if (/[\s#]/.test(target)) return undefined;
  if (target.startsWith('/')) return target;
  // The whole server, which has no page.
  if (target === '*') return '/';
  const found = absolute.exec(target);
  if (found === null || !URL.canParse(target)) return undefined;
  const rest = found.groups?.rest ?? '/';
  return rest.startsWith('/') ? rest : `/${rest}`;
}
