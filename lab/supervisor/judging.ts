/**
 * Measuring a running lab: what its file expects, other expectations, its scenario, and why packets
 * die. The guests' own kernels are asked, and the fabric's watches.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { parseIp } from "../../base/addresses.ts";
import { LabError } from "../../base/errors.ts";
import { count } from "../../base/units.ts";
import type { Impairment, WatchSpec } from "../../net/control/messages.ts";
import type { Assessment, OnLabEvent, Report, Timeline } from "../api.ts";
import type { GuestOperation, LinkChange } from "../control/messages.ts";
import { Explainer, type ExplainRequest } from "../explain/explain.ts";
import type { Explanation } from "../explain/explanation.ts";
import { explainFailures } from "../explain/failures.ts";
import { judgeChecks } from "../judge/checks.ts";
import { judgeClaims } from "../judge/claims.ts";
import { asksForSingles, fpingRequest, parseFping } from "../judge/fping.ts";
import { judgeReachability } from "../judge/reachability.ts";
import type { ExpectPlan } from "../plan/expect-plan.ts";
import type { LabPlan } from "../plan/plan.ts";
import { claimProbes, type ProbeHouse } from "./claim-probes.ts";
import { runFlow } from "./flows.ts";
import type { Guests } from "./guests.ts";
import { instrumentsOf } from "./instruments.ts";
import { RouteWatch } from "./route-watch.ts";
import { runCheck } from "./run-check.ts";
import { playScenario } from "./scenario.ts";
import type { Wiring } from "./wiring.ts";
import { within } from "./within.ts";

/** The lab that is measured, as it is when it is asked. */
export interface JudgedLab {
  readonly plan: () => LabPlan;
  readonly guests: Guests;
  /** Throws FABRIC_FAILED where there is none. */
  readonly wiring: () => Wiring;
  readonly setLink: (link: string, change: LinkChange) => Promise<void>;
  readonly operate: (
    operation: GuestOperation,
    guests: readonly string[],
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ) => Promise<void>;
  readonly log: (message: string) => void;
}

const CLOCK = {
  now: () => performance.now(),
  sleep: async (ms: number, signal: AbortSignal) => {
    await sleep(ms, undefined, { signal });
  },
};

/** A command of a scenario. */
const LONGEST_COMMAND_MS = 60_000;
/** A guest that can't end its prober in time hangs. */
const PROBER_SPARE_MS = 15_000;
/** The answering guests want the CPUs too. */
const probesAtOnce = (cpus: number): number => 4 * cpus;

export class Judging {
  readonly #lab: JudgedLab;

  constructor(lab: JudgedLab) {
    this.#lab = lab;
  }

  /** What holds of the plan. Throws the signal's reason. */
  async judge(signal: AbortSignal, onEvent: OnLabEvent): Promise<Assessment> {
    const found = await this.#assess(this.#lab.plan(), signal, onEvent);
    return { ...found, reachability: await this.explainFailures(found.reachability, signal) };
  }

