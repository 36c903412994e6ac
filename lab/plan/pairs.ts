/** The ordered pairs that are probed, and what is expected of each. */

import { formatIp } from "../../base/addresses.ts";
import type { Topology } from "../topology/topology.ts";
import type { PairPlan } from "./plan.ts";

/**
 * Ordered pairs of two guests, in the order of the file; the more exact rule decides.
 * @param everyPair also those that no rule speaks of.
 */
export function pairsOf(
  { guests, rules }: Pick<Topology, "guests" | "rules">,
  everyPair: boolean,
): PairPlan[] {
  const index = new Map(guests.map(({ name }, i) => [name, i]));
  const count = guests.length;
  // A number a pair: 2 * exactness, + 1 for isolate, which wins among equals; -1 where none speaks.
  const verdicts = new Int8Array(count * count).fill(-1);
  for (const { expected, from, to, exactness } of rules) {
    const weight = 2 * exactness + (expected === "isolate" ? 1 : 0);
    const targets = to.map((name) => index.get(name)).filter((i) => i !== undefined);
    for (const name of from) {
      const row = index.get(name);
      if (row === undefined) continue;
      for (const column of targets) {
        const at = row * count + column;
        if (weight > (verdicts[at] as number)) verdicts[at] = weight;
      }
    }
  }
  const addresses = guests.map(({ interfaces }) =>
    interfaces.flatMap((item) => item.addresses.map(({ address }) => formatIp(address))),
  );
  const pairs: PairPlan[] = [];
  for (const [row, from] of guests.entries()) {
    for (const [column, to] of guests.entries()) {
      if (row === column) continue;
      const verdict = verdicts[row * count + column] as number;
      if (verdict < 0 && !everyPair) continue;
      pairs.push({
        from: from.name,
        to: to.name,
        addresses: addresses[column] as string[],
        expected: verdict < 0 ? null : verdict % 2 === 1 ? "isolate" : "reach",
      });
    }
  }
  return pairs;
}
