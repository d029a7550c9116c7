/**
 * Whose metadata documents count, as the operator lists it (CLIENT_DOCUMENTS): hosts, `*.` before one for those below it,
 * `any` for all, and with `!` before it one whose documents never do. With nothing but those, all others do.
 */
export class DocumentHosts {
  readonly #taken: readonly string[];
  readonly #refused: readonly string[];

  constructor(entries: readonly string[]) {
    this.#refused = entries.filter((entry) => entry.startsWith('!')).map((one) => one.slice(1));
    const taken = entries.filter((entry) => !entry.startsWith('!'));
    this.#taken = taken.length === 0 && entries.length > 0 ? ['any'] : taken;
  }

  permits(host: string): boolean {
    const name = host.toLowerCase().replace(/\.$/, '');
    const isOne = (entry: string) =>
      entry === 'any' ||
      entry === name ||
      (entry.startsWith('*.') && name.endsWith(entry.slice(1)));
    return this.#taken.some(isOne) && !this.#refused.some(isOne);
  }
}
