/**
 * Claims that are neither pairs nor commands: routes, paths, ports, frames, performance.
 *
 *     1. what can come to hold (routes, paths, ports, at least so many frames): looked at again and
 *        again until it does or `settle` is over
 *     2. performance, one after another so that none disturbs another; what fails is measured once more
 *     3. frames of which there must not be more: at the end, when all others have been sent
 */

import { formatDurationNs } from "../../base/units.ts";
import type { ExpectationResult } from "../api.ts";
import { type Bound, type ClaimPlan, canStillCome, meets } from "../plan/expect-plan.ts";
import { type Listening, wrongListening } from "./listening.ts";
import type { Clock } from "./reachability.ts";
import { type Route, wrongRoutes } from "./routes.ts";

/** Which way a probe went. */
export interface Passage {
  /** The guests that sent it on, the source first, in the order of the first frame from each. */
  readonly senders: readonly string[];
  /** Whether it was given to its destination, and whether an answer came back. */
  readonly arrived: boolean;
  readonly answered: boolean;
}

/** What was measured; a part that was not asked for is absent. */
export interface Performance {
  readonly tcpBitsPerSec?: number;
  readonly udpBitsPerSec?: number;
  readonly rttNs?: number;
  readonly loss?: number;
}

/** How facts are found. Each throws what keeps it from finding them; the message says why. */
export interface ClaimProbes {
  routes(guest: string): Promise<readonly Route[]>;
  listening(guest: string): Promise<readonly Listening[]>;
  passage(from: string, to: string, address: string): Promise<Passage>;
  seen(watch: string): Promise<number>;
  measure(claim: ClaimPlan & { kind: "perf" }): Promise<Performance>;
}

export interface ClaimOptions {
  readonly claims: readonly ClaimPlan[];
  readonly settleMs: number;
  /** Frames of which there must not be more are awaited until `settle` is over. */
  readonly untilTheEnd?: boolean;
  readonly probes: ClaimProbes;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onClaim: (result: ExpectationResult) => void;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;

interface Finding {
  readonly ok: boolean;
  readonly found: string;
}

export async function judgeClaims(options: ClaimOptions): Promise<ExpectationResult[]> {
  const { claims, clock, signal, probes } = options;
  const deadline = clock.now() + options.settleMs;
  const results = new Map<ClaimPlan, ExpectationResult>();
  const look = async (claim: ClaimPlan): Promise<boolean> => {
    signal.throwIfAborted();
    const { ok, found } = await examine(claim, probes);
    signal.throwIfAborted();
    const { kind, name, on, points } = claim;
    const why = ok ? null : found;
    results.set(claim, { kind, name, on, ok, points: ok ? points : 0, of: points, found, why });
    return ok;
  };
  const tell = (claim: ClaimPlan) => options.onClaim(results.get(claim) as ExpectationResult);

  let wanted = claims.filter(comesToHold);
  let pauseMs = FIRST_PAUSE_MS;
  while (wanted.length > 0) {
    const again: ClaimPlan[] = [];
    for (const claim of wanted) {
      if (await look(claim)) tell(claim);
      else again.push(claim);
    }
    wanted = again;
    const leftMs = deadline - clock.now();
    if (wanted.length === 0 || leftMs <= 0) break;
    await clock.sleep(Math.min(pauseMs, leftMs), signal);
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  }
  for (const claim of wanted) tell(claim);

  for (const claim of claims.filter(({ kind }) => kind === "perf")) {
    if (!(await look(claim))) await look(claim);
    tell(claim);
  }
  const last = claims.filter((one) => one.kind !== "perf" && !comesToHold(one));
  if (last.length > 0 && options.untilTheEnd) {
    await clock.sleep(Math.max(0, deadline - clock.now()), signal);
  }
  for (const claim of last) {
    await look(claim);
    tell(claim);
  }
  return claims.map((claim) => results.get(claim) as ExpectationResult);
}

function comesToHold(claim: ClaimPlan): boolean {
  if (claim.kind === "sees") return canStillCome(claim.count);
  return claim.kind !== "perf";
}

async function examine(claim: ClaimPlan, probes: ClaimProbes): Promise<Finding> {
  try {
    switch (claim.kind) {
      case "routes": {
        const routes = await probes.routes(claim.guest);
        const wrong = wrongRoutes(claim.guest, claim.routes, claim.exactly, routes);
        const routed = routes.filter(({ via }) => via.length > 0).map(({ text }) => text);
        return finding(wrong, routed.length === 0 ? "no routes" : routed.join("; "));
      }
      case "listen": {
        const wrong = wrongListening(claim.guest, claim.ports, await probes.listening(claim.guest));
        return finding(wrong, "it listens");
      }
      case "path": {
        if (claim.address === "") return { ok: false, found: `${claim.to} has no address` };
        return passageFinding(claim, await probes.passage(claim.from, claim.to, claim.address));
      }
      case "sees": {
        const frames = await probes.seen(claim.watch);
        return {
          ok: meets(claim.count, frames),
          found: `${frames === 0 ? "no frame" : frames === 1 ? "1 frame" : `${frames} frames`} came by`,
        };
      }
      case "perf": {
        if (claim.address === "") return { ok: false, found: `${claim.to} has no address` };
        return performanceFinding(claim.bounds, await probes.measure(claim));
      }
    }
  } catch (error) {
    return { ok: false, found: error instanceof Error ? error.message : String(error) };
  }
}

const finding = (wrong: string | undefined, right: string): Finding =>
  wrong === undefined ? { ok: true, found: right } : { ok: false, found: wrong };

function passageFinding(
  { from, to, via }: ClaimPlan & { kind: "path" },
  { senders, arrived, answered }: Passage,
): Finding {
  const between = senders.filter((name) => name !== from);
  if (senders.length === 0) return { ok: false, found: `${from} sent nothing towards ${to}` };
  const way = [from, ...between, ...(arrived ? [to] : [])].join(" -> ");
  if (!arrived) {
    return { ok: false, found: `the probe went ${way} and did not arrive at ${to}` };
  }
  const ok = between.length === via.length && between.every((name, index) => name === via[index]);
  const back = answered ? "" : " (no answer came back)";
  return { ok, found: `it went ${way}${back}` };
}

const MEASURES: readonly {
  readonly bound: "tcp" | "udp" | "rtt" | "loss";
  readonly of: keyof Performance;
  readonly text: (value: number) => string;
}[] = [
  { bound: "tcp", of: "tcpBitsPerSec", text: rateText },
  { bound: "udp", of: "udpBitsPerSec", text: rateText },
  {
    bound: "rtt",
    of: "rttNs",
    text: (ns) => (ns === Number.POSITIVE_INFINITY ? "no answer" : formatDurationNs(ns)),
  },
  { bound: "loss", of: "loss", text: (share) => `${Math.round(share * 1000) / 10}%` },
];

function performanceFinding(
  bounds: Partial<Record<"tcp" | "udp" | "rtt" | "loss", Bound>>,
  measured: Performance,
): Finding {
  const parts = MEASURES.flatMap(({ bound, of, text }) => {
    const limit = bounds[bound];
    const value = measured[of];
    if (limit === undefined || value === undefined) return [];
    return [{ ok: meets(limit, value), text: `${bound} ${text(value)}` }];
  });
  return {
    ok: parts.every(({ ok }) => ok),
    found: `measured: ${parts.map((one) => one.text).join(", ")}`,
  };
}

/** `9.41 Mbit`, as the language writes rates. */
export function rateText(bitsPerSec: number): string {
  const units = ["bit", "kbit", "Mbit", "Gbit"];
  let value = bitsPerSec;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}
