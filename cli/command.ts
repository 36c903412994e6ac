/**
 * What a command is. The table of all of them (`table.ts`) is data: the parser, the help, the
 * completion and the documentation are made from it; `loaders.ts` finds a command's code.
 */

import type { Context } from "./context.ts";

/** What an argument names; completion offers the names that there are. */
export type ArgumentKind = "topology" | "lab" | "guest" | "link" | "file" | "text";

export interface ArgumentSpec {
  /** As the help shows it: `FILE`, `LAB`, `GUEST`. */
  readonly name: string;
  readonly kind: ArgumentKind;
  readonly optional?: true;
  /** Takes all that follow; only the last argument can. */
  readonly many?: true;
}

export interface OptionSpec {
  /** Without dashes: `format`. */
  readonly name: string;
  readonly short?: string;
  /** What its value is called (`FILE`); absent for a switch. */
  readonly value?: string;
  readonly kind?: ArgumentKind;
  readonly choices?: readonly string[];
  /** Takes more than one of its choices, with commas between. */
  readonly several?: true;
  readonly summary: string;
}

export interface CommandSpec {
  /** One word, or two for a group: `up`, `link set`. */
  readonly name: string;
  readonly summary: string;
  readonly arguments: readonly ArgumentSpec[];
  readonly options: readonly OptionSpec[];
  /** More than the summary says; paragraphs for the command's help. */
  readonly notes?: readonly string[];
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** The last argument is a command line of its own: no word in it is an option of ours. */
  readonly passThrough?: true;
  /** Left out of help and completion. */
  readonly hidden?: true;
}

/** The words of one call, checked against its spec. */
export interface Words {
  readonly args: readonly string[];
  /** A switch is `true`; an option that was not given is absent. */
  readonly options: Readonly<Record<string, string | true | undefined>>;
  /** Every value of an option that was given more than once, in order. */
  readonly repeated: Readonly<Record<string, readonly string[] | undefined>>;
}

/** Answers the exit status. Throws LabError for what a person can mend. */
export type RunCommand = (context: Context, words: Words) => Promise<number>;

/** The value of an option that takes one. */
export function optionValue(words: Words, option: string): string | undefined {
  const value = words.options[option];
  return typeof value === "string" ? value : undefined;
}
