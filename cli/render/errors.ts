/**
 * Errors as text and as JSON.
 *
 *     error: unknown switch `lna1`
 *       --> lab.yaml:12:20
 *        |
 *     12 |   - [alice, lna1]
 *        |             ^^^^
 *        = did you mean `lan1`?
 *
 * What is not a LabError is our own bug: a short apology, and the stack, because whoever mends it
 * needs it.
 */

import { isAbsolute, relative } from "node:path";
import { LabError, LabErrors } from "../../base/errors.ts";
import { count, type Style } from "./style.ts";

export interface ErrorRendering {
  readonly style: Style;
  /** Files are shown relative to it where they stand below. */
  readonly cwd: string;
  /** UML_LAB_DEBUG: stacks and causes for a user's errors too. */
  readonly debug: boolean;
}

/** Our own bug: the nearest status of the contract, a failure while running. */
const BUG_STATUS = 4;

export function statusOf(error: unknown): number {
  return error instanceof LabError ? error.exitStatus : BUG_STATUS;
}

export function errorText(error: unknown, rendering: ErrorRendering): string {
  if (error instanceof LabErrors) {
    const parts = error.errors.map((one) => oneError(one, rendering));
    const total = error.errors.length;
    if (total > 1)
      parts.push(`${rendering.style.bold(count(total, "error"))}; nothing was started\n`);
    return parts.join("\n");
  }
  if (error instanceof LabError) return oneError(error, rendering);
  const { style } = rendering;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return (
    `${style.red(style.bold("uml-lab has a bug"))}, and it is ours: sorry. ` +
    `Please report it with the lines below.\n\n${stack}${causes(error)}\n`
  );
}

function oneError(error: LabError, { style, cwd, debug }: ErrorRendering): string {
  const lines = [`${style.red(style.bold("error:"))} ${style.bold(error.message)}`];
  const gutter = " ".repeat(error.at === undefined ? 2 : String(error.at.line).length + 1);
  const bar = style.cyan("|");
  if (error.at !== undefined) {
    const { file, line, column } = error.at;
    lines.push(`${gutter.slice(1)}${style.cyan("-->")} ${shorten(file, cwd)}:${line}:${column}`);
    if (error.excerpt !== undefined) {
      const [source = "", caret = ""] = error.excerpt.split("\n");
      lines.push(`${gutter}${bar}`);
      lines.push(`${style.cyan(String(line))} ${bar} ${source}`);
      lines.push(`${gutter}${bar} ${style.red(caret)}`);
    }
  }
  if (error.hint !== undefined) {
    lines.push(
      ...error.hint.split("\n").map((part, i) => {
        return `${gutter}${i === 0 ? style.cyan("=") : " "} ${part}`;
      }),
    );
  }
  if (debug) lines.push(style.dim(`${error.stack ?? ""}${causes(error)}`));
  return `${lines.join("\n")}\n`;
}

function causes(error: unknown): string {
  let text = "";
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; cause !== undefined && depth < 5; depth++) {
    text += `\ncaused by: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return text;
}

export function shorten(file: string, cwd: string): string {
  if (!isAbsolute(file)) return file;
  const short = relative(cwd, file);
  return short === "" || short.startsWith("..") ? file : short;
}

interface ErrorObject {
  readonly code: string;
  readonly message: string;
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly hint: string | null;
}

function errorObject(error: unknown): ErrorObject {
  const lab = error instanceof LabError ? error : undefined;
  return {
    code: lab?.code ?? "BUG",
    message: error instanceof Error ? error.message : String(error),
    file: lab?.at?.file ?? null,
    line: lab?.at?.line ?? null,
    column: lab?.at?.column ?? null,
    hint: lab?.hint ?? null,
  };
}

/** The error document of `--format json`; `errors` holds every error of a topology file. */
export function errorJson(error: unknown): string {
  const errors = error instanceof LabErrors ? error.errors : [error];
  const document = { error: { ...errorObject(error), errors: errors.map(errorObject) } };
  return `${JSON.stringify(document, null, 2)}\n`;
}
