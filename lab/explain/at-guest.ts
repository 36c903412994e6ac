/**
 * A packet that a guest should send, or send on, and did not: why, from what the guest's kernel says.
 * The same for the source, for a router, and for whoever answers.
 */

import {
  contains,
  formatInterfaceAddress,
  formatIp,
  networkOf,
  parseIp,
} from "../../base/addresses.ts";
import { type Case, familyOf, ipName, named } from "./case.ts";
import type { Finding } from "./explanation.ts";
import { guilty } from "./firewall.ts";
import {
  addressesOf,
  failsReversePath,
  forbiddingRoute,
  forwards,
  type GuestView,
  interfaceView,
  lookupOf,
  type RouteAnswer,
} from "./guest-view.ts";
import { unanswered } from "./journey.ts";
import { down, lacks, silentNeighbor } from "./neighbors.ts";
import { pulled } from "./on-link.ts";
import type { Leg } from "./way.ts";
import type { Port } from "./wiring.ts";

/** A packet at the guest that it died in. */
export interface Death {
  readonly guest: string;
  /** Where it was going, as this guest saw it. */
  readonly to: string;
  readonly from: string | undefined;
  /** How it came in; undefined: the guest itself sends it. */
  readonly by: Leg | undefined;
  /** `the request`, `the answer` */
  readonly what: string;
  readonly returning: boolean;
  /** `, and answered with ICMP "network unreachable"`, or nothing. */
  readonly told: string;
}

/** Undefined: nothing that the guest says explains it. */
export function diedAt(known: Case, death: Death): Finding | undefined {
  const { guest, to } = death;
  const view = known.views.get(guest);
  const ask = askedInVain(known, death);
  if (ask !== undefined) {
    return silentNeighbor(known, ask.port, ask.address, to, death.what);
  }
  if (view === undefined || view.interfaces.length === 0) return undefined;
  const port = inPort(death);
  if (port !== undefined) {
    const off = notForwarding(known, view, death, port);
    if (off !== undefined) return off;
    const through = lookupOf(view, { to, from: death.from as string, in: port.interface });
    const local = lookupOf(view, { to });
    if (through?.refusal != null) {
      const forbidding = forbiddingRoute(view, to);
      if (forbidding !== undefined) return forbidden(death, forbidding);
      if (local?.refusal != null || isNoRoute(through)) return noRoute(known, view, death);
      const reverse = reversePath(known, view, death, port, through);
      if (reverse !== undefined) return reverse;
    }
  }
  const route = lookupOf(view, { to });
  if (route === undefined) return undefined;
  const forbidding = forbiddingRoute(view, to);
  if (forbidding !== undefined && route.type !== "local") return forbidden(death, forbidding);
  if (route.refusal !== null) return noRoute(known, view, death);
  return atTheWayOut(known, view, death, route);
}

/** The address that a guest asked for in vain while the packet waited in it. */
function askedInVain(
  known: Case,
  { guest, to, by }: Death,
): { readonly port: Port; readonly address: string } | undefined {
  const since = by?.crossing.leftNs ?? 0;
  const family = familyOf(to);
  const view = known.views.get(guest);
  const route = view && lookupOf(view, { to });
  const wanted = route?.refusal === null ? (route.via ?? to) : undefined;
  const vain = unanswered(known.legs, guest).filter((address) => familyOf(address) === family);
  // with a route known, only its next hop counts: the guest may ask for others meanwhile
  const address = wanted === undefined ? vain[0] : vain.find((one) => one === wanted);
  if (address === undefined) return undefined;
  const leg = known.legs.findLast(
    ({ crossing, from }) =>
      crossing.frame.kind === "ask" &&
      crossing.frame.to === address &&
      crossing.enteredNs >= since - ASKED_BEFORE_NS &&
      from.kind === "guest" &&
      from.guest === guest,
  );
  if (leg?.from.kind !== "guest") return undefined;
  return { port: leg.from, address };
}

/** A question may be older than this probe: the kernel asks three times, a second apart. */
const ASKED_BEFORE_NS = 4e9;

const inPort = ({ by }: Death): Port | undefined => (by?.to.kind === "guest" ? by.to : undefined);

const isNoRoute = ({ refusal }: RouteAnswer): boolean => refusal === "Network is unreachable";

