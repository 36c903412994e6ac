/**
 * Who reaches whom, as the guests' own kernels find it.
 *
 *     1. every pair that must reach is probed, all guests at once; what failed is probed again, with
 *        longer waits, until nothing fails or `settle` is over. On a busy machine the first questions
 *        of a large lab may take all of that: a few rounds there are, unless `settle` is 0
 *     2. then the pairs that must be isolated, and those that are only measured; an isolation that
 *        does not hold yet is probed again until it holds or `settle` is over
 *
 * So an isolation is judged at the end, when routes have settled, and a lab where all is well costs
 * one round of echo requests.
 */

import type { ReachabilityResult } from "../api.ts";
import { Limiter } from "../limiter.ts";
import type { PairPlan } from "../plan/plan.ts";
import type { Probe } from "./fping.ts";
import { explain } from "./why.ts";

export interface Clock {
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export interface ReachabilityOptions {
  readonly pairs: readonly PairPlan[];
  readonly settleMs: number;
  /** Sends one echo request to each address from a guest. */
  readonly probe: (
    guest: string,
    addresses: readonly string[],
    timeoutMs: number,
  ) => Promise<ReadonlyMap<string, Probe>>;
  /** Why a guest can neither send nor answer; undefined when it can. */
  readonly obstacle: (guest: string) => string | undefined;
  readonly ownerOf: (address: string) => string | undefined;
  /** How many guests probe at once. */
  readonly atOnce: number;
  readonly clock: Clock;
  /** Waits, so long at most, until routes change no more: before that, everything is isolated. */
  readonly quiet?: (mostMs: number) => Promise<void>;
  readonly signal: AbortSignal;
  readonly onProgress: (probed: number, of: number, reached: number) => void;
}

const FIRST_TIMEOUT_MS = 300;
const LONGEST_TIMEOUT_MS = 2000;
/** How long silence must last to count as isolation. */
const ISOLATION_TIMEOUT_MS = 500;
/** Rounds that what does not hold has, also where the first took all the time there was. */
const LEAST_ROUNDS = 3;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;

interface Item {
  readonly pair: PairPlan;
  readonly address: string;
  probe: Probe | undefined;
}

export async function judgeReachability(
  options: ReachabilityOptions,
): Promise<ReachabilityResult[]> {
  const { clock, signal } = options;
  const startedAt = clock.now();
  const deadline = startedAt + options.settleMs;
  const items = options.pairs.flatMap((pair) =>
    pair.addresses.map((address): Item => ({ pair, address, probe: undefined })),
  );
  const limiter = new Limiter(options.atOnce);
  const probed = new Set<Item>();
  const reached = (item: Item) => item.probe?.rttMs != null;
  /** Something came back, if only from another address: its packets get through. */
  const leaks = (item: Item) => reached(item) || item.probe?.otherAddress !== undefined;
  const obstacleOf = ({ pair }: Item) => options.obstacle(pair.from) ?? options.obstacle(pair.to);

  const round = async (wanted: readonly Item[], timeoutMs: number) => {
    const byGuest = new Map<string, Item[]>();
    for (const item of wanted) {
      if (obstacleOf(item) !== undefined) {
        probed.add(item);
        continue;
      }
      const of = byGuest.get(item.pair.from);
      if (of === undefined) byGuest.set(item.pair.from, [item]);
      else of.push(item);
    }
    await Promise.all(
      [...byGuest].map(([guest, of]) =>
        limiter.run(async () => {
          signal.throwIfAborted();
          const addresses = [...new Set(of.map(({ address }) => address))];
          const probes = await options.probe(guest, addresses, timeoutMs);
          for (const item of of) {
            item.probe = probes.get(item.address);
            probed.add(item);
          }
          options.onProgress(probed.size, items.length, items.filter(reached).length);
        }),
      ),
    );
    signal.throwIfAborted();
  };

  /** Probes until all are as wanted, none of the others can change, or the time is up. */
  const settle = async (
    all: readonly Item[],
    holds: (item: Item) => boolean,
    timeouts: { readonly first: number; readonly longest: number },
  ) => {
    let wanted = all;
    let timeoutMs = timeouts.first;
    let pauseMs = FIRST_PAUSE_MS;
    for (let rounds = 1; wanted.length > 0; rounds++) {
      await round(wanted, timeoutMs);
      wanted = wanted.filter((item) => !holds(item) && obstacleOf(item) === undefined);
      const isEnough = rounds >= LEAST_ROUNDS || options.settleMs === 0;
      const leftMs = deadline - clock.now();
      if (wanted.length === 0 || (isEnough && leftMs <= 0)) return;
      await clock.sleep(Math.min(pauseMs, Math.max(FIRST_PAUSE_MS, leftMs)), signal);
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      timeoutMs = Math.min(2 * timeoutMs, timeouts.longest);
    }
  };

  await settle(
    items.filter(({ pair }) => pair.expected === "reach"),
    reached,
    { first: FIRST_TIMEOUT_MS, longest: LONGEST_TIMEOUT_MS },
  );
  if (options.quiet !== undefined && items.some(({ pair }) => pair.expected === "isolate")) {
    await options.quiet(Math.max(0, deadline - clock.now()));
  }
  await settle(
    items.filter(({ pair }) => pair.expected !== "reach"),
    (item) => item.pair.expected === null || !leaks(item),
    { first: ISOLATION_TIMEOUT_MS, longest: ISOLATION_TIMEOUT_MS },
  );
  const triedForMs = clock.now() - startedAt;

  return items.map((item): ReachabilityResult => {
    const { pair, address, probe } = item;
    const { from, to, expected } = pair;
    const obstacle = obstacleOf(item);
    const reachable = obstacle === undefined && reached(item);
    // Of a guest that is gone nothing is known: what must be isolated counts as not shown.
    const ok =
      expected === null ||
      (expected === "reach" ? reachable : !leaks(item) && obstacle === undefined);
    return {
      from,
      to,
      address,
      reachable,
      rttMs: reachable ? (probe?.rttMs ?? null) : null,
      expected,
      ok,
      why: ok
        ? null
        : explain({
            from,
            to,
            address,
            expected,
            probe,
            obstacle,
            ownerOf: options.ownerOf,
            triedForMs,
          }),
    };
  });
}
