/** How claims find their facts: in the guests, and in the fabric's watches. */

import { LabError } from "../../base/errors.ts";
import type { RunningGuest } from "../../kernel/guest/spec.ts";
import type { WatchCounters, WatchSpec } from "../../net/control/messages.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import type { ClaimProbes, Passage, Performance } from "../judge/claims.ts";
import { parseFpingSeries } from "../judge/fping.ts";
import { type Listening, parseListening } from "../judge/listening.ts";
import { parseRoutes, type Route } from "../judge/routes.ts";
import type { ClaimPlan } from "../plan/expect-plan.ts";
import { runStream } from "./load.ts";
import { within } from "./within.ts";

const ANSWER_MS = 10_000;
/** TCP is measured so long, after so long a start. */
const TCP_SKIP_MS = 500;
const TCP_FOR_MS = 2000;
const UDP_FOR_MS = 1500;
/** More than is asked for is offered, so that just enough can be told from too little. */
const UDP_OFFER = 1.2;
const RTT_PINGS = 20;
const LOSS_PINGS = 100;
const PING_PERIOD_MS = 10;
/** Ports of measurements, beside those of flows. */
const FIRST_PORT = 15201;
const PORTS = 1000;

export interface ProbeHouse {
  /** The running guest, or GUEST_FAILED. */
  readonly guest: (name: string) => RunningGuest;
  readonly fabric: RunningFabric;
  readonly signal: AbortSignal;
  readonly log: (message: string) => void;
}

let measurements = 0;
let passages = 0;

export function claimProbes(house: ProbeHouse): ClaimProbes {
  return {
    routes: (guest) => routesOf(house, guest),
    listening: (guest) => listeningOf(house, guest),
    passage: (from, _, address) => passageOf(house, from, address),
    seen: async (watch) => {
      const counters = await readWatch(house.fabric, watch);
      return counters.places.reduce((sum, { frames }) => sum + frames, 0);
    },
    measure: (claim) => measure(house, claim),
  };
}

export async function readWatch(fabric: RunningFabric, watch: string): Promise<WatchCounters> {
  const counters = await fabric.request({ op: "counters" });
  const found = counters?.watches?.find((one) => one.watch === watch);
  if (found === undefined) throw new LabError("FABRIC_FAILED", `there is no watch ${watch}`);
  return found;
}

/** Watches while the work goes on; answers what both found. */
export async function watched<T>(
  fabric: RunningFabric,
  spec: WatchSpec,
  work: () => Promise<T>,
): Promise<{ readonly seen: WatchCounters; readonly result: T }> {
  await fabric.request({ op: "watch-start", spec });
  try {
    const result = await work();
    return { result, seen: await readWatch(fabric, spec.watch) };
  } finally {
    await fabric.request({ op: "watch-stop", watch: spec.watch }).catch(() => {});
  }
}

async function routesOf({ guest, signal }: ProbeHouse, name: string): Promise<Route[]> {
  const all = await Promise.all(
    ["-4", "-6"].map(async (family) => {
      const run = guest(name).run({ command: ["ip", family, "-o", "route", "show"] });
      const { code, stdout, stderr } = await within(run, ANSWER_MS, signal);
      // A guest without IPv6 has no routes of it.
      if (code !== 0 && family === "-4") {
        throw new LabError("GUEST_FAILED", `${name} does not show its routes: ${stderr.trim()}`);
      }
      return code === 0 ? parseRoutes(stdout) : [];
    }),
  );
  return all.flat();
}

async function listeningOf({ guest, signal }: ProbeHouse, name: string): Promise<Listening[]> {
  const all = await Promise.all(
    (["tcp", "udp"] as const).flatMap((protocol) =>
      ["", "6"].map(async (six) => {
        const read = guest(name).readFile(`/proc/net/${protocol}${six}`);
        // Absent where the guest's kernel has no IPv6.
        const text = await within(
          read.catch(() => new Uint8Array()),
          ANSWER_MS,
          signal,
        );
        return parseListening(protocol, Buffer.from(text).toString("latin1"));
      }),
    ),
  );
  return all.flat();
}