function notForwarding(
  known: Case,
  view: GuestView,
  { guest, to, by, what, returning }: Death,
  port: Port,
): Finding | undefined {
  const family = familyOf(to);
  if (forwards(view, family)) return undefined;
  const sender = by && known.wiring.byMac(by.crossing.frame.fromMac)?.guest;
  const planned = known.wiring.guests.get(guest)?.forward === true;
  const routers = known.wiring
    .routersOn(port, family)
    .filter((one) => one.guest !== guest && one.guest !== sender);
  if (!planned && sender !== undefined && routers.length > 0) {
    const own = known.wiring
      .addressesOf(guest, family)
      .find((one) => one.interface === port.interface)?.text;
    const right = routers.map((one) => `${one.guest} has ${one.text}`).join(", ");
    return {
      cause: "wrong-gateway",
      at: { guest: sender, ...(own === undefined ? {} : { address: own }) },
      sentence: `${sender}'s gateway is wrong: it sends what is for ${named(known, to)} to ${guest}${own === undefined ? "" : ` (${own})`}, which does not forward (${right}).`,
      hint: `uml-lab exec ${sender} -- ip route`,
    };
  }
  const key = family === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
  return {
    cause: "forwarding-off",
    at: { guest, interface: port.interface },
    sentence: `${guest} does not forward ${ipName(family)}: ${what}${returning ? "" : ` to ${named(known, to)}`} came to its ${port.interface} and was dropped, because its sysctl ${key} is 0.`,
    hint: planned
      ? `uml-lab exec ${guest} -- sysctl -w ${key}=1`
      : `write \`forward: true\` for ${guest}`,
  };
}

function reversePath(
  known: Case,
  view: GuestView,
  { guest, from, what }: Death,
  port: Port,
  through: RouteAnswer,
): Finding | undefined {
  if (!failsReversePath(view, through) || from === undefined) return undefined;
  const back = lookupOf(view, { to: from });
  const other =
    back?.interface == null
      ? `it has no route back to ${from}`
      : `its own route to ${named(known, from)} leads out of ${back.interface}`;
  return {
    cause: "reverse-path-filter",
    at: { guest, interface: port.interface, address: from },
    sentence: `${guest}'s reverse-path filter dropped ${what}: it came in by ${port.interface}, and ${other}.`,
    hint: `uml-lab exec ${guest} -- sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.${port.interface}.rp_filter`,
  };
}

function forbidden({ guest, to, by, told }: Death, type: string): Finding {
  return {
    cause: by === undefined ? "no-route" : "no-route-at-router",
    at: { guest, address: to },
    sentence: `${guest} has a route of the type \`${type}\` for ${to}, which lets nothing through${told}.`,
    hint: `uml-lab exec ${guest} -- ip route get ${to}`,
  };
}

/** Why there is no route: something that would make one is missing, or nobody ever gave one. */
export function noRoute(known: Case, view: GuestView, death: Death): Finding {
  const { guest, to, by, returning, told } = death;
  const family = familyOf(to);
  const address = parseIp(to);
  const missing = address && whatIsMissing(known, view, death);
  if (missing !== undefined) return missing;
  const own = addressesOf(view, family);
  if (own.length === 0) {
    const ports = view.interfaces.filter(({ name }) => name !== "lo").map(({ name }) => name);
    return {
      cause: "no-address",
      at: { guest, ...(ports[0] === undefined ? {} : { interface: ports[0] }) },
      sentence: `${guest} has no ${ipName(family)} address${ports.length === 0 ? "" : ` on ${ports.join(", ")}`}, so it can't send to ${named(known, to)}.`,
      hint: `uml-lab exec ${guest} -- ip address`,
    };
  }
  const narrow = address && tooNarrow(known, view, death);
  if (narrow !== undefined) return narrow;
  const target = known.wiring.owner(to);
  const network =
    target === undefined ? undefined : formatInterfaceAddress(networkOf(target.address));
  const where =
    network === undefined
      ? named(known, to)
      : `${named(known, to)}, which is in ${network}${told === "" ? "" : ","}`;
  const common = {
    at: { guest, address: to, ...(network === undefined ? {} : { prefix: network }) },
    hint: `uml-lab exec ${guest} -- ip ${family === 6 ? "-6 " : ""}route`,
  };
  if (returning) {
    return {
      cause: "no-way-back",
      ...common,
      sentence: `The request gets there, but there is no way back: ${guest} has no route to ${where}${told}.`,
    };
  }
  return {
    cause: by === undefined ? "no-route" : "no-route-at-router",
    ...common,
    sentence: `${guest} has no route to ${where}${by === undefined ? ": no subnet of its own has it, and it has no gateway for it" : told}.`,
  };
}

/** The interface or the address by which the plan means the packet to go. */
function whatIsMissing(known: Case, view: GuestView, { guest, to }: Death): Finding | undefined {
  const planned = known.wiring.plannedWay(guest, parseIp(to)!);
  if (planned === undefined) return undefined;
  const one = interfaceView(view, planned.interface);
  if (one === undefined) return undefined;
  if (!one.up) return down(planned, `${guest} has no route to ${named(known, to)} without it`);
  const family = familyOf(to);
  for (const wanted of known.wiring.addressesOf(guest, family)) {
    if (wanted.interface !== planned.interface) continue;
    const same = one.addresses.find(({ address }) => formatIp(address) === wanted.text);
    if (same === undefined) return lacks(view, wanted, wanted.text);
    if (same.prefixLength !== wanted.address.prefixLength) {
      return wrongPrefix(
        known,
        wanted,
        formatInterfaceAddress(same),
        to,
        wanted.address.prefixLength,
      );
    }
  }
  return undefined;
}

