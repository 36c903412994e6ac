/**
 * `why` for the pairs of a report that are not as expected. A few of them are explained, as different
 * from each other as can be, within a bound of time; the others get the sentence of one that failed
 * for the same reason, where that is plain, or keep what the prober said.
 */

import { parseIp } from "../../base/addresses.ts";
import type { ReachabilityResult } from "../api.ts";
import { Limiter } from "../limiter.ts";
import type { Explainer } from "./explain.ts";
import type { Explanation } from "./explanation.ts";

export const MOST_EXPLAINED = 12;
const AT_ONCE = 4;
const LONGEST_MS = 15_000;

export interface FailureOptions {
  readonly explainer: Pick<Explainer, "explainAddress">;
  /** Why a guest can do nothing: then there is nothing to explain. */
  readonly obstacle: (guest: string) => string | undefined;
  readonly now: () => number;
}

interface Explained {
  readonly result: ReachabilityResult;
  readonly explanation: Explanation;
}

export async function explainFailures(
  results: readonly ReachabilityResult[],
  { explainer, obstacle, now }: FailureOptions,
): Promise<ReachabilityResult[]> {
  const failed = results.filter(
    ({ ok, from, to }) => !ok && obstacle(from) === undefined && obstacle(to) === undefined,
  );
  const deadline = now() + LONGEST_MS;
  const limiter = new Limiter(AT_ONCE);
  const explained: Explained[] = [];
  await Promise.all(
    mostDifferent(failed, MOST_EXPLAINED).map((result) =>
      limiter.run(async () => {
        const address = parseIp(result.address);
        if (address === undefined || now() > deadline) return;
        const { from, to } = result;
        const pair = { from, to, address, probe: { kind: "icmp" } as const };
        explained.push({ result, explanation: await explainer.explainAddress(pair, "brief") });
      }),
    ),
  );
  return results.map((result) =>
    failed.includes(result) ? { ...result, why: whyOf(result, explained) } : result,
  );
}

/** Pairs whose guests and addresses were seldom taken before; the order of the report breaks ties. */
export function mostDifferent(
  failed: readonly ReachabilityResult[],
  most: number,
): ReachabilityResult[] {
  const used = new Map<string, number>();
  const usesOf = ({ from, to, address }: ReachabilityResult) =>
    [`from ${from}`, `to ${to}`, address].reduce((sum, key) => sum + (used.get(key) ?? 0), 0);
  const left = [...failed];
  const chosen: ReachabilityResult[] = [];
  while (left.length > 0 && chosen.length < most) {
    let best = 0;
    for (let i = 1; i < left.length; i++) {
      if (usesOf(left[i]!) < usesOf(left[best]!)) best = i;
    }
    const [one] = left.splice(best, 1) as [ReachabilityResult];
    chosen.push(one);
    for (const key of [`from ${one.from}`, `to ${one.to}`, one.address]) {
      used.set(key, (used.get(key) ?? 0) + 1);
    }
  }
  return chosen;
}

export function whyOf(result: ReachabilityResult, explained: readonly Explained[]): string | null {
  const own = explained.find((one) => one.result === result);
  if (own !== undefined) return ownWhy(result, own.explanation);
  const known = explained.filter(
    ({ result: other, explanation }) =>
      other.expected === result.expected && explanation.cause !== null,
  );
  const alike =
    known.find(({ result: other, explanation: { at } }) => {
      const sameTarget = other.to === result.to && at.guest === result.to;
      return sameTarget || (other.from === result.from && at.guest === result.from);
    }) ??
    (new Set(known.map(({ explanation }) => blame(explanation))).size === 1 ? known[0] : undefined);
  if (alike === undefined) return result.why;
  return `as ${alike.result.from} to ${alike.result.to}: ${alike.explanation.sentence}`;
}

/** What makes two findings the same one. */
const blame = ({ cause, at }: Explanation): string =>
  [cause, at.guest, at.interface, at.link, at.switch].join(" ");

function ownWhy(result: ReachabilityResult, explanation: Explanation): string | null {
  if (result.expected === "isolate") {
    const routers = explanation.there
      .slice(1, -1)
      .flatMap((hop) => (hop.kind === "guest" ? [hop.guest] : []));
    if (routers.length === 0) return result.why;
    return `${result.why}; the way leads over ${routers.join(", ")}`;
  }
  if (explanation.cause !== null) return explanation.sentence;
  return `${result.why ?? "no answer"}; it answers now, so it was only late`;
}
