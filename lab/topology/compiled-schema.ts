/** What `compile-schema.ts` writes beside this file when the package is built. */

export const COMPILED_SCHEMA = "topology.schema.cjs";

/** Called with a function that knows the texts of each kind as `this`; true: the data is right. */
export interface CompiledSchema {
  (this: (kind: string, text: string) => boolean, data: unknown): boolean;
  /** The text it was made from. */
  readonly schema: string;
}
