/** Work that several ask for at once, and that is done once for all of them. */
export class SingleFlight<Value> {
  readonly #work: () => Promise<Value>;
  #pending: Promise<Value> | undefined;

  constructor(work: () => Promise<Value>) {
    this.#work = work;
  }

  run(): Promise<Value> {
    this.#pending ??= this.#work().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }
}
