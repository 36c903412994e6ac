/** The NICs of a guest: one for each interface, and one for its way out. */

import type { NicSpec } from "../../net/control/messages.ts";
import { OUTLET_INTERFACE } from "./outlets.ts";
import type { GuestPlan } from "./plan.ts";

export type NicPlan = Omit<NicSpec, "socketPath">;

/** In the order of its interfaces; that of the way out is the last. */
export function nicsOf({
  name: guest,
  setup,
  outlet,
}: Pick<GuestPlan, "name" | "setup" | "outlet">): NicPlan[] {
  const own = setup.interfaces.map(({ name, mac, mtu }) => ({ nic: `${guest}:${name}`, mac, mtu }));
  if (outlet === null) return own;
  const { mac, mtu } = outlet;
  return [...own, { nic: `${guest}:${OUTLET_INTERFACE}`, mac, mtu }];
}
