/** From what a file expects to what is probed: pairs, checks, claims with their addresses. */

import { formatIp } from "../../base/addresses.ts";
import type { Topology, TopologyClaim, TopologyExpectations } from "../topology/topology.ts";
import type { ClaimPlan, ExpectPlan } from "./expect-plan.ts";
import { pairsOf } from "./pairs.ts";

/** @param everyPair also those that nothing is said of: they are measured. */
export function expectPlan(
  guests: Topology["guests"],
  { rules, checks, claims, settleMs }: TopologyExpectations,
  { everyPair }: { readonly everyPair: boolean },
): ExpectPlan {
  return {
    pairs: pairsOf({ guests, rules }, everyPair),
    checks,
    claims: claims.map((claim) => withAddress(guests, claim)),
    settleMs,
  };
}

function withAddress(guests: Topology["guests"], claim: TopologyClaim): ClaimPlan {
  if (claim.kind !== "path" && claim.kind !== "perf") return claim;
  return { ...claim, address: firstAddressOf(guests, claim.to) };
}

/** By which a guest is spoken to where one address is enough; empty where it has none. */
export function firstAddressOf(guests: Topology["guests"], name: string): string {
  return addressesOf(guests, name)[0] ?? "";
}

export function addressesOf(guests: Topology["guests"], name: string): string[] {
  const guest = guests.find((one) => one.name === name);
  return (guest?.interfaces ?? []).flatMap(({ addresses }) =>
    addresses.map(({ address }) => formatIp(address)),
  );
}
