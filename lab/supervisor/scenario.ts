/**
 * Plays the events of a lab: each at its time, none waits for another. What was judged is known when
 * the last flow has ended, because a change's `within` is about the flows.
 */

import { messageOf } from "../../base/errors.ts";
import type { FlowResult, Report, Timeline, TimelineEvent } from "../api.ts";
import type { CheckRun } from "../judge/checks.ts";
import { convergence, flowText, wrongFlow } from "../judge/flows.ts";
import type { Clock } from "../judge/reachability.ts";
import type { EventPlan, FlowPlan } from "../plan/event-plan.ts";
import type { ExpectPlan } from "../plan/expect-plan.ts";

export interface ScenarioOptions {
  readonly events: readonly EventPlan[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onEvent: (event: EventPlan) => void;
  readonly setLink: (change: EventPlan & { kind: "link" }) => Promise<void>;
  readonly operate: (change: EventPlan & { kind: "guests" }) => Promise<void>;
  readonly run: (guest: string, command: string) => Promise<CheckRun>;
  readonly assess: (
    expect: ExpectPlan,
    name: string,
    withinMs: number | undefined,
  ) => Promise<Pick<Report, "reachability" | "checks" | "expectations">>;
  /** Puts a sentence that explains it to each pair that is not as expected. */
  readonly explain: (results: Report["reachability"]) => Promise<Report["reachability"]>;
  /** @param originMs time 0 of the scenario on `clock`. */
  readonly flow: (flow: FlowPlan, originMs: number) => Promise<FlowResult>;
}

type Outcome = Pick<TimelineEvent, "ok" | "found"> &
  Partial<Pick<TimelineEvent, "exit" | "results">> & {
    readonly flow?: FlowResult;
    /** When it was judged, on the clock, where it took longer to say why. */
    readonly judgedMs?: number;
  };

export async function playScenario(options: ScenarioOptions): Promise<Timeline> {
  const { events, clock, signal } = options;
  const originMs = clock.now();
  const now = () => tenth(clock.now() - originMs);
  const played = await Promise.all(
    events.map(async (event, index) => {
      await clock.sleep(Math.max(0, originMs + event.atMs - clock.now()), signal);
      signal.throwIfAborted();
      options.onEvent(event);
      const beganMs = now();
      const outcome = await perform(event, index, originMs, options).catch((error: unknown) => {
        signal.throwIfAborted();
        return { ok: false, found: messageOf(error) } satisfies Outcome as Outcome;
      });
      signal.throwIfAborted();
      const endedMs = tenth((outcome.judgedMs ?? clock.now()) - originMs);
      // Of a change, what counts is when it was done.
      const startedMs = event.kind === "link" ? endedMs : beganMs;
      return { event, startedMs, endedMs, outcome };
    }),
  );
  const flows = played.flatMap(({ outcome }) => (outcome.flow === undefined ? [] : [outcome.flow]));
  const changes = played.filter(({ event }) => event.kind === "link" || event.kind === "guests");
  return {
    lengthMs: now(),
    flows,
    events: played.map(({ event, startedMs, endedMs, outcome }): TimelineEvent => {
      const { flow: _, judgedMs: __, ...told } = outcome;
      const next = changes.find((one) => one.startedMs > startedMs)?.startedMs;
      const judged = { ...told, ...converged(event, told, flows, startedMs, next ?? now()) };
      return {
        kind: event.kind,
        name: event.name,
        atMs: event.atMs,
        startedMs,
        endedMs,
        ...judged,
        points: judged.ok ? event.points : 0,
        of: event.points,
        why: judged.ok ? null : judged.found,
      };
    }),
  };
}

/** `within` at a change: whether every flow came back in time. */
function converged(
  event: EventPlan,
  told: Outcome,
  flows: readonly FlowResult[],
  startedMs: number,
  untilMs: number,
): Outcome {
  const change = event.kind === "link" || event.kind === "guests";
  if (!change || !told.ok || event.withinMs === undefined) return told;
  const { afterMs, text } = convergence(flows, startedMs, untilMs);
  return { ok: afterMs !== null && afterMs <= event.withinMs, found: text };
}

async function perform(
  event: EventPlan,
  index: number,
  originMs: number,
  options: ScenarioOptions,
): Promise<Outcome> {
  switch (event.kind) {
    case "link":
      await options.setLink(event);
      return { ok: true, found: "" };
    case "guests":
      await options.operate(event);
      return { ok: true, found: "" };
    case "run": {
      const { output, exit } = await options.run(event.on, event.command);
      return { ok: exit === 0, found: output, exit };
    }
    case "expect": {
      const found = await options.assess(event.expect, `event ${index}`, event.withinMs);
      const judgedMs = options.clock.now();
      const results = { ...found, reachability: await options.explain(found.reachability) };
      const all = [...results.reachability, ...results.checks, ...results.expectations];
      const failed = all.filter(({ ok }) => !ok);
      const reasons = failed.map((one) =>
        "why" in one && one.why !== null
          ? "from" in one
            ? `${one.from} -> ${one.to}: ${one.why}`
            : one.why
          : `${"name" in one ? one.name : one.to} failed`,
      );
      return {
        ok: failed.length === 0,
        found: failed.length === 0 ? "it held" : [...new Set(reasons)].join("; "),
        results,
        judgedMs,
      };
    }
    case "flow": {
      const flow = await options.flow(event.flow, originMs);
      const wrong = wrongFlow(event.flow, flow);
      const judged = Object.keys(event.flow.bounds).length > 0;
      const found = wrong === undefined ? flowText(flow) : `${wrong} (${flowText(flow)})`;
      return { ok: !judged || wrong === undefined, found, flow };
    }
  }
}

const tenth = (ms: number): number => Math.round(ms * 10) / 10;
