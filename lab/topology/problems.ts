/** Gathers the errors of one topology file; one mistake is one error. */

import { type ErrorCode, LabError, LabErrors } from "../../base/errors.ts";
import type { Source, Span } from "./source.ts";

export class Problems {
  readonly #source: Source;
  readonly #errors = new Map<string, { readonly start: number; readonly error: LabError }>();

  constructor(source: Source) {
    this.#source = source;
  }

  /** The first error at a place wins: a range or `defaults` would else repeat it for every guest. */
  add(code: ErrorCode, span: Span, message: string, hint?: string): void {
    const key = `${span.start}:${code}`;
    if (this.#errors.has(key)) return;
    this.#errors.set(key, { start: span.start, error: this.make(code, span, message, hint) });
  }

  make(code: ErrorCode, span: Span, message: string, hint?: string): LabError {
    return new LabError(code, message, {
      ...(hint === undefined ? {} : { hint }),
      at: this.#source.position(span.start),
      excerpt: this.#source.excerpt(span),
    });
  }

  get any(): boolean {
    return this.#errors.size > 0;
  }

  /** What was gathered, in the order of the file. At least one there must be. */
  all(): LabErrors {
    const sorted = [...this.#errors.values()].sort((a, b) => a.start - b.start);
    return new LabErrors(sorted.map(({ error }) => error));
  }

  throwIfAny(): void {
    if (this.any) throw this.all();
  }
}
