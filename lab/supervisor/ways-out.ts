/** The ways out of a lab's guests: their cables in the fabric, and the processes behind them. */

import { join } from "node:path";
import type { ProcessRecord } from "../../base/processes.ts";
import type { LinkSpec } from "../../net/control/messages.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import type { RunningPasst } from "../../net/passt.ts";
import { OUTLET_INTERFACE, type OutletPlan } from "../plan/outlets.ts";
import { outletPath } from "../run-folder.ts";

export interface WayOutOptions {
  readonly guest: string;
  readonly outlet: OutletPlan;
  /** The passt program. */
  readonly program: string;
  readonly folder: string;
  /** The number of its NIC's socket among those of the lab. */
  readonly index: number;
  readonly fabric: RunningFabric;
  readonly onProcess: (what: string, record: ProcessRecord) => void;
}

/** The NIC that a guest with a way out has beside its others. */
export const wayOutNic = (guest: string): string => `${guest}:${OUTLET_INTERFACE}`;

/** The other end of its cable. */
export const wayOutOutlet = (guest: string): string => `${guest}:outside`;

/** Its cable. */
export function wayOutLink(guest: string): LinkSpec {
  const nic = wayOutNic(guest);
  return {
    link: nic,
    ends: [
      { kind: "nic", nic },
      { kind: "outlet", outlet: wayOutOutlet(guest) },
    ],
    up: true,
    impairments: [{}, {}],
    seed: 0,
  };
}

/** Plugs the way out in at its NIC, and starts what is behind it. Throws NO_RIGHT. */
export async function openWayOut(options: WayOutOptions): Promise<RunningPasst> {
  const { guest, outlet, program, folder, index, fabric, onProcess } = options;
  const { mac, ports } = outlet;
  const socketPath = outletPath(folder, index);
  const outside = wayOutOutlet(guest);
  const udp = ports.filter(({ protocol }) => protocol === "udp").map((port) => port.guest);
  await Promise.all([
    fabric.request({
      op: "add-outlet",
      spec: {
        outlet: outside,
        socketPath,
        guest: { mac, address: outlet.address, gateway: outlet.gateway },
        ...(outlet.internet ? {} : { only: { udp } }),
      },
    }),
    fabric.request({ op: "add-link", spec: wayOutLink(guest) }),
  ]);
  const { startPasst } = await import("../../net/passt.ts");
  return startPasst({
    ...outlet,
    guest,
    program,
    socketPath,
    logPath: join(folder, "passt.log"),
    onProcess: (record) => onProcess(`way out of ${guest}`, record),
  });
}
