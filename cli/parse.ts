/**
 * Words to a command, by the table. Node's own `parseArgs` splits them; what is unknown, missing or
 * too much is an error with status 2 that says what to write instead.
 *
 * Options may stand anywhere before `--`, but for commands that run another command line (`exec`):
 * there the first word of that line ends them.
 */

import { parseArgs } from "node:util";
import { LabError } from "../base/errors.ts";
import { closest } from "../base/similar.ts";
import type { CommandSpec, OptionSpec, Words } from "./command.ts";
import { COMMANDS, findCommand, GLOBAL_OPTIONS, visibleCommands } from "./table.ts";

export interface Call {
  readonly command: CommandSpec;
  readonly words: Words;
}

/** The options of a command: its own, and the global ones that it does not define itself. */
export function optionsOf(command: CommandSpec): readonly OptionSpec[] {
  const own = new Set(command.options.map((option) => option.name));
  return [...command.options, ...GLOBAL_OPTIONS.filter((option) => !own.has(option.name))];
}

/** Where the command's name stands among the words, and which command it is. */
function findName(argv: readonly string[]): { command: CommandSpec; at: number; length: number } {
  // Global options may come first: `uml-lab --format json ps`.
  let at = 0;
  while (at < argv.length && (argv[at] as string).startsWith("-")) {
    const word = argv[at] as string;
    if (word === "--") break;
    at += word === "--format" ? 2 : 1;
  }
  const first = argv[at];
  if (first === undefined) throw usage("no command was given", "uml-lab help lists them");
  const two = findCommand(`${first} ${argv[at + 1] ?? ""}`);
  if (two !== undefined) return { command: two, at, length: 2 };
  const one = findCommand(first);
  if (one !== undefined) return { command: one, at, length: 1 };
  throw unknownCommand(first, argv[at + 1]);
}

function unknownCommand(first: string, second: string | undefined): LabError {
  const group = visibleCommands().filter((command) => command.name.startsWith(`${first} `));
  if (group.length > 0) {
    const known = group.map((command) => command.name.slice(first.length + 1));
    const guess = second === undefined ? undefined : closest(second, known);
    const message =
      second === undefined || second.startsWith("-")
        ? `\`${first}\` needs one more word`
        : `unknown command \`${first} ${second}\``;
    return usage(
      message,
      guess === undefined
        ? `it is one of: ${known.map((word) => `uml-lab ${first} ${word}`).join(", ")}`
        : `did you mean \`uml-lab ${first} ${guess}\`?`,
    );
  }
  const words = new Set(visibleCommands().flatMap((command) => command.name.split(" ")[0] ?? []));
  const guess = closest(first, words);
  return usage(
    `unknown command \`${first}\``,
    guess === undefined ? "uml-lab help lists the commands" : `did you mean \`uml-lab ${guess}\`?`,
  );
}

function usage(message: string, hint: string): LabError {
  return new LabError("USAGE", message, { hint });
}

/** Throws LabError USAGE. `argv` is without node and the script. */
export function parseWords(argv: readonly string[]): Call {
  const { command, at, length } = findName(argv);
  const words = [...argv.slice(0, at), ...argv.slice(at + length)];
  const options = optionsOf(command);
  const { head, tail } = split(command, options, words);
  const { tokens } = parseArgs({
    args: head,
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      options.map((option) => [
        option.name,
        {
          type: option.value === undefined ? ("boolean" as const) : ("string" as const),
          ...(option.short === undefined ? {} : { short: option.short }),
        },
      ]),
    ),
  });
  const args: string[] = [];
  const given: Record<string, string | true> = {};
  const repeated: Record<string, string[]> = {};
  for (const token of tokens) {
    if (token.kind === "positional") args.push(token.value);
    if (token.kind !== "option") continue;
    const option = options.find((known) => known.name === token.name);
    if (option === undefined) throw unknownOption(command, options, token.rawName);
    // A forgotten value would swallow the next option: `--junit --html x`.
    const swallowed = token.inlineValue === false && /^--[a-z]/.test(token.value);
    const value = swallowed ? undefined : token.value;
    const checked = checkedValue(command, option, token.rawName, value);
    given[option.name] = checked;
    if (typeof checked === "string") {
      repeated[option.name] = [...(repeated[option.name] ?? []), checked];
    }
  }
  args.push(...tail);
  if (given.help !== true) checkArguments(command, args);
  return { command, words: { args, options: given, repeated } };
}

