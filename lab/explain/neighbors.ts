/**
 * A guest asked its wire who has an address (ARP, neighbour discovery), and heard nothing: why.
 *
 *     asked over the right wire? -> did the question arrive? -> could it be answered? -> did that arrive?
 */

import { contains, formatInterfaceAddress, networkOf, parseIp } from "../../base/addresses.ts";
import { endName } from "../../net/control/messages.ts";
import { asking, type Case, familyOf, holders, ipName } from "./case.ts";
import type { Finding } from "./explanation.ts";
import { guilty, hasDropped } from "./firewall.ts";
import { addressesOf, type GuestView, holderOf, interfaceView } from "./guest-view.ts";
import { asksOf, tellsOf } from "./journey.ts";
import { capital, inSwitch, onLink, pulled } from "./on-link.ts";
import { guestOf, type Leg } from "./way.ts";
import type { PlannedAddress, Port } from "./wiring.ts";

/**
 * @param asker who asks, and by which interface. @param address what for. @param target where the
 * packet is to go in the end: the address itself, or something behind a gateway.
 * @param what `the request`, `the answer`.
 */
export function silentNeighbor(
  known: Case,
  asker: Port,
  address: string,
  target: string,
  what: string,
): Finding {
  const { wiring } = known;
  const family = familyOf(address);
  const isGateway = address !== target;
  const held = holders(known, address)[0];
  const owner: Port | undefined = wiring.owner(address) ?? held;
  const asks = asksOf(known.legs, asker.guest, address);
  const question = `${asker.guest} asks for ${address} by ${asking(family)} on ${asker.interface}`;

  const lost = asks.find(({ crossing }) => crossing.drop !== null || crossing.leftNs === null);
  if (lost !== undefined) return onLink(known, lost, `the ${asking(family)} request`);

  if (owner === undefined) {
    if (isGateway) return wrongGateway(known, asker, address, "and nobody there has this address");
    return {
      cause: "neighbor-silent",
      at: { guest: asker.guest, interface: asker.interface, address },
      sentence: `${question}, and nobody answers: no guest of this lab has ${address}.`,
      hint: `uml-lab exec ${asker.guest} -- ip neigh`,
    };
  }
  const onWire = wiring
    .onWire(asker)
    .some((port) => port.guest === owner.guest && port.interface === owner.interface);
  if (!onWire) {
    if (isGateway) {
      return wrongGateway(
        known,
        asker,
        address,
        `and it is the address of ${owner.guest}'s ${owner.interface}, which is on another wire`,
      );
    }
    return tooWide(known, asker, address, owner);
  }
  return asked(known, asker, address, owner, what);
}