/** Sends one echo request of a size of its own, and looks which guests sent it on. */
async function passageOf(
  { guest, fabric, signal }: ProbeHouse,
  from: string,
  address: string,
): Promise<Passage> {
  const number = passages++;
  const payload = 301 + (number % 500);
  const sixth = address.includes(":");
  const bytes = 14 + (sixth ? 40 : 20) + 8 + payload;
  const filter = `${sixth ? "icmp6" : "icmp"} and dst host ${address} and greater ${bytes} and less ${bytes + 4}`;
  const spec: WatchSpec = { watch: `path ${number}`, of: { kind: "nics" }, filter };
  const { seen, result } = await watched(fabric, spec, () => {
    const command = ["ping", "-n", "-c", "1", "-W", "1", "-s", String(payload), address];
    return within(guest(from).run({ command }), ANSWER_MS, signal);
  });
  if (result.code === 127) {
    throw new LabError("GUEST_FAILED", `${from} has no \`ping\``);
  }
  const inOrder = seen.places.filter(({ frames }) => frames > 0).sort((a, b) => a.order - b.order);
  const guestOf = (end: string) => end.slice(0, end.indexOf(":"));
  const senders = inOrder.filter(({ way }) => way === "out").map(({ end }) => guestOf(end));
  // Whoever was given it and did not send it on has it, or dropped it.
  const last = inOrder.at(-1);
  const takers = inOrder.filter(({ way }) => way === "in").map(({ end }) => guestOf(end));
  const arrived =
    result.code === 0 || (last?.way === "in" && !senders.includes(takers.at(-1) ?? ""));
  return { senders: [...new Set(senders)], arrived, answered: result.code === 0 };
}

async function measure(
  { guest, signal }: ProbeHouse,
  { from, to, address, bounds }: ClaimPlan & { kind: "perf" },
): Promise<Performance> {
  const found: { -readonly [K in keyof Performance]: Performance[K] } = {};
  if (bounds.rtt !== undefined || bounds.loss !== undefined) {
    const count = bounds.loss === undefined ? RTT_PINGS : LOSS_PINGS;
    const times = await pingSeries(guest(from), address, count, signal);
    const answers = times.filter((time) => time !== null).sort((a, b) => a - b);
    const median = answers[Math.floor(answers.length / 2)];
    found.rttNs = median === undefined ? Number.POSITIVE_INFINITY : median * 1e6;
    found.loss = 1 - answers.length / count;
  }
  const port = () => FIRST_PORT + (measurements++ % PORTS);
  if (bounds.tcp !== undefined) {
    const stream = { protocol: "tcp" as const, address, port: port(), rateBitsPerSec: 0 };
    const spans = { skipMs: TCP_SKIP_MS, forMs: TCP_FOR_MS };
    const result = await runStream(guest(from), guest(to), { ...stream, ...spans }, signal);
    found.tcpBitsPerSec = result.bitsPerSec;
  }
  if (bounds.udp !== undefined) {
    const rateBitsPerSec = bounds.udp.value * UDP_OFFER;
    const stream = { protocol: "udp" as const, address, port: port(), rateBitsPerSec };
    const spans = { skipMs: 0, forMs: UDP_FOR_MS };
    const result = await runStream(guest(from), guest(to), { ...stream, ...spans }, signal);
    found.udpBitsPerSec = result.bitsPerSec;
  }
  return found;
}

async function pingSeries(
  guest: RunningGuest,
  address: string,
  count: number,
  signal: AbortSignal,
): Promise<(number | null)[]> {
  const period = String(PING_PERIOD_MS);
  const command = ["fping", "-C", String(count), "-q", "-p", period, "-t", "1000", address];
  const { code, stderr } = await within(guest.run({ command }), count * 50 + ANSWER_MS, signal);
  if (code > 2) {
    throw new LabError("GUEST_FAILED", `${guest.name} can't measure round trips: ${stderr.trim()}`);
  }
  const times = parseFpingSeries(address, stderr);
  return Array.from({ length: count }, (_, index) => times[index] ?? null);
}