/** The target is on a wire of the guest, and outside the subnet that its prefix length gives. */
function tooNarrow(known: Case, view: GuestView, { guest, to }: Death): Finding | undefined {
  const owner = known.wiring.owner(to);
  if (owner === undefined) return undefined;
  for (const one of view.interfaces) {
    const port = { guest, interface: one.name };
    const near = known.wiring
      .onWire(port)
      .some((other) => other.guest === owner.guest && other.interface === owner.interface);
    if (!near) continue;
    const mine = one.addresses.find(
      (own) =>
        contains(networkOf(owner.address), own.address) &&
        !contains(networkOf(own), owner.address.address),
    );
    if (mine === undefined) continue;
    return wrongPrefix(known, port, formatInterfaceAddress(mine), to, owner.address.prefixLength);
  }
  return undefined;
}

function wrongPrefix(known: Case, port: Port, has: string, to: string, length: number): Finding {
  return {
    cause: "wrong-prefix",
    at: { guest: port.guest, interface: port.interface, prefix: has, address: to },
    sentence: `${port.guest}'s ${port.interface} has the wrong prefix length: with ${has} its subnet does not reach ${named(known, to)}; on that wire it is /${length}.`,
    hint: `uml-lab exec ${port.guest} -- ip address show ${port.interface}`,
  };
}

/** There is a route; what of the interface it leads to, and of the firewall before it? */
function atTheWayOut(
  known: Case,
  view: GuestView,
  { guest, to, by, what }: Death,
  route: RouteAnswer,
): Finding | undefined {
  const name = route.interface;
  if (name !== null && route.type !== "local") {
    const port = { guest, interface: name };
    const one = interfaceView(view, name);
    if (one !== undefined && !one.up) return down(port, `${what} can't leave by it`);
    const link = known.wiring.linkOf(port);
    if (link !== undefined && known.linkState(link.link)?.up === false) {
      return pulled(known, link.link);
    }
    // asked before this probe, in vain: the kernel does not ask again at once
    const next = route.via ?? to;
    const gaveUp = view.neighbors.some(
      ({ address, state }) => address === next && /FAILED|INCOMPLETE/.test(state),
    );
    if (gaveUp) return silentNeighbor(known, port, next, to, what);
    const mtu = one?.mtu ?? 0;
    if (mtu > 0 && known.size > mtu) {
      return {
        cause: "mtu-black-hole",
        at: { guest, interface: name },
        sentence: `${guest} can't send packets of ${known.size} bytes on: the MTU of ${name} is ${mtu}. No ICMP error tells the sender, so it goes on sending packets that are too long.`,
        hint: `give every interface on the way the same MTU, or let ICMP errors through`,
      };
    }
  }
  const rule = blamedRule(known, guest, by === undefined ? OWN_HOOKS : TRANSIT_HOOKS);
  return rule === undefined
    ? undefined
    : dropped(known, guest, inPort({ by } as Death), what, to, rule);
}

export const OWN_HOOKS = ["output", "postrouting", "egress"];
export const TRANSIT_HOOKS = ["ingress", "prerouting", "forward", "postrouting", "egress"];
export const ARRIVING_HOOKS = ["ingress", "prerouting", "input"];

export function blamedRule(known: Case, guest: string, hooks: readonly string[]) {
  const after = known.views.get(guest)?.dropRules ?? [];
  return guilty(known.rulesBefore.get(guest) ?? after, after, hooks);
}

export function dropped(
  known: Case,
  guest: string,
  port: Port | undefined,
  what: string,
  to: string,
  blamed: NonNullable<ReturnType<typeof guilty>>,
): Finding {
  const { rule, sure } = blamed;
  const device = rule.interface ?? port?.interface;
  const at = { guest, ...(device === undefined ? {} : { interface: device }) };
  const where = port === undefined ? "" : ` that came to its ${port.interface}`;
  const rejects = rule.verdict === "reject";
  const verb = rejects ? "rejects" : "drops";
  const hint =
    rule.system === "tc"
      ? `uml-lab exec ${guest} -- tc -s filter show dev ${rule.interface} ${rule.hook}`
      : rule.system === "nftables"
        ? `uml-lab exec ${guest} -- nft list ruleset`
        : `uml-lab exec ${guest} -- iptables -L -v -n`;
  return {
    cause: rejects ? "firewall-reject" : "firewall-drop",
    at,
    sentence: `${guest}'s firewall ${sure ? verb : `most likely ${verb}`} ${what} to ${named(known, to)}${where}: ${rule.name}.`,
    hint,
  };
}
