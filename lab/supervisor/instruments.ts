/** What an explanation needs of the running lab: its fabric's traces, and its guests' kernels. */

import { setTimeout as sleep } from "node:timers/promises";
import { LabError } from "../../base/errors.ts";
import type { RunningGuest } from "../../kernel/guest/spec.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import type { LinkState } from "../explain/case.ts";
import type { Instruments } from "../explain/explain.ts";
import { equip, hexOf } from "./guest-programs.ts";
import { within } from "./within.ts";

/** A guest that does not end its prober or its shell in time hangs. */
const SPARE_MS = 15_000;

export interface InstrumentsOf {
  readonly fabric: RunningFabric;
  /** Throws GUEST_FAILED where it does not run. */
  readonly guest: (name: string) => RunningGuest;
  readonly obstacle: (name: string) => string | undefined;
  readonly signal: AbortSignal;
}

export async function instrumentsOf(house: InstrumentsOf): Promise<Instruments> {
  const { fabric, guest, obstacle, signal } = house;
  const counters = await fabric.request({ op: "counters" });
  const links = new Map<string, LinkState>(
    (counters?.links ?? []).map(({ link, up, impairments = [{}, {}] }) => [
      link,
      { up, impairments },
    ]),
  );
  /** A guest that ends or hangs meanwhile says nothing. */
  const orNothing = async <T>(work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      signal.throwIfAborted();
      const excused = error instanceof LabError && ["GUEST_FAILED", "TIMEOUT"].includes(error.code);
      if (excused) return undefined;
      throw error;
    }
  };
  return {
    startTrace: async (spec) => {
      await fabric.request({ op: "trace-start", spec });
    },
    stopTrace: (trace) => fabric.request({ op: "trace-stop", trace }),
    probe: async (name, { kind, address, cookie, count, waitMs, size, port, fromPort }) => {
      const work = async () => {
        const program = await equip(guest(name), "probe");
        const numbers = [count, waitMs, size, port, fromPort, 0].map(String);
        const command = [program, kind, hexOf(address), cookie, ...numbers];
        return (await guest(name).run({ command }, { signal })).stdout;
      };
      return (await orNothing(within(work(), count * waitMs + SPARE_MS, signal))) ?? "";
    },
    ask: async (name, script) => {
      const work = async () =>
        (await guest(name).run({ command: ["sh", "-c", script] }, { signal })).stdout;
      return orNothing(within(work(), SPARE_MS, signal));
    },
    linkState: (link) => links.get(link),
    obstacle,
    pause: async (ms) => {
      await sleep(ms, undefined, { signal });
    },
  };
}
