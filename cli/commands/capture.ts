/** `capture LINK|GUEST:ethN|--all`: frames to a file or to standard output, as pcapng. */

import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LabError } from "../../base/errors.ts";
import { parseBytes, parseDurationNs } from "../../base/units.ts";
import type { CaptureRequest, RunningLab } from "../../lab/api.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult, say } from "../context.ts";
import { countOption, parseCount, parsedOption } from "../option-values.ts";
import { findLab } from "../targets.ts";

/** How often it is looked whether the capture is still there. */
const LOOK_MS = 500;

export async function run(context: Context, words: Words): Promise<number> {
  const request = requestOf(words, context);
  const forNs = parsedOption(words, "for", parseDurationNs, "for instance `30s`");
  await using lab = await findLab(context, optionValue(words, "lab"));
  context.cleansUpWhenInterrupted();
  const { capture, path } = await lab.startCapture(request);
  const over = new AbortController();
  const signals = [context.signal, over.signal];
  if (forNs !== undefined) signals.push(AbortSignal.timeout(Math.ceil(forNs / 1e6)));
  const until = AbortSignal.any(signals);
  const streamed =
    request.file === null
      ? passOn(context, path).finally(() => over.abort())
      : say(context, `recording to ${path}${forNs === undefined ? "; Ctrl-C ends it" : ""}`);
  streamed.catch(() => {});
  const wasThere = await untilOver(lab, capture, until);
  const counters = await lab.stopCapture(capture);
  await streamed;
  const text =
    counters === null
      ? "the capture ended early: nobody read it any more, or it could not be written"
      : `${counters.recorded} frames recorded, ${counters.missed} missed`;
  if (request.file === null) await say(context, text);
  else await printResult(context, { ...counters, file: path }, () => `${text}\n`);
  return wasThere || request.file === null ? 0 : 4;
}

function requestOf(words: Words, context: Context): CaptureRequest {
  const [what] = words.args;
  const all = words.options.all === true;
  if (all === (what !== undefined)) {
    throw new LabError("USAGE", "name a link or GUEST:ethN, or say --all");
  }
  const write = optionValue(words, "write");
  if (write === undefined && (context.stdout.isTerminal || context.format === "json")) {
    throw new LabError("USAGE", "a capture is no text for a terminal", {
      hint: "say -w FILE, or pipe it: uml-lab capture … | wireshark -k -i -",
    });
  }
  const file = write === undefined || write === "-" ? null : resolve(write);
  const filter = optionValue(words, "filter");
  const snapLength = countOption(words, "snaplen");
  const rotateBytes = parsedOption(
    words,
    "rotate",
    (text) => parseBytes(text) ?? parseCount(text),
    "for instance `100M`",
  );
  const keepFiles = countOption(words, "keep");
  if (file === null && rotateBytes !== undefined) {
    throw new LabError("USAGE", "--rotate needs -w FILE");
  }
  return {
    of: all
      ? { kind: "all" }
      : /^[^:]+:eth\d+$/.test(what as string)
        ? { kind: "nic", nic: what as string }
        : { kind: "link", link: what as string },
    file,
    ...(filter === undefined ? {} : { filter }),
    ...(snapLength === undefined ? {} : { snapLength }),
    ...(rotateBytes === undefined ? {} : { rotateBytes }),
    ...(keepFiles === undefined ? {} : { keepFiles }),
  };
}

async function passOn(context: Context, path: string): Promise<void> {
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    await context.stdout.write(chunk);
  }
}

/** False where the capture ended by itself. */
async function untilOver(lab: RunningLab, capture: string, until: AbortSignal): Promise<boolean> {
  for (;;) {
    await sleep(LOOK_MS, undefined, { signal: until }).catch(() => {});
    if (until.aborted) return true;
    const { counters } = await lab.status();
    if (counters.captures?.some((one) => one.capture === capture) !== true) return false;
  }
}
