/**
 * Watches the routes of guests that run routing daemons, as their kernels have them. Judging need not
 * sleep while something changes, and what must not be reached is judged when nothing changes any more:
 * before routes have come, everything is isolated.
 */

import type { RunningGuest } from "../../kernel/guest/spec.ts";
import type { Clock } from "../judge/reachability.ts";
import { within } from "./within.ts";

const POLL_MS = 100;
/** Routes that did not change for so long have settled. */
const QUIET_MS = 2000;
/** A guest that takes longer hangs: it has no say. */
const ANSWER_MS = 2000;
const NEVER = new AbortController().signal;

export class RouteWatch {
  readonly #guests: () => readonly RunningGuest[];
  readonly #clock: Clock;
  #known = "";
  #changedAt: number;

  /** @param guests those that run routing daemons, as far as they are ready. */
  constructor(guests: () => readonly RunningGuest[], clock: Clock) {
    this.#guests = guests;
    this.#clock = clock;
    this.#changedAt = clock.now();
  }

  /** A clock whose sleep ends when a route changes. */
  get clock(): Clock {
    return { now: () => this.#clock.now(), sleep: (ms, signal) => this.#sleep(ms, signal) };
  }

  /** Waits until no route changes any more, at most so long. */
  async quiet(mostMs: number, signal: AbortSignal): Promise<void> {
    const deadline = this.#clock.now() + mostMs;
    for (;;) {
      await this.#look();
      const left = Math.min(this.#changedAt + QUIET_MS, deadline) - this.#clock.now();
      if (left <= 0) return;
      await this.#clock.sleep(Math.min(POLL_MS, left), signal);
    }
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const until = this.#clock.now() + ms;
    for (;;) {
      const left = until - this.#clock.now();
      if (left <= 0) return;
      await this.#clock.sleep(Math.min(POLL_MS, left), signal);
      if (await this.#look()) return;
    }
  }

  /** Whether a route changed since the last look. */
  async #look(): Promise<boolean> {
    const tables = await Promise.all(this.#guests().map(routesOf));
    const found = tables.join("\n");
    if (found === this.#known) return false;
    this.#known = found;
    this.#changedAt = this.#clock.now();
    return true;
  }
}

async function routesOf(guest: RunningGuest): Promise<string> {
  const read = async (path: string) =>
    Buffer.from(await within(guest.readFile(path), ANSWER_MS, NEVER).catch(() => "")).toString(
      "latin1",
    );
  const [four, six] = await Promise.all([read("/proc/net/route"), read("/proc/net/ipv6_route")]);
  return `${four}\n${withoutCounters(six)}`;
}

/**
 * linux: net/ipv6/route.c, rt6_info_route: destination, length, source, length, next hop, metric,
 * references, uses, flags, device. References and uses change with traffic.
 */
const withoutCounters = (table: string): string =>
  table
    .split("\n")
    .map((line) =>
      line
        .split(/\s+/)
        .filter((_, column) => column !== 6 && column !== 7)
        .join(" "),
    )
    .join("\n");
