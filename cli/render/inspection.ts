/** A guest from inside and outside: its host processes with what they run, memory, devices. */

import { formatMemory } from "../../base/units.ts";
import type { Inspection } from "../../lab/api.ts";
import { stateMark } from "./status.ts";
import { count, cutTo, type Style, wrap } from "./style.ts";
import { table } from "./table.ts";

export interface InspectionView {
  readonly columns: number;
  readonly style: Style;
  /** Kernel threads as well. */
  readonly verbose: boolean;
}

const INTERCEPTION = {
  seccomp:
    "seccomp: a filter in the process stops each system call, and its kernel is told by a signal handler",
  ptrace: "ptrace: the kernel is the debugger of its processes and stops them at each system call",
};

export function inspectionText(inspection: Inspection, view: InspectionView): string {
  const { style } = view;
  const { guest, state, kernel } = inspection;
  const parts = [
    `${stateMark(state, style)} ${style.bold(guest)}  ${style.dim(`${state}, Linux ${kernel.release} (${kernel.id})`)}\n`,
    factsText(inspection, view),
    hostTable(inspection, view),
    guestTable(inspection, view),
    deviceTables(inspection, style),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function factsText({ interception, memory }: Inspection, { columns, style }: InspectionView) {
  const calls =
    interception === null
      ? "no process is there whose calls are caught"
      : INTERCEPTION[interception];
  const bytes = (value: number | null) => (value === null ? style.marks.none : formatMemory(value));
  const ram =
    `${bytes(memory.ramBytes)}, of which the host holds ${bytes(memory.ramResidentBytes)}` +
    (memory.guestTotalBytes === null
      ? ""
      : `; its kernel manages ${bytes(memory.guestTotalBytes)} and has ${bytes(memory.guestFreeBytes)} free`);
  return [
    ["system calls", calls],
    ["RAM", ram],
  ]
    .map(([what, text]) => {
      const label = `${style.bold(what as string)}  `;
      const indent = " ".repeat((what as string).length + 2);
      return `${label}${wrap(text as string, columns, indent).trimStart()}\n`;
    })
    .join("");
}

/** Each host process, and after it the guest processes that live in it. */
function hostTable(inspection: Inspection, { columns, style }: InspectionView): string {
  const guests = new Map(inspection.guestProcesses?.map((one) => [one.pid, one]));
  const rows = inspection.hostProcesses.map((host) => [
    String(host.pid),
    host.pidInside === null ? style.marks.none : String(host.pidInside),
    host.threads === 1 ? host.role : `${host.role}, ${count(host.threads, "thread")}`,
    host.runs.map((pid) => `${pid} ${guests.get(pid)?.name ?? ""}`).join(", "),
    host.state,
    formatMemory(host.residentBytes),
    `${host.cpuSeconds.toFixed(1)} s`,
    host.waitsIn ?? style.marks.none,
  ]);
  const text = table(
    [
      { heading: "host pid", align: "right" },
      { heading: "inside", align: "right" },
      { heading: "role" },
      { heading: "runs guest process" },
      { heading: "" },
      { heading: "resident", align: "right" },
      { heading: "cpu", align: "right" },
      { heading: "waits in" },
    ],
    rows,
    style,
  );
  return cutLines(text, columns);
}

function guestTable(inspection: Inspection, { columns, style, verbose }: InspectionView): string {
  const { guestProcesses, notAsked } = inspection;
  if (guestProcesses === null) {
    return `${style.yellow(style.marks.warn)} its own process table is not known: ${notAsked}\n`;
  }
  const shown = guestProcesses.filter(({ kernelThread }) => verbose || !kernelThread);
  const hidden = guestProcesses.length - shown.length;
  const text = table(
    [
      { heading: "guest pid", align: "right" },
      { heading: "parent", align: "right" },
      { heading: "" },
      { heading: "host pid", align: "right" },
      { heading: "command" },
    ],
    shown.map((one) => [
      String(one.pid),
      String(one.parent),
      one.state,
      one.kernelThread ? "kernel" : one.hostPid === null ? style.marks.none : String(one.hostPid),
      one.command,
    ]),
    style,
  );
  const more =
    hidden === 0
      ? ""
      : style.dim(`and ${count(hidden, "kernel thread")}, which run in the kernel (--verbose)\n`);
  return cutLines(text, columns) + more;
}

function deviceTables({ consoles, blocks, nics }: Inspection, style: Style): string {
  const headings = (...names: string[]) => names.map((heading) => ({ heading }));
  return [
    table(
      headings("NIC", "mac", "queues", "cable", "to"),
      nics.map(({ name, mac, connected, link }) => [
        name,
        mac,
        connected ? "handed over" : "not handed over",
        link === null ? "none" : `${link.name}${link.up ? "" : " (pulled)"}`,
        link?.to ?? "",
      ]),
      style,
    ),
    table(
      headings("disk", "", "purpose", "file"),
      blocks.map(({ name, readOnly, file, purpose }) => [
        name,
        readOnly ? "read-only" : "writable",
        purpose,
        file,
      ]),
      style,
    ),
    table(
      headings("line", "channel", "on the host", "purpose"),
      consoles.map(({ name, channel, host, purpose }) => [name, channel, host, purpose]),
      style,
    ),
  ]
    .filter((_, index) => index > 0 || nics.length > 0)
    .join("\n");
}

const cutLines = (text: string, columns: number): string =>
  text
    .split("\n")
    .map((line) => cutTo(line, columns))
    .join("\n");
