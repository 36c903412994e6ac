/** From the events of a file to what is done and when. */

import type { Topology, TopologyEvent, TopologyFlow } from "../topology/topology.ts";
import type { ActionPlan, EventPlan, FlowPlan } from "./event-plan.ts";
import { addressesOf, expectPlan, firstAddressOf } from "./expectations.ts";

/** Where flows of TCP and UDP are received; each has its own. */
const FIRST_PORT = 5201;

export function eventPlans({ guests, events }: Topology): EventPlan[] {
  let flows = 0;
  const names = new Map<string, number>();
  return events.map((event): EventPlan => {
    let action: ActionPlan;
    if (event.kind === "flow") {
      const name = distinct(names, flowName(event.flow));
      const address = firstAddressOf(guests, event.flow.to);
      const family = (one: string) => one.includes(":");
      const flow: FlowPlan = {
        ...event.flow,
        name,
        address,
        sources: addressesOf(guests, event.flow.from).filter(
          (one) => family(one) === family(address),
        ),
        port: FIRST_PORT + flows++,
      };
      action = { kind: "flow", flow };
    } else if (event.kind === "expect") {
      const plan = expectPlan(guests, event.expectations, { everyPair: false });
      action = {
        kind: "expect",
        expect: event.withinMs === undefined ? plan : { ...plan, settleMs: event.withinMs },
      };
    } else if (event.kind === "link") {
      action = { kind: "link", link: event.link, change: event.change };
    } else action = event;
    return {
      ...action,
      atMs: event.atMs,
      name: nameOf(event),
      withinMs: event.withinMs,
      points: event.points ?? (isJudged(event) ? 1 : 0),
    };
  });
}

const flowName = ({ protocol, iperf3, from, to }: TopologyFlow): string =>
  `${iperf3 ? "iperf3" : protocol} ${from} -> ${to}`;

function distinct(names: Map<string, number>, name: string): string {
  const before = names.get(name) ?? 0;
  names.set(name, before + 1);
  return before === 0 ? name : `${name} #${before + 1}`;
}

/** A command is judged by its exit status, and counts only where the file says so. */
function isJudged(event: TopologyEvent): boolean {
  if (event.kind === "flow") return Object.keys(event.flow.bounds).length > 0;
  if (event.kind === "run") return false;
  return event.kind === "expect" || event.withinMs !== undefined;
}

function nameOf(event: TopologyEvent): string {
  switch (event.kind) {
    case "link": {
      const { up } = event.change;
      const changes = [up === undefined ? "" : up ? "up" : "down", event.text];
      return `link ${event.link} ${changes.filter((one) => one !== "").join(", ")}`;
    }
    case "run":
      return `${event.on}: ${event.command}`;
    case "guests":
      return `${event.operation} ${event.guests.join(", ")}`;
    case "flow":
      return flowName(event.flow);
    case "expect":
      return "expect";
  }
}
