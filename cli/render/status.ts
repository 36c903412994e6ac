/** A running lab's guests and links; with an earlier status at hand, rates instead of sums. */

import { formatBytes, formatDurationNs, formatMemory } from "../../base/units.ts";
import type { GuestStatus, LabStatus } from "../../lab/api.ts";
import type { DirectionCounters } from "../../net/control/messages.ts";
import { impairmentText } from "./impairment.ts";
import type { Style } from "./style.ts";
import { table } from "./table.ts";

export interface Earlier {
  readonly status: LabStatus;
  readonly secondsAgo: number;
}

export function statusText(
  status: LabStatus,
  style: Style,
  nowMs: number,
  earlier?: Earlier,
): string {
  const up = formatDurationNs(Math.max(0, nowMs - Date.parse(status.since)) * 1e6);
  const dot = ` ${style.marks.bullet} `;
  const head = [`up ${up}`, `supervisor ${status.supervisorPid}`, `fabric ${status.fabricPid}`];
  const parts = [
    `${style.bold(status.lab)}  ${style.dim([...head, status.file].join(dot))}\n`,
    guestTable(status, style, earlier),
  ];
  if (status.counters.links.length > 0) parts.push(linkTable(status, style, earlier));
  return parts.join("\n");
}

function guestTable(status: LabStatus, style: Style, earlier: Earlier | undefined): string {
  const rows = status.guests.map((guest) => {
    const before = earlier?.status.guests.find((one) => one.name === guest.name);
    const addresses = guest.interfaces.flatMap((one) => one.addresses);
    return [
      `${stateMark(guest.state, style)} ${guest.name}`,
      guest.state,
      guest.residentBytes === null ? style.marks.none : formatMemory(guest.residentBytes),
      formatMemory(guest.memoryBytes),
      cpuText(guest, before, earlier, style),
      guest.bootMs === null ? style.marks.none : formatDurationNs(guest.bootMs * 1e6),
      guest.pid === null ? style.marks.none : String(guest.pid),
      guest.kernel,
      addresses.join(" "),
    ];
  });
  return table(
    [
      { heading: "  guest" },
      { heading: "state" },
      { heading: "resident", align: "right" },
      { heading: "memory", align: "right" },
      { heading: "cpu", align: "right" },
      { heading: "boot", align: "right" },
      { heading: "pid", align: "right" },
      { heading: "kernel" },
      { heading: "addresses" },
    ],
    rows,
    style,
  );
}

export function stateMark(state: GuestStatus["state"], style: Style): string {
  const mark = style.marks.guest[state] as string;
  if (state === "ready") return style.green(mark);
  return state === "failed" ? style.red(mark) : style.yellow(mark);
}

function cpuText(
  guest: GuestStatus,
  before: GuestStatus | undefined,
  earlier: Earlier | undefined,
  style: Style,
): string {
  if (guest.cpuSeconds === null) return style.marks.none;
  if (earlier === undefined || before?.cpuSeconds == null || before.pid !== guest.pid) {
    return `${guest.cpuSeconds.toFixed(1)} s`;
  }
  const share = (guest.cpuSeconds - before.cpuSeconds) / earlier.secondsAgo;
  return `${Math.max(0, share * 100).toFixed(0)} %`;
}

/** Two rows a link, one each way, so that what is lost on one of them is seen. */
export function linkTable(status: LabStatus, style: Style, earlier?: Earlier): string {
  const { links } = status.counters;
  const isImpaired = links.some(({ impairments }) =>
    impairments?.some((one) => impairmentText(one) !== ""),
  );
  const column = isImpaired ? [{ heading: "impaired" }] : [];
  const rows = links.flatMap((link) => {
    const before = earlier?.status.counters.links.find((one) => one.link === link.link);
    return link.directions.map((direction, i) => [
      i === 0 ? link.link : "",
      i === 0 ? (link.up ? style.green("up") : style.red("down")) : "",
      i === 0 ? style.marks.arrow : style.marks.arrow === "->" ? "<-" : "←",
      ...column.map(() => impairmentText(link.impairments?.[i] ?? {})),
      ...passed(direction, before?.directions[i], earlier),
      dropsText(direction),
    ]);
  });
  const per = earlier === undefined ? "" : "/s";
  return table(
    [
      { heading: "link" },
      { heading: "cable" },
      { heading: "" },
      ...column,
      { heading: `frames${per}`, align: "right" },
      { heading: `bytes${per}`, align: "right" },
      { heading: "dropped" },
    ],
    rows,
    style,
  );
}

function passed(
  now: DirectionCounters,
  before: DirectionCounters | undefined,
  earlier: Earlier | undefined,
): [string, string] {
  if (earlier === undefined || before === undefined) {
    return [String(now.frames), formatBytes(now.bytes)];
  }
  const rate = (a: number, b: number) => Math.max(0, (a - b) / earlier.secondsAgo);
  return [rate(now.frames, before.frames).toFixed(0), formatBytes(rate(now.bytes, before.bytes))];
}

export function dropsText(direction: DirectionCounters): string {
  return Object.entries(direction.drops)
    .filter(([, frames]) => frames > 0)
    .map(([reason, frames]) => `${frames} ${reason}`)
    .join(", ");
}
