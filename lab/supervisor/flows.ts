/** Runs the flows of a scenario, and has the fabric watch them. */

import { messageOf } from "../../base/errors.ts";
import type { WatchCounters, WatchSpec } from "../../net/control/messages.ts";
import type { FlowResult } from "../api.ts";
import { flowResult, silenceMs, sliceMsOf } from "../judge/flows.ts";
import type { FlowPlan } from "../plan/event-plan.ts";
import { type ProbeHouse, watched } from "./claim-probes.ts";
import { checkIperf3, runIperf3 } from "./iperf3.ts";
import { runStream } from "./load.ts";
import { within } from "./within.ts";

/** Answers that are on their way when the last request is sent. */
const LAST_ANSWER_MS = 500;
const SPARE_MS = 15_000;
const FIRST_PORT = 5201;
/** Pings of each flow have a size of their own, apart by more than a VLAN's tag. */
const SMALLEST_PING = 64;
const PING_STEP = 8;
const PING_SIZES = 100;

/**
 * @param originMs time 0 of the scenario on `performance.now()`.
 * Throws GUEST_FAILED where a guest lacks the program that makes the flow.
 */
export async function runFlow(
  house: ProbeHouse,
  flow: FlowPlan,
  originMs: number,
): Promise<FlowResult> {
  if (flow.iperf3) {
    for (const name of [flow.from, flow.to]) await checkIperf3(house.guest(name), house.signal);
  }
  const { packets: filter, answers: answerFilter } = filtersOf(flow);
  const spec = (watch: string, filter: string): WatchSpec => ({
    watch: `${watch} of ${flow.name} ${flow.port}`,
    of: { kind: "nics" },
    filter,
    gapMs: silenceMs(flow),
    sliceMs: sliceMsOf(flow),
  });
  const now = () => performance.now() - originMs;
  let startedMs = 0;
  let endedMs = 0;
  let bitsPerSec: number | null = null;
  const send = async () => {
    startedMs = now();
    try {
      bitsPerSec = await sendAll(house, flow);
    } catch (error) {
      house.signal.throwIfAborted();
      // A guest of it ended meanwhile, say: the watches tell what there was.
      house.log(`flow ${flow.name}: ${messageOf(error)}`);
    }
    endedMs = Math.min(now(), startedMs + flow.forMs);
  };
  let answers: WatchCounters | undefined;
  const { seen: packets } = await watched(house.fabric, spec("packets", filter), async () => {
    if (answerFilter === undefined) return send();
    answers = (await watched(house.fabric, spec("answers", answerFilter), send)).seen;
  });
  return flowResult(flow, {
    startedMs,
    endedMs,
    originMs: performance.timeOrigin + originMs,
    packets,
    answers,
    bitsPerSec,
  });
}

function filtersOf({ protocol, address, sources, port }: FlowPlan) {
  if (protocol !== "ping") {
    return { packets: `${protocol} and dst host ${address} and dst port ${port}` };
  }
  const sixth = address.includes(":");
  const bytes = 14 + (sixth ? 40 : 20) + 8 + pingSize(port);
  const size = `greater ${bytes} and less ${bytes + 4}`;
  const protocolName = sixth ? "icmp6" : "icmp";
  const any = (way: string) => `(${sources.map((one) => `${way} host ${one}`).join(" or ")})`;
  return {
    packets: `${protocolName} and ${size} and dst host ${address} and ${any("src")}`,
    answers: `${protocolName} and ${size} and src host ${address} and ${any("dst")}`,
  };
}

/** Each flow has a port of its own, whether it uses it or not. */
const pingSize = (port: number): number =>
  SMALLEST_PING + PING_STEP * ((port - FIRST_PORT) % PING_SIZES);

async function sendAll(house: ProbeHouse, flow: FlowPlan): Promise<number | null> {
  const { protocol, from, to, address, port, forMs, intervalMs, rateBitsPerSec } = flow;
  const { guest, signal } = house;
  if (flow.iperf3) return runIperf3(guest(from), guest(to), flow, signal);
  if (protocol === "ping") {
    const count = Math.max(1, Math.round(forMs / intervalMs));
    const command = ["fping", "-C", String(count), "-q", "-p", String(intervalMs)];
    command.push("-t", String(LAST_ANSWER_MS), "-b", String(pingSize(port)), address);
    await within(guest(from).run({ command }, { signal }), forMs + SPARE_MS, signal);
    return null;
  }
  const spans = { skipMs: 0, forMs };
  const stream = { protocol, address, port, rateBitsPerSec, ...spans };
  return (await runStream(guest(from), guest(to), stream, signal)).bitsPerSec;
}