  /**
   * What holds of expectations that the plan did not name. Frames count from now on, and are awaited
   * until `withinMs` is over where it is given. @param name tells its watches from others.
   */
  async assess(
    expect: ExpectPlan,
    { name, withinMs }: { readonly name: string; readonly withinMs?: number | undefined },
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<Assessment> {
    const { fabric } = this.#lab.wiring();
    const own = {
      ...expect,
      claims: expect.claims.map((claim) =>
        claim.kind === "sees" ? { ...claim, watch: `${name}: ${claim.watch}` } : claim,
      ),
    };
    const specs = watchesOf(own);
    try {
      for (const spec of specs) await fabric.request({ op: "watch-start", spec });
      return await this.#assess(own, signal, onEvent, withinMs !== undefined);
    } finally {
      for (const { watch } of specs) {
        await fabric.request({ op: "watch-stop", watch }).catch(() => {});
      }
    }
  }

  /** Plays the plan's events. */
  async play(signal: AbortSignal, onEvent: OnLabEvent): Promise<Timeline> {
    const { events } = this.#lab.plan();
    onEvent({ type: "step", step: "events", detail: count(events.length, "event") });
    const quiet: OnLabEvent = () => {};
    const house = this.#probeHouse(signal);
    const { guests, operate } = this.#lab;
    return playScenario({
      events,
      clock: CLOCK,
      signal,
      onEvent: ({ name }) => onEvent({ type: "step", step: "event", detail: name }),
      setLink: ({ link, change }) => this.#changeLink(link, change),
      operate: ({ operation, guests }) => operate(operation, guests, signal, onEvent),
      run: (guest, command) =>
        runCheck(() => guests.keeper(guest).guest, command, LONGEST_COMMAND_MS, signal),
      assess: (expect, name, withinMs) => this.assess(expect, { name, withinMs }, signal, quiet),
      explain: (results) => this.explainFailures(results, signal),
      flow: (flow, originMs) => runFlow(house, flow, originMs),
    });
  }

  /** Impairments that are not named stay as they are. */
  async #changeLink(
    name: string,
    { up, set }: { readonly up?: boolean; readonly set?: Impairment },
  ): Promise<void> {
    const [there, back] = this.#lab.wiring().link(name)?.impairments ?? [{}, {}];
    await this.#lab.setLink(name, {
      ...(up === undefined ? {} : { up }),
      ...(set === undefined
        ? {}
        : {
            impairments: [
              { ...there, ...set },
              { ...back, ...set },
            ],
          }),
    });
  }

  /** Undefined where no guest runs a routing daemon: then routes stay as they are. */
  #routeWatch(): RouteWatch | undefined {
    const { guests, plan } = this.#lab;
    const routed = plan().guests.filter(({ setup }) => setup.services.length > 0);
    if (routed.length === 0) return undefined;
    const ready = () =>
      routed.flatMap(({ name }) => {
        const keeper = guests.keeper(name);
        return keeper.obstacle === undefined ? [keeper.guest] : [];
      });
    return new RouteWatch(ready, CLOCK);
  }

  #probeHouse(signal: AbortSignal): ProbeHouse {
    return {
      guest: (name) => this.#lab.guests.keeper(name).guest,
      fabric: this.#lab.wiring().fabric,
      signal,
      log: this.#lab.log,
    };
  }

  /** What holds of a plan's expectations. Throws the signal's reason. */
  async #assess(
    { pairs, checks: wanted, claims, settleMs }: ExpectPlan,
    signal: AbortSignal,
    onEvent: OnLabEvent,
    untilTheEnd = false,
  ): Promise<Assessment> {
    onEvent({ type: "step", step: "verify", detail: count(pairs.length, "pair") });
    const { guests } = this.#lab;
    const routes = this.#routeWatch();
    const clock = routes?.clock ?? CLOCK;
    const owners = ownersOf(this.#lab.plan());
    const reachability = await judgeReachability({
      pairs,
      settleMs,
      probe: (guest, addresses, timeoutMs) => this.#probe(guest, addresses, timeoutMs, signal),
      obstacle: (guest) => guests.keeper(guest).obstacle,
      ownerOf: (address) => owners.get(address),
      atOnce: probesAtOnce(guests.cpus),
      clock,
      ...(routes === undefined ? {} : { quiet: (mostMs) => routes.quiet(mostMs, signal) }),
      signal,
      onProgress: (probed, of, reached) => onEvent({ type: "reachability", probed, of, reached }),
    });
    const checks = await judgeChecks({
      checks: wanted,
      run: (guest, command, timeoutMs) =>
        runCheck(() => guests.keeper(guest).guest, command, timeoutMs, signal),
      clock,
      signal,
      onCheck: ({ name, ok }) =>
        onEvent({ type: "step", step: "check", detail: `${name}: ${ok ? "ok" : "failed"}` }),
    });
    const expectations = await judgeClaims({
      claims,
      settleMs,
      untilTheEnd,
      probes: claimProbes(this.#probeHouse(signal)),
      clock,
      signal,
      onClaim: ({ name, ok }) =>
        onEvent({ type: "step", step: "check", detail: `${name}: ${ok ? "ok" : "failed"}` }),
    });
    return { reachability, checks, expectations };
  }

  async #probe(
    guest: string,
    addresses: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ReturnType<typeof parseFping>> {
    const { command, input } = fpingRequest(addresses, timeoutMs);
    const mostMs = timeoutMs + 2 * addresses.length + PROBER_SPARE_MS;
    try {
      const { guest: running } = this.#lab.guests.keeper(guest);
      const run = running.run({ command }, input === undefined ? {} : { input });
      const result = await within(run, mostMs, signal);
      const probes = parseFping(addresses, result);
      if (!asksForSingles(addresses, result)) return probes;
      for (const [address, { rttMs }] of probes) {
        if (rttMs === null) continue;
        const alone = await this.#probe(guest, [address], timeoutMs, signal);
        for (const [one, probe] of alone) probes.set(one, probe);
      }
      return probes;
    } catch (error) {
      signal.throwIfAborted();
      // It died, was stopped or hangs while it probes: the judge asks for its state.
      if (error instanceof LabError && error.code === "GUEST_FAILED") return new Map();
      if (!(error instanceof LabError && error.code === "TIMEOUT")) throw error;
      const refusal = { text: `its prober did not end within ${mostMs} ms`, from: null };
      return new Map(addresses.map((address) => [address, { rttMs: null, refusal }]));
    }
  }

  /** Why a guest does or does not reach another. Throws NO_SUCH_GUEST. */
  async explain(request: ExplainRequest, signal: AbortSignal): Promise<Explanation> {
    const { guests } = this.#lab;
    guests.keeper(request.from);
    if (parseIp(request.to) === undefined) guests.keeper(request.to);
    return (await this.#explainer(signal)).explain(request);
  }

  /** The same results, with a sentence that explains it for each pair that is not as expected. */
  async explainFailures(
    results: Report["reachability"],
    signal: AbortSignal,
  ): Promise<Report["reachability"]> {
    if (results.every(({ ok }) => ok)) return results;
    return explainFailures(results, {
      explainer: await this.#explainer(signal),
      obstacle: (guest) => this.#lab.guests.keeper(guest).obstacle,
      now: CLOCK.now,
    });
  }

  async #explainer(signal: AbortSignal): Promise<Explainer> {
    const { guests, plan, wiring } = this.#lab;
    const { fabric, links } = wiring();
    const instruments = await instrumentsOf({
      fabric,
      guest: (name) => guests.keeper(name).guest,
      obstacle: (name) => guests.keeper(name).obstacle,
      signal,
    });
    return new Explainer({ ...plan(), links }, instruments);
  }
}

/** One for every link and filter that is expected to see frames, from the first frame on. */
export function watchesOf({ claims }: Pick<ExpectPlan, "claims">): WatchSpec[] {
  const specs = claims.flatMap((claim): (readonly [string, WatchSpec])[] => {
    if (claim.kind !== "sees") return [];
    const { watch, link, filter } = claim;
    return [[watch, { watch, of: { kind: "link", link }, filter }]];
  });
  return [...new Map(specs).values()];
}

/** From each address of the plan to its guest. */
function ownersOf({ guests }: LabPlan): Map<string, string> {
  return new Map(
    guests.flatMap(({ name, setup }) =>
      setup.interfaces.flatMap(({ addresses }) =>
        addresses.map((address) => [address.slice(0, address.indexOf("/")), name] as const),
      ),
    ),
  );
}
