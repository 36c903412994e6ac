/** What a running lab tells of its guests: their state and cost, and what one is made of. */

import { LabError } from "../../base/errors.ts";
import type { NicDevice } from "../../kernel/guest/inspect/devices.ts";
import type { GuestSpec } from "../../kernel/guest/spec.ts";
import { endName, type FabricCounters, type LinkEnd } from "../../net/control/messages.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import type { GuestStatus, Inspection, Report } from "../api.ts";
import type { GuestKeeper } from "./guest-keeper.ts";
import { usageOf } from "./usage.ts";
import { within } from "./within.ts";

/** A guest that can't list its processes in this time hangs, and is shown from outside only. */
const INSPECT_MS = 5_000;
const NEVER = new AbortController().signal;

/** Milliseconds as reports have them. */
export const round = (ms: number): number => Math.round(ms * 10) / 10;

/** A guest in a report. */
export function reportOf(keeper: GuestKeeper): Report["guests"][number] {
  return {
    name: keeper.name,
    state: keeper.state,
    pid: keeper.process?.pid ?? null,
    bootMs: keeper.bootMs === null ? null : round(keeper.bootMs),
    kernel: keeper.spec.kernel.release,
    interfaces: interfacesOf(keeper.spec),
  };
}

export async function statusOf(keeper: GuestKeeper): Promise<GuestStatus> {
  const { process, spec } = keeper;
  const usage = process === null ? undefined : await usageOf(process);
  return {
    ...reportOf(keeper),
    image: spec.image.reference,
    memoryBytes: spec.memoryBytes,
    residentBytes: usage?.residentBytes ?? null,
    cpuSeconds: usage?.cpuSeconds ?? null,
  };
}

function interfacesOf({ setup }: GuestSpec): Report["guests"][number]["interfaces"] {
  return setup.interfaces.map(({ name, mac, addresses }) => ({ name, mac, addresses }));
}

/** Throws GUEST_FAILED where it does not run. */
export async function inspect(keeper: GuestKeeper, fabric: RunningFabric): Promise<Inspection> {
  const { process, spec, name } = keeper;
  if (process === null) throw new LabError("GUEST_FAILED", keeper.obstacle ?? `${name} is gone`);
  const [{ inspectGuest }, counters] = await Promise.all([
    import("../../kernel/guest/inspect/inspect.ts"),
    fabric.request({ op: "counters" }),
  ]);
  const { nics, ...guest } = await inspectGuest({
    spec,
    process,
    run: async (request) => within(keeper.guest.run(request), INSPECT_MS, NEVER),
  });
  return {
    ...guest,
    state: keeper.state,
    nics: nics.map((nic) => pluggedIn(nic, `${name}:${nic.name}`, counters)),
  };
}

/** With what the fabric knows of a NIC. */
function pluggedIn(
  nic: NicDevice,
  name: string,
  counters: FabricCounters | undefined,
): Inspection["nics"][number] {
  const isIt = (end: LinkEnd) => end.kind === "nic" && end.nic === name;
  const link = counters?.links.find(({ ends }) => ends?.some(isIt));
  const other = link?.ends?.find((end) => !isIt(end));
  return {
    ...nic,
    connected: counters?.nics.find((one) => one.nic === name)?.connected ?? false,
    link:
      link === undefined || other === undefined
        ? null
        : {
            name: link.link,
            up: link.up,
            to: other.kind === "switch" ? `switch ${other.switch}` : endName(other),
          },
  };
}