/** The one that should answer is on the wire. */
function asked(known: Case, asker: Port, address: string, owner: Port, what: string): Finding {
  const family = familyOf(address);
  const obstacle = known.obstacle(owner.guest);
  if (obstacle !== undefined) {
    return {
      cause: "guest-gone",
      at: { guest: owner.guest },
      sentence: `${capital(obstacle)}: nobody answers for ${address}.`,
    };
  }
  // What the owner itself says is surer than what was seen of one question.
  const wrong = unable(known, owner, address, asker);
  if (wrong !== undefined) return wrong;
  const link = known.wiring.linkOf(owner);
  if (link !== undefined && known.linkState(link.link)?.up === false) {
    return pulled(known, link.link);
  }
  const question = (leg: Leg) =>
    leg.crossing.frame.kind === "ask" && leg.crossing.frame.to === address;
  const copies = known.legs.filter(question);
  const arrival = copies.find(
    (leg) => guestOf(leg.to) === owner.guest && leg.crossing.link === link?.link,
  );
  if (arrival === undefined && copies.length > 0) {
    // the switch nearest to the owner that the question came to
    const last = copies.findLast((leg) => leg.to.kind === "switch");
    const stuck = last && stuckAt(known, copies, owner);
    if (stuck !== undefined) {
      return inSwitch(known, stuck.leg, stuck.towards, `the ${asking(family)} request`);
    }
    return {
      cause: "neighbor-silent",
      at: { guest: asker.guest, interface: asker.interface, address },
      sentence: `${asker.guest} asks for ${address} on ${asker.interface}, and the question does not come to ${owner.guest}.`,
    };
  }
  if (arrival?.crossing.leftNs === null) {
    return onLink(known, arrival, `the ${asking(family)} request`);
  }
  const told = tellsOf(known.legs, address).at(-1);
  if (told !== undefined && !(told.accepted && guestOf(told.to) === asker.guest)) {
    const reply = `${owner.guest}'s ${asking(family)} answer`;
    if (told.crossing.leftNs === null) return onLink(known, told, reply);
    if (told.to.kind === "switch") {
      return inSwitch(known, told, known.wiring.linkOf(asker)?.link, reply);
    }
  }
  const rules = known.views.get(owner.guest)?.dropRules ?? [];
  const hooks = ["ingress", "input"];
  const rule =
    guilty(known.rulesBefore.get(owner.guest) ?? rules, rules, hooks)?.rule ??
    hasDropped(rules, hooks);
  if (rule !== undefined) {
    return {
      cause: "neighbor-silent",
      at: { guest: owner.guest, interface: owner.interface, address },
      sentence: `${owner.guest} does not answer ${asker.guest}'s ${asking(family)} question for ${address}, and has a rule that may drop it: ${rule.name}.`,
      hint: `uml-lab exec ${owner.guest} -- tc -s filter show dev ${owner.interface} ingress`,
    };
  }
  return {
    cause: "neighbor-silent",
    at: { guest: owner.guest, interface: owner.interface, address },
    sentence: `${owner.guest} does not answer ${asking(family)}: ${asker.guest} asks for ${address}, ${arrival === undefined ? "" : `the question comes to ${owner.guest}'s ${owner.interface}, `}and no answer comes, so ${what} can't be sent.`,
    hint: `uml-lab capture ${owner.guest}:${owner.interface}`,
  };
}

/** The switch where copies of a question stopped on their way to a guest. */
function stuckAt(
  known: Case,
  copies: readonly Leg[],
  owner: Port,
): { readonly leg: Leg; readonly towards: string } | undefined {
  // from the owner's link backwards: the first switch that heard the question and did not pass it on
  const seen = new Set<string>();
  let places = [{ place: `${owner.guest}:${owner.interface}` }];
  while (places.length > 0) {
    const next: { place: string }[] = [];
    for (const { place } of places) {
      for (const link of known.wiring.linksAt(place)) {
        const far = link.ends.map(endName).find((end) => end !== place);
        if (far === undefined || seen.has(far)) continue;
        seen.add(far);
        const leg = copies.find(({ to }) => to.kind === "switch" && to.switch === far);
        if (leg !== undefined && leg.crossing.link !== link.link) {
          return { leg, towards: link.link };
        }
        next.push({ place: far });
      }
    }
    places = next.filter(({ place }) => !place.includes(":"));
  }
  return undefined;
}

/** What keeps a guest from answering for an address of its own. */
export function unable(
  known: Case,
  owner: Port,
  address: string,
  asker: Port | undefined,
): Finding | undefined {
  const view = known.views.get(owner.guest);
  if (view === undefined || view.interfaces.length === 0) return undefined;
  const one = interfaceView(view, owner.interface);
  const at = { guest: owner.guest, interface: owner.interface, address };
  if (one !== undefined && !one.up) return down(owner, `nobody answers for ${address}`);
  if (holderOf(view, address) === undefined) return lacks(view, owner, address);
  if (one?.duplicates.includes(address) === true) {
    return {
      cause: "duplicate-address",
      at,
      sentence: `${owner.guest}'s ${owner.interface} does not use ${address}, because duplicate address detection found that somebody else has it.`,
    };
  }
  const family = familyOf(address);
  if (one?.arp === false && asker !== undefined) {
    return {
      cause: "neighbor-silent",
      at,
      sentence: `${owner.guest} does not answer ${asking(family)}: ARP is switched off on its ${owner.interface}, so ${asker.guest} learns no MAC address for ${address}.`,
      hint: `uml-lab exec ${owner.guest} -- ip link set ${owner.interface} arp on`,
    };
  }
  if (family === 4 && asker !== undefined) {
    const ignore = ["all", owner.interface]
      .map((name) => Number(view.sysctl.get(`net/ipv4/conf/${name}/arp_ignore`) ?? 0))
      .reduce((a, b) => Math.max(a, b), 0);
    if (ignore >= 3) {
      return {
        cause: "neighbor-silent",
        at,
        sentence: `${owner.guest} does not answer ARP: its sysctl net.ipv4.conf.${owner.interface}.arp_ignore is ${ignore}, so ${asker.guest} learns no MAC address for ${address}.`,
        hint: `uml-lab exec ${owner.guest} -- sysctl -w net.ipv4.conf.${owner.interface}.arp_ignore=0`,
      };
    }
  }
  return undefined;
}

