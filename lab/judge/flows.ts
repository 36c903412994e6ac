/**
 * What the fabric's watches tell of a flow: what was lost, and when it was dark.
 *
 *     source =out=> ... =in=> destination        packets
 *     source <=in== ... <=out= destination       answers (of ping)
 */

import { formatDurationNs } from "../../base/units.ts";
import type { WatchCounters, WatchedPlace } from "../../net/control/messages.ts";
import type { FlowResult } from "../api.ts";
import type { FlowPlan } from "../plan/event-plan.ts";
import { meets } from "../plan/expect-plan.ts";
import { rateText } from "./claims.ts";

const DATAGRAM_BITS = 1200 * 8;
/** A silence is one of ten packets that should have come, and long enough not to be the machine's. */
const PACKETS_OF_SILENCE = 10;
const SHORTEST_SILENCE_MS = 100;
/** TCP waits by itself before it sends again (RTO_MIN is 200 ms). */
const TCP_SILENCE_MS = 300;
const SLICES = 120;

/** Between two packets of a flow where all is well; 0 where nobody knows. */
function intervalOf({ protocol, intervalMs, rateBitsPerSec }: FlowPlan): number {
  if (protocol === "ping") return intervalMs;
  return protocol === "udp" && rateBitsPerSec > 0 ? (DATAGRAM_BITS * 1000) / rateBitsPerSec : 0;
}

export const silenceMs = (flow: FlowPlan): number =>
  flow.protocol === "tcp"
    ? TCP_SILENCE_MS
    : Math.max(SHORTEST_SILENCE_MS, PACKETS_OF_SILENCE * intervalOf(flow));

export const sliceMsOf = ({ forMs }: FlowPlan): number => Math.max(10, Math.ceil(forMs / SLICES));

export interface FlowMeasurement {
  readonly startedMs: number;
  readonly endedMs: number;
  /** Time 0 of the scenario, in the watches' time. */
  readonly originMs: number;
  /** The packets, and of ping the answers. */
  readonly packets: WatchCounters;
  readonly answers: WatchCounters | undefined;
  /** What the receiver measured, where it could. */
  readonly bitsPerSec: number | null;
}

export function flowResult(flow: FlowPlan, measured: FlowMeasurement): FlowResult {
  const { startedMs, endedMs, originMs, packets, answers } = measured;
  const sentAt = placesOf(packets, flow.from, "out");
  const arrivals =
    answers === undefined ? placesOf(packets, flow.to, "in") : placesOf(answers, flow.from, "in");
  const sent = sum(sentAt);
  const received = sum(arrivals);
  const dark = silences(flow, arrivals, originMs, startedMs, endedMs);
  const sliceMs = sliceMsOf(flow);
  const began = (answers ?? packets).startedMs - originMs;
  return {
    name: flow.name,
    protocol: flow.protocol,
    from: flow.from,
    to: flow.to,
    startedMs,
    endedMs,
    sent: flow.protocol === "tcp" ? null : sent,
    received,
    lost: flow.protocol === "tcp" ? null : Math.max(0, sent - received),
    bitsPerSec: measured.bitsPerSec,
    dark,
    darkMs: Math.max(0, ...dark.map(({ fromMs, toMs }) => toMs - fromMs)),
    sliceMs,
    slices: merged(
      arrivals.map(({ slices }) => slices),
      Math.ceil((endedMs - began) / sliceMs),
    ),
  };
}

const placesOf = ({ places }: WatchCounters, guest: string, way: WatchedPlace["way"]) =>
  places.filter((one) => one.way === way && one.end.startsWith(`${guest}:`));

const sum = (places: readonly WatchedPlace[]) =>
  places.reduce((total, { frames }) => total + frames, 0);

function merged(all: readonly (readonly number[])[], length: number): number[] {
  return Array.from({ length: Math.max(0, length) }, (_, index) =>
    all.reduce((total, slices) => total + (slices[index] ?? 0), 0),
  );
}