/** For a command that runs another: the words up to its own last argument, and the other's. */
function split(
  command: CommandSpec,
  options: readonly OptionSpec[],
  words: readonly string[],
): { head: string[]; tail: readonly string[] } {
  if (command.passThrough !== true) return { head: [...words], tail: [] };
  const before = command.arguments.length - 1;
  let positionals = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === "--") return { head: words.slice(0, i), tail: words.slice(i + 1) };
    if (!word.startsWith("-") || word === "-") {
      if (positionals === before) return { head: words.slice(0, i), tail: words.slice(i) };
      positionals++;
      continue;
    }
    const takesNext = options.some(
      (option) =>
        option.value !== undefined && (word === `--${option.name}` || word === `-${option.short}`),
    );
    if (takesNext) i++;
  }
  return { head: [...words], tail: [] };
}

function unknownOption(
  command: CommandSpec,
  options: readonly OptionSpec[],
  rawName: string,
): LabError {
  const guess = closest(
    rawName.replace(/^-+/, ""),
    options.map((option) => option.name),
  );
  return usage(
    `\`uml-lab ${command.name}\` has no option ${rawName}`,
    guess === undefined
      ? `uml-lab help ${command.name} lists its options`
      : `did you mean --${guess}?`,
  );
}

function checkedValue(
  command: CommandSpec,
  option: OptionSpec,
  rawName: string,
  value: string | undefined,
): string | true {
  if (option.value === undefined) {
    if (value === undefined) return true;
    throw usage(`${rawName} takes no value`, `uml-lab help ${command.name} lists the options`);
  }
  if (value === undefined) {
    throw usage(`${rawName} needs a value`, `write ${rawName} ${option.value}`);
  }
  const { choices } = option;
  const words = option.several ? value.split(",") : [value];
  const wrong = words.find((word) => choices?.includes(word) === false);
  if (choices !== undefined && wrong !== undefined) {
    const guess = closest(wrong, choices);
    throw usage(
      `${rawName} ${wrong}: there is no such choice`,
      guess === undefined
        ? `it is one of: ${choices.join(", ")}`
        : `did you mean \`${rawName} ${guess}\`?`,
    );
  }
  return value;
}

function checkArguments(command: CommandSpec, args: readonly string[]): void {
  const missing = command.arguments.find(
    (argument, i) => args[i] === undefined && argument.optional !== true,
  );
  if (missing !== undefined) {
    const example = command.examples[0]?.[0];
    throw usage(
      `\`uml-lab ${command.name}\` needs ${missing.name}`,
      example === undefined ? `uml-lab help ${command.name}` : `for example: ${example}`,
    );
  }
  const most = command.arguments.at(-1)?.many === true ? Infinity : command.arguments.length;
  if (args.length > most) {
    throw usage(
      `\`uml-lab ${command.name}\` does not know what to do with \`${args[most]}\``,
      `write: ${usageLine(command)}`,
    );
  }
}

/** `uml-lab exec [options] GUEST -- CMD…` */
export function usageLine(command: CommandSpec): string {
  const words = command.arguments.map((argument, i) => {
    const name = `${argument.name}${argument.many === true ? "…" : ""}`;
    const dashes = command.passThrough === true && i === command.arguments.length - 1 ? "-- " : "";
    return argument.optional === true ? `[${name}]` : `${dashes}${name}`;
  });
  const options = command.options.length > 0 ? ["[options]"] : [];
  return ["uml-lab", command.name, ...options, ...words].join(" ");
}

/** The first words that begin a command of two. */
export const groupNames = (): ReadonlySet<string> =>
  new Set(
    COMMANDS.flatMap((command) => (command.name.includes(" ") ? command.name.split(" ")[0]! : [])),
  );
