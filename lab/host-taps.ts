/** Whether the host's TAPs that a lab wants can be had: told before anything starts. */

import type { LabPlan } from "./plan/plan.ts";

/** By its name at the host. */
const tapsOf = ({ links }: Pick<LabPlan, "links">): string[] =>
  links.flatMap(({ ends }) => ends.flatMap((end) => (end.kind === "tap" ? [end.device] : [])));

/**
 * Opens each once. Throws NO_RIGHT or NO_TAP for the first that can't be had.
 * @param running a lab that has its own already.
 */
export async function checkHostTaps(plan: LabPlan, running?: LabPlan): Promise<void> {
  const own = new Set(running === undefined ? [] : tapsOf(running));
  const wanted = tapsOf(plan).filter((device) => !own.has(device));
  if (wanted.length === 0) return;
  const { openHostTap } = await import("../net/host-tap-device.ts");
  for (const device of wanted) openHostTap(device).close();
}