export function down(port: Port, consequence: string): Finding {
  return {
    cause: "interface-down",
    at: { guest: port.guest, interface: port.interface },
    sentence: `${port.guest}'s ${port.interface} is down: ${consequence}.`,
    hint: `uml-lab exec ${port.guest} -- ip link set ${port.interface} up`,
  };
}

/** A guest that lacks an address which the topology gives it. */
export function lacks(view: GuestView, port: Port, address: string): Finding {
  const family = familyOf(address);
  const others = interfaceView(view, port.interface)?.addresses.filter(
    (own) => own.address.family === family && addressesOf(view, family).includes(own),
  );
  const has =
    others === undefined || others.length === 0
      ? `its ${port.interface} has no ${ipName(family)} address`
      : `its ${port.interface} has other addresses`;
  return {
    cause: "no-address",
    at: { guest: port.guest, interface: port.interface, address },
    sentence: `${port.guest} does not have the address ${address}: ${has}.`,
    hint: `uml-lab exec ${port.guest} -- ip address show ${port.interface}`,
  };
}

function wrongGateway(known: Case, asker: Port, gateway: string, why: string): Finding {
  const routers = known.wiring.routersOn(asker, familyOf(gateway));
  const right = routers.map(({ guest, text }) => `${guest} has ${text}`).join(", ");
  return {
    cause: "wrong-gateway",
    at: { guest: asker.guest, interface: asker.interface, address: gateway },
    sentence: `${asker.guest}'s gateway is wrong: it sends by way of ${gateway} on ${asker.interface}, ${why}${right === "" ? "" : ` (${right})`}.`,
    hint: `uml-lab exec ${asker.guest} -- ip route`,
  };
}

/** A guest takes an address for one of its own subnet that is not on its wire. */
function tooWide(known: Case, asker: Port, address: string, owner: Port): Finding {
  const view = known.views.get(asker.guest);
  const to = parseIp(address);
  const own = view && interfaceView(view, asker.interface)?.addresses;
  const wide = to && own?.find((one) => contains(networkOf(one), to));
  const ownText = wide && formatInterfaceAddress(wide);
  const right = known.wiring.routersOn(asker, familyOf(address))[0];
  const where = `${owner.guest}'s ${owner.interface} has ${address}, and is not on that wire`;
  if (ownText !== undefined) {
    return {
      cause: "wrong-prefix",
      at: { guest: asker.guest, interface: asker.interface, prefix: ownText, address },
      sentence: `${asker.guest}'s prefix is too wide: with ${ownText} on ${asker.interface} it takes ${address} for a neighbour and asks for it there, but ${where}${rightPrefix(known, asker, right)}.`,
      hint: `uml-lab exec ${asker.guest} -- ip address show ${asker.interface}`,
    };
  }
  return {
    cause: "neighbor-silent",
    at: { guest: asker.guest, interface: asker.interface, address },
    sentence: `${asker.guest} has a route that looks for ${address} directly on ${asker.interface}, and nobody answers there: ${where}.`,
    hint: `uml-lab exec ${asker.guest} -- ip route get ${address}`,
  };
}

function rightPrefix(known: Case, asker: Port, router: PlannedAddress | undefined): string {
  const planned = known.wiring
    .addressesOf(asker.guest)
    .find(
      (one) =>
        one.interface === asker.interface &&
        router?.address.address.family === one.address.address.family,
    );
  if (router === undefined) return "";
  const length = planned?.address.prefixLength ?? router.address.prefixLength;
  return ` (the prefix length there is /${length})`;
}
