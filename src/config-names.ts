/** Variables of the environment that look as if they were meant for us and are not read. */

export interface KnownVariable {
  readonly name: string;
  /** It is also read from the file that its twin with `_FILE` names. */
  readonly secret: boolean;
}

/** Names that earlier releases read, and what took their place (a sentence for the operator). None has changed yet. */
const formerNames: Readonly<Record<string, string>> = {};

/** Names that others have given their meaning, though they are close to one of ours. */
const foreign = new Set([
  'HOME',
  'HOSTS',
  'PATH',
  'POST',
  'SORT',
  // OpenSSL reads these, and so do curl and Node.js.
  'SSL_CERT_DIR',
  'SSL_CERT_FILE',
]);

/** Two letters of a name of four could be any word. */
const LETTERS = 2;
const SHORT = 4;

/**
 * A line for each variable that is set and does nothing: misspelt by up to two letters or in small letters, renamed by a
 * release, or a file for what is no secret. Values are never looked at, except for whether there is one.
 */
export function findUnreadVariables(
  env: Readonly<Record<string, string | undefined>>,
  variables: readonly KnownVariable[],
  former: Readonly<Record<string, string>> = formerNames,
): string[] {
  const read = variables.flatMap(({ name, secret }) => (secret ? [name, `${name}_FILE`] : [name]));
  const known = new Set(read);
  return Object.keys(env)
    .filter((name) => env[name] && !known.has(name) && !foreign.has(name))
    .flatMap((name) => {
      const successor = Object.hasOwn(former, name) ? former[name] : undefined;
      if (successor !== undefined) return [`${name} is no longer read: ${successor}`];
      if (name.endsWith('_FILE') && known.has(name.slice(0, -'_FILE'.length)))
        return [`${name} is not read: only secrets come from files. Set ${name.slice(0, -5)}.`];
      const meant = closest(name, read);
      return meant === undefined ? [] : [`${name} is not read. Did you mean ${meant}?`];
    });
}

function closest(name: string, known: readonly string[]): string | undefined {
  const upper = name.toUpperCase();
  let found: { readonly name: string; readonly distance: number } | undefined;
  for (const candidate of known) {
    const most = candidate.length <= SHORT ? LETTERS - 1 : LETTERS;
    const distance = distanceOf(upper, candidate);
    if (distance <= most && distance < (found?.distance ?? Infinity))
      found = { name: candidate, distance };
  }
  return found?.name;
}

/** Letters that are missing, too many or wrong, or two that changed places (the optimal string alignment distance). */
function distanceOf(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > LETTERS) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let best = Math.min(
        (last[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (last[j - 1] ?? 0) + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? Infinity;
}
