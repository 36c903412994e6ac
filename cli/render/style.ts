/** Colours and marks. Every mark reads without its colour. */

import { stripVTControlCharacters } from "node:util";

export interface Marks {
  readonly good: string;
  readonly bad: string;
  readonly warn: string;
  readonly isolated: string;
  readonly leak: string;
  readonly open: string;
  readonly none: string;
  readonly self: string;
  readonly arrow: string;
  readonly bullet: string;
  readonly rule: string;
  readonly dash: string;
  readonly times: string;
  readonly bar: readonly [full: string, empty: string];
  /** From nothing to full. */
  readonly levels: readonly string[];
  readonly spinner: readonly string[];
  readonly guest: Readonly<Record<string, string>>;
  /** Of a drawn way. */
  readonly hop: { readonly guest: string; readonly switch: string; readonly link: string };
  readonly micro: string;
}

const UNICODE: Marks = {
  good: "✔",
  bad: "✘",
  warn: "▲",
  isolated: "⊘",
  leak: "!",
  open: "○",
  none: "–",
  self: "·",
  arrow: "→",
  bullet: "·",
  rule: "─",
  dash: "—",
  times: "×",
  bar: ["█", "░"],
  levels: ["·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
  spinner: ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
  guest: {
    waiting: "·",
    starting: "○",
    agent: "◔",
    setup: "◑",
    ready: "●",
    paused: "‖",
    debugged: "◆",
    stopped: "□",
    failed: "✘",
  },
  hop: { guest: "●", switch: "◆", link: "│" },
  micro: "µ",
};

const ASCII: Marks = {
  good: "+",
  bad: "X",
  warn: "!",
  isolated: "/",
  leak: "!",
  open: "o",
  none: "-",
  self: ".",
  arrow: "->",
  bullet: "-",
  rule: "-",
  dash: "-",
  times: "x",
  bar: ["#", "."],
  levels: [".", "-", "=", "#"],
  spinner: ["|", "/", "-", "\\"],
  guest: {
    waiting: ".",
    starting: "o",
    agent: "c",
    setup: "d",
    ready: "*",
    paused: "=",
    debugged: "#",
    stopped: "_",
    failed: "X",
  },
  hop: { guest: "o", switch: "#", link: "|" },
  micro: "u",
};

export interface Style {
  readonly color: boolean;
  readonly marks: Marks;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
  /** For what must be seen from the last row: white on red, white on green. */
  onRed(text: string): string;
  onGreen(text: string): string;
}

export function makeStyle({ color, ascii }: { color: boolean; ascii: boolean }): Style {
  const sgr = (on: string, off: string) => (text: string) =>
    color && text !== "" ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  return {
    color,
    marks: ascii ? ASCII : UNICODE,
    bold: sgr("1", "22"),
    dim: sgr("2", "22"),
    red: sgr("31", "39"),
    green: sgr("32", "39"),
    yellow: sgr("33", "39"),
    cyan: sgr("36", "39"),
    onRed: sgr("1;97;41", "22;39;49"),
    onGreen: sgr("1;97;42", "22;39;49"),
  };
}

/** Columns that a text takes; every mark of ours is one column wide. */
export const widthOf = (text: string): number => [...stripVTControlCharacters(text)].length;

export const padEnd = (text: string, width: number): string =>
  text + " ".repeat(Math.max(0, width - widthOf(text)));

export const padStart = (text: string, width: number): string =>
  " ".repeat(Math.max(0, width - widthOf(text))) + text;

export function center(text: string, width: number): string {
  const left = Math.floor(Math.max(0, width - widthOf(text)) / 2);
  return padEnd(" ".repeat(left) + text, width);
}

/** Cuts to a width, keeping colours closed; the last column becomes `…`. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return "";
  let out = "";
  let columns = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is matched
  for (const part of text.split(/(\x1b\[[0-9;]*m)/)) {
    if (part.startsWith("\x1b")) {
      out += part;
      continue;
    }
    for (const character of part) {
      if (columns < width - 1) out += character;
      columns++;
    }
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
  return /\x1b\[/.test(out) ? `${out}\x1b[0m…` : `${out}…`;
}

/** Words to lines of at most `width` columns, each after `indent`. */
export function wrap(text: string, width: number, indent = ""): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && widthOf(indent) + widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(indent + line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, indent + line].join("\n");
}

export { count } from "../../base/units.ts";
