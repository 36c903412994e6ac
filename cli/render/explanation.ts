/** An explanation as a drawing: one line a hop, times at the right, and the sentence below. */

import type { Explanation } from "../../lab/api.ts";
import { cutTo, padEnd, padStart, type Style, widthOf, wrap } from "./style.ts";

export interface ExplanationView {
  readonly columns: number;
  readonly style: Style;
}

type Hop = Explanation["there"][number];

const WIDEST = 80;
/** A loop of routers is long: its middle is left out. */
const MOST_HOPS = 40;
const HEAD_HOPS = 16;
const TAIL_HOPS = 6;

interface Row {
  readonly mark: string;
  readonly name: string;
  readonly detail: string;
  readonly time: string;
  readonly bad: boolean;
}

export function explanationText(explanation: Explanation, view: ExplanationView): string {
  const { style } = view;
  const columns = Math.min(view.columns, WIDEST);
  const { from, to, address, cause, sentence, hint, there, back, notes } = explanation;
  const title = `${from} ${style.marks.arrow} ${to}`;
  const what = [to === address ? "" : address, probeText(explanation)].filter(Boolean).join(", ");
  const lines = [`${style.bold(title)}  ${what}`, ""];
  const thereRows = rowsOf(there, style);
  const backRows = rowsOf(back, style);
  const width = Math.max(...[...thereRows, ...backRows].map(({ name }) => widthOf(name)), 0);
  const draw = (heading: string, rows: readonly Row[]) => {
    if (rows.length === 0) return;
    lines.push(`  ${style.dim(heading)}`);
    for (const row of rows) lines.push(drawRow(row, width, columns, style));
  };
  draw("there", thereRows);
  draw("back", backRows);
  if (there.length > 0) lines.push("");
  const mark =
    cause === null ? style.green(style.marks.good) : style.red(style.bold(style.marks.bad));
  lines.push(`${mark} ${wrap(sentence, columns, "  ").trimStart()}`);
  for (const note of notes)
    lines.push(`${style.marks.bullet} ${wrap(note, columns, "  ").trimStart()}`);
  if (hint !== null) lines.push(style.dim(`  ${hint}`));
  return lines.map((line) => `${line}\n`).join("");
}

function probeText({ probe, address }: Explanation): string {
  if (probe.kind !== "icmp") return `${probe.kind.toUpperCase()} port ${probe.port}`;
  return address === "" ? "" : "echo request";
}

function rowsOf(hops: readonly Hop[], style: Style): Row[] {
  const rows = hops.map((hop) => rowOf(hop, style));
  if (rows.length <= MOST_HOPS) return rows;
  const left = rows.length - HEAD_HOPS - TAIL_HOPS;
  const gap: Row = {
    mark: " ",
    name: "",
    detail: `and so on, ${left} more lines`,
    time: "",
    bad: false,
  };
  return [...rows.slice(0, HEAD_HOPS), gap, ...rows.slice(-TAIL_HOPS)];
}

function rowOf(hop: Hop, style: Style): Row {
  const { marks } = style;
  const time = hop.kind === "switch" || hop.ns === null ? "" : timeText(hop.ns, style);
  switch (hop.kind) {
    case "switch":
      return { mark: marks.hop.switch, name: hop.switch, detail: hop.note ?? "", time, bad: false };
    case "link": {
      const bad = hop.fate !== "passed";
      const detail = bad ? `${hop.link}: ${FATES[hop.fate] ?? hop.fate}` : hop.link;
      return { mark: bad ? marks.bad : marks.hop.link, name: "", detail, time, bad };
    }
    case "guest": {
      const ports = [hop.in, hop.out].filter((port) => port !== null);
      const ttl = hop.ttl === null || hop.out === null ? "" : `TTL ${hop.ttl}`;
      const words = [ports.join(` ${marks.arrow} `), hop.note ?? ttl].filter(Boolean);
      return {
        mark: marks.hop.guest,
        name: hop.guest,
        detail: words.join(", "),
        time,
        bad: hop.note !== null,
      };
    }
  }
}

const FATES: Readonly<Record<string, string>> = {
  "under-way": "did not come out",
  "link-down": "the cable is pulled",
  "no-peer": "no kernel at the other end",
  stalled: "the receiver takes nothing",
  "no-buffer": "the receiver has no room",
  "too-long": "too long for the receiver",
  malformed: "malformed",
  loss: "lost",
  "queue-full": "queue full",
  vlan: "not on this VLAN",
  "reserved-group": "stays on its link",
  storm: "goes round and round",
};

function drawRow(
  { mark, name, detail, time, bad }: Row,
  width: number,
  columns: number,
  style: Style,
): string {
  const left = `    ${mark} ${padEnd(name, width)}  `;
  const room = columns - widthOf(left) - widthOf(time) - 1;
  const text = padEnd(cutTo(detail, room), room);
  const paint = bad ? style.red : name === "" ? style.dim : (plain: string) => plain;
  return `${left}${paint(text)}${padStart(time, widthOf(time) + 1)}`.trimEnd();
}

/** `870 ns`, `12.3 µs`, `5.02 ms`. */
function timeText(ns: number, style: Style): string {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} ${style.marks.micro}s`;
  return ns < 1e9 ? `${(ns / 1e6).toFixed(2)} ms` : `${(ns / 1e9).toFixed(2)} s`;
}