/** A flow that changes its interface is dark only while all of them are silent. */
function silences(
  flow: FlowPlan,
  arrivals: readonly WatchedPlace[],
  originMs: number,
  startedMs: number,
  endedMs: number,
): FlowResult["dark"] {
  const least = silenceMs(flow);
  let dark = [{ fromMs: startedMs, toMs: endedMs }];
  for (const { firstMs, lastMs, gaps } of arrivals) {
    if (firstMs === null || lastMs === null) continue;
    const silent = [
      { fromMs: startedMs, toMs: firstMs - originMs },
      ...gaps.map(({ fromMs, toMs }) => ({ fromMs: fromMs - originMs, toMs: toMs - originMs })),
      { fromMs: lastMs - originMs, toMs: endedMs },
    ];
    dark = dark.flatMap((a) =>
      silent.flatMap((b) => {
        const fromMs = Math.max(a.fromMs, b.fromMs);
        const toMs = Math.min(a.toMs, b.toMs);
        return toMs > fromMs ? [{ fromMs, toMs }] : [];
      }),
    );
  }
  return dark
    .filter(({ fromMs, toMs }) => toMs - fromMs > least)
    .map(({ fromMs, toMs }) => ({ fromMs: tenth(fromMs), toMs: tenth(toMs) }));
}

const tenth = (ms: number): number => Math.round(ms * 10) / 10;

/** What a flow's own bounds say of it; undefined where all hold. */
export function wrongFlow({ bounds }: FlowPlan, result: FlowResult): string | undefined {
  const { sent, lost, darkMs, bitsPerSec, received } = result;
  const wrong: string[] = [];
  if (received === 0) wrong.push("nothing arrived");
  if (bounds.loss !== undefined && sent !== null && lost !== null) {
    const share = sent === 0 ? 1 : lost / sent;
    if (!meets(bounds.loss, share)) {
      wrong.push(`${lost} of ${sent} packets were lost, and loss must be ${bounds.loss.text}`);
    }
  }
  if (bounds.dark !== undefined && !meets(bounds.dark, darkMs * 1e6)) {
    wrong.push(`it was dark for ${span(darkMs)}, and dark must be ${bounds.dark.text}`);
  }
  if (bounds.throughput !== undefined && !meets(bounds.throughput, bitsPerSec ?? 0)) {
    wrong.push(
      `${rateText(bitsPerSec ?? 0)} arrived, and throughput must be ${bounds.throughput.text}`,
    );
  }
  return wrong.length === 0 ? undefined : wrong.join("; ");
}

export function flowText({ sent, received, lost, bitsPerSec, dark, darkMs }: FlowResult): string {
  const parts = [
    lost === null ? `${received} frames` : `${received} of ${sent} arrived`,
    ...(bitsPerSec === null ? [] : [rateText(bitsPerSec)]),
    ...(dark.length === 0
      ? []
      : [
          `dark for ${span(darkMs)}${dark.length > 1 ? ` (and ${dark.length - 1} more times)` : ""}`,
        ]),
  ];
  return parts.join(", ");
}

export interface Convergence {
  /** How long after the change the last flow was flowing again; null where one never was. */
  readonly afterMs: number | null;
  readonly text: string;
}

/**
 * How the flows that were under way at `sinceMs` took a change: each must be flowing again, and stay
 * so until `untilMs`.
 */
export function convergence(
  flows: readonly FlowResult[],
  sinceMs: number,
  untilMs: number,
): Convergence {
  const underWay = flows.filter((one) => one.startedMs < sinceMs && one.endedMs > sinceMs);
  if (underWay.length === 0) return { afterMs: null, text: "no flow was under way" };
  let afterMs: number | null = 0;
  const texts = underWay.map((flow) => {
    const dark = flow.dark.filter(({ fromMs, toMs }) => toMs > sinceMs && fromMs < untilMs);
    const last = dark.at(-1);
    if (last === undefined) return `${flow.name} went on`;
    if (last.toMs >= flow.endedMs - 1) {
      afterMs = null;
      return `${flow.name} never came back`;
    }
    const took = last.toMs - sinceMs;
    if (afterMs !== null) afterMs = Math.max(afterMs, took);
    return `${flow.name} was flowing again after ${span(took)}`;
  });
  return { afterMs, text: texts.join("; ") };
}

const span = (ms: number): string =>
  ms < 1 ? "less than 1 ms" : formatDurationNs(Math.round(ms) * 1e6);
