/**
 * A line of trace_pipe, as the kernel prints it, to its parts. Pure; what a guest prints is hostile.
 *
 *                  ping-63      [000]    12.345678: net_dev_queue: dev=eth0 skbaddr=00000000c3a1 len=98
 *     CPU:0 [LOST 12 EVENTS]
 */

export interface KernelEvent {
  /** Of the guest's clock since its boot. */
  readonly timeUs: number;
  /** In whose time it happened, which need not be who it is for. */
  readonly task: string;
  readonly name: string;
  readonly text: string;
}

export interface LostEvents {
  readonly lost: number;
}

/** linux: kernel/trace/trace_output.c, trace_print_context: `%16s-%-7d`, `[%03d]`, flags or none, time */
const LINE = /^(.{16})-\d+ +\[\d+\] +(?:\S{4,6} +)?(\d+)\.(\d{6}): (\w+): (.*)$/;
const LOST = /^CPU:\d+ \[LOST (\d+) EVENTS\]$/;

/** Undefined where a line is neither. */
export function parseTraceLine(line: string): KernelEvent | LostEvents | undefined {
  const [, task, seconds, micros, name, text] = LINE.exec(line) ?? [];
  if (name !== undefined) {
    return {
      timeUs: Number(seconds) * 1e6 + Number(micros),
      task: printable((task as string).trim()),
      name,
      text: printable(text as string),
    };
  }
  const lost = LOST.exec(line)?.[1];
  return lost === undefined ? undefined : { lost: Number(lost) };
}

/** `dev=eth0 len=98` as a map. */
export function fieldsOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/(\w+)=([^\s,]+)/g)].map(([, key, value]) => [
      key as string,
      value as string,
    ]),
  );
}

/** A guest's words must not move the cursor of the terminal they are shown on. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}
