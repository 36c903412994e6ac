/** `exec GUEST -- CMD…`: a command in a guest, as if it ran here. */

import { LabError } from "../../base/errors.ts";
import type { ExecRequest, GuestProcess } from "../../kernel/guest/spec.ts";
import { attachPlain, attachTerminal, statusOfExit, terminalOf, textOf } from "../attach.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findGuest } from "../targets.ts";

const LEFT_STATUS = 130;

export async function run(context: Context, words: Words): Promise<number> {
  const tty = words.options.tty === true;
  if (tty && context.format === "json") {
    throw new LabError("USAGE", "-t and --format json do not go together", {
      hint: "a terminal's output is not a document; leave one of them out",
    });
  }
  const cwd = optionValue(words, "cwd");
  const request: ExecRequest = {
    command: words.args.slice(1),
    env: environment(words.repeated.env ?? []),
    ...(cwd === undefined ? {} : { cwd }),
    ...(tty ? { terminal: terminalOf(context) } : {}),
  };
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  const process = lab.exec(guest, request);
  if (context.format === "json") return await gather(context, guest, request, process);
  if (!tty) return await attachPlain(context, process);
  const ending = await attachTerminal(context, process);
  return ending.left ? LEFT_STATUS : ending.code;
}

function environment(assignments: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    assignments.map((assignment) => {
      const equals = assignment.indexOf("=");
      if (equals > 0) return [assignment.slice(0, equals), assignment.slice(equals + 1)];
      throw new LabError("USAGE", `-e ${assignment}: this is not NAME=VALUE`, {
        hint: `write -e ${assignment || "NAME"}=VALUE`,
      });
    }),
  );
}

async function gather(
  context: Context,
  guest: string,
  request: ExecRequest,
  process: GuestProcess,
): Promise<number> {
  process.stdin.on("error", () => {});
  if (context.stdin.isTTY) process.stdin.end();
  else context.stdin.pipe(process.stdin);
  const [stdout, stderr, exit] = await Promise.all([
    textOf(process.stdout),
    textOf(process.stderr),
    process.exit,
  ]);
  const status = statusOfExit(exit);
  const { command } = request;
  await printResult(context, { guest, command, exit: status, stdout, stderr }, () => "");
  return status;
}
