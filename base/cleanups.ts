/**
 * A stack of clean-ups: what was acquired last is released first, every one runs, and what failed
 * is gathered instead of hiding the first error.
 *
 *     await using cleanups = new Cleanups();
 *     const fd = open(...);  cleanups.defer("close the RAM file", () => close(fd));
 */
export class Cleanups implements AsyncDisposable {
  readonly #stack: { readonly what: string; readonly run: () => void | PromiseLike<void> }[] = [];
  #disposing: Promise<void> | undefined;

  defer(what: string, run: () => void | PromiseLike<void>): void {
    this.#stack.push({ what, run });
  }

  /** Takes the clean-ups out of this stack, so that whoever holds the result owns them. */
  move(): Cleanups {
    const moved = new Cleanups();
    moved.#stack.push(...this.#stack.splice(0));
    return moved;
  }

  /** Runs all, last in first out. Twice is harmless. Throws an AggregateError of what failed. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= this.#run();
    return this.#disposing;
  }

  async #run(): Promise<void> {
    const failures: Error[] = [];
    for (let item = this.#stack.pop(); item !== undefined; item = this.#stack.pop()) {
      try {
        await item.run();
      } catch (cause) {
        failures.push(new Error(`could not ${item.what}`, { cause }));
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join("; "));
  }
}
