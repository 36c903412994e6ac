/** Help, made from the table of commands. */

import type { CommandSpec, OptionSpec } from "./command.ts";
import type { Output } from "./output.ts";
import { optionsOf, usageLine } from "./parse.ts";
import { padEnd, type Style, widthOf, wrap } from "./render/style.ts";
import { COMMANDS, GLOBAL_OPTIONS, GROUPS, visibleCommands } from "./table.ts";

const HELP_COLUMNS = 96;

/** `uml-lab help`: every command in one line, by what it is about. */
export function overview(style: Style): string {
  const commands = visibleCommands();
  const words = (command: CommandSpec) => usageLine(command).slice("uml-lab ".length);
  const short = (command: CommandSpec) => words(command).replace(" [options]", "");
  const width = Math.max(...commands.map((command) => widthOf(short(command))));
  const lines = [
    `${style.bold("uml-lab")}: virtual networks of real Linux kernels, without root`,
    "",
    `${style.bold("Usage:")} uml-lab COMMAND [options]`,
  ];
  const heading = new Map(GROUPS.map(([text, first]) => [first, text]));
  for (const command of commands) {
    const text = heading.get(command.name);
    if (text !== undefined) lines.push("", style.bold(text));
    lines.push(`  ${style.cyan(padEnd(short(command), width))}  ${command.summary}`);
  }
  lines.push("", style.bold("Options of every command"), ...optionLines(GLOBAL_OPTIONS, style));
  lines.push(
    "",
    style.bold("Exit status"),
    "  0 done, and everything expected held      3 this machine lacks something",
    "  1 something expected did not hold         4 a guest or the lab failed",
    "  2 the command or the file is wrong        130 interrupted, all stopped",
    "",
    style.bold("Begin with"),
    "  uml-lab up topologies/two-lans.yaml",
    "  uml-lab shell alice",
    "  uml-lab down",
    "",
  );
  return lines.join("\n");
}

/** `uml-lab help COMMAND`. */
export function commandHelp(command: CommandSpec, output: Output): string {
  const { style } = output;
  const columns = Math.min(output.columns(), HELP_COLUMNS);
  const lines = [
    wrap(`${style.bold(`uml-lab ${command.name}`)}: ${command.summary}`, columns),
    "",
    `${style.bold("Usage:")} ${usageLine(command)}`,
  ];
  for (const note of command.notes ?? []) lines.push("", wrap(note, columns));
  lines.push("", style.bold("Options"), ...optionLines(optionsOf(command), style));
  if (command.examples.length > 0) lines.push("", style.bold("Examples"));
  const width = Math.max(0, ...command.examples.map(([words]) => widthOf(words)));
  for (const [words, what] of command.examples) {
    const comment = what === "" ? "" : `  ${style.dim(`# ${what}`)}`;
    lines.push(`  ${style.cyan(what === "" ? words : padEnd(words, width))}${comment}`);
  }
  lines.push("");
  return lines.join("\n");
}

/** `uml-lab help link`: the commands of a group. */
export function groupHelp(group: string, style: Style): string {
  const members = COMMANDS.filter((command) => command.name.startsWith(`${group} `));
  const width = Math.max(...members.map((command) => widthOf(usageLine(command))));
  const line = (command: CommandSpec) =>
    `  ${style.cyan(padEnd(usageLine(command), width))}  ${command.summary}\n`;
  return members.map(line).join("");
}

const valueWord = ({ value, choices, several }: OptionSpec): string | undefined =>
  several ? value : (choices?.join("|") ?? value);

function optionLines(options: readonly OptionSpec[], style: Style): string[] {
  const words = (option: OptionSpec) =>
    `${option.short === undefined ? "    " : `-${option.short}, `}--${option.name}` +
    `${option.value === undefined ? "" : ` ${valueWord(option)}`}`;
  const width = Math.max(...options.map((option) => widthOf(words(option))));
  return options.map((option) => {
    return `  ${style.cyan(padEnd(words(option), width))}  ${option.summary}`;
  });
}
