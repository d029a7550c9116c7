/** What follows these names in a path is a link's token, or the id of a paused request. */
const secret = /(?:^|[^a-z])(interaction|authorize|verify-email|setup|device|asked)(?![\w-])./s;
/** Link tokens have 43 characters. Other names in paths are shorter. */
const LONGEST_SEGMENT = 40;
/** Nobody encodes a path more often. */
const MOST_DECODINGS = 5;

/** The path as the log has it: without what could be a secret, in whatever spelling it was sent. */
export function loggedPath(path: string): string {
  const name = secret.exec(decoded(path).toLowerCase())?.[1];
  if (name !== undefined) return `/${name}/…`;
  return path
    .split('/')
    .map((segment) => (segment.length > LONGEST_SEGMENT ? '…' : segment))
    .join('/');
}

/** Every character in its own form, also where it was encoded several times. */
function decoded(path: string): string {
  let text = path;
  for (let times = 0; times < MOST_DECODINGS && text.includes('%'); times++)
    text = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  return text;
}
