/** `trace GUEST`: what a guest's kernel tells of packets while they cross it. */

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { LabError } from "../../base/errors.ts";
import type { GuestProcess } from "../../kernel/guest/spec.ts";
import { eventsFor, TRACE_KINDS, type TraceKind } from "../../kernel/guest/trace/events.ts";
import { parseTraceLine } from "../../kernel/guest/trace/line.ts";
import { PacketStory, type TraceEvent } from "../../kernel/guest/trace/packets.ts";
import { NO_EVENT, READY, TRACEFS, traceScript, WITHOUT } from "../../kernel/guest/trace/script.ts";
import type { RunningLab } from "../../lab/api.ts";
import { textOf } from "../attach.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, say } from "../context.ts";
import { countOption } from "../option-values.ts";
import { traceLine } from "../render/trace.ts";
import { findGuest } from "../targets.ts";

const SIGTERM = 15;
const NO_SUCH_PROGRAM = 127;
/** How long a guest may take to end what was begun in it. */
const LAST_WORDS_MS = 3_000;

export async function run(context: Context, words: Words): Promise<number> {
  const kinds = kindsOf(optionValue(words, "only"));
  const most = countOption(words, "count") ?? Number.POSITIVE_INFINITY;
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  context.cleansUpWhenInterrupted();
  const script = traceScript(eventsFor(kinds));
  const tracer = lab.exec(guest, { command: ["sh", "-c", script] });
  tracer.stdin.on("error", () => {});
  tracer.stdin.end();
  const errors = textOf(tracer.stderr);
  const end = () => tracer.kill(SIGTERM);
  const { signal } = context;
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  try {
    const trace = (async () => {
      const enough = await show(context, tracer, { guest, kinds, most });
      end();
      const { code } = await tracer.exit;
      if (enough === true || signal.aborted) return 0;
      const missing = enough ?? (code === NO_SUCH_PROGRAM ? "sh" : undefined);
      throw missing === undefined
        ? new LabError("GUEST_FAILED", `the trace of ${guest} ended: ${(await errors).trim()}`)
        : await whatIsMissing(lab, guest, missing);
    })();
    return await Promise.race([trace, longAfter(signal)]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** Where a guest hangs, who interrupts doesn't wait for it: the supervisor ends the trace when it can. */
async function longAfter(signal: AbortSignal): Promise<number> {
  if (!signal.aborted) await once(signal, "abort");
  await sleep(LAST_WORDS_MS, undefined, { ref: false });
  return 0;
}

/** Checked against the choices in the table. */
function kindsOf(list: string | undefined): ReadonlySet<TraceKind> {
  const words = list?.split(",");
  return new Set(TRACE_KINDS.filter((kind) => words === undefined || words.includes(kind)));
}

interface Wanted {
  readonly guest: string;
  readonly kinds: ReadonlySet<TraceKind>;
  readonly most: number;
}

/** Resolves with true when enough was shown, with what is missing, or undefined when the trace is over. */
async function show(
  context: Context,
  tracer: GuestProcess,
  { guest, kinds, most }: Wanted,
): Promise<true | string | undefined> {
  const { stdout, format } = context;
  const story = new PacketStory();
  let shown = 0;
  for await (const line of linesOf(tracer.stdout)) {
    if (context.signal.aborted) return undefined;
    if (line.startsWith(WITHOUT)) return line.slice(WITHOUT.length);
    if (line.startsWith(NO_EVENT)) {
      await say(context, `${guest}'s kernel has no event ${line.slice(NO_EVENT.length)}`);
      continue;
    }
    if (line === READY) {
      await say(context, `tracing ${guest}; Ctrl-C ends it`);
      continue;
    }
    const parsed = parseTraceLine(line);
    const event = parsed && story.tell(parsed);
    if (event === undefined || !isWanted(event, kinds)) continue;
    await stdout.write(
      `${format === "json" ? JSON.stringify(event) : traceLine(event, stdout.style)}\n`,
    );
    shown++;
    if (shown >= most) return true;
  }
  return undefined;
}

async function* linesOf(stream: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

const isWanted = ({ kind }: TraceEvent, kinds: ReadonlySet<TraceKind>): boolean =>
  kind === "lost" || kinds.has(kind);

async function whatIsMissing(lab: RunningLab, guest: string, what: string): Promise<LabError> {
  const { guests } = await lab.status();
  const { kernel, image } = guests.find(({ name }) => name === guest) ?? {};
  if (what === TRACEFS) {
    return new LabError("NO_KERNEL", `the kernel of ${guest} (${kernel}) has no trace events`, {
      hint: "make one that has them, once: uml-lab kernel build --debug; labs that start from then on have it",
    });
  }
  return new LabError("NO_TOOL", `${guest} can't be traced without ${what} (image ${image})`, {
    hint: "trace needs a shell, mount, umount, mkdir, rmdir, cat and grep, and root: the image `base` has all",
  });
}
