/**
 * From what was seen of a probe to one finding. Pure: a case goes in (case.ts).
 *
 *     sent at all? -> how far did the request get? -> who answered, or refused? -> how far did that get?
 */

import { formatIp } from "../../base/addresses.ts";
import { ARRIVING_HOOKS, blamedRule, type Death, diedAt, dropped, OWN_HOOKS } from "./at-guest.ts";
import { asking, type Case, familyOf, holders, named, spotName } from "./case.ts";
import type { Finding } from "./explanation.ts";
import { failsReversePath, forbiddingRoute, interfaceView, lookupOf } from "./guest-view.ts";
import { type ErrorBack, legTo, tellsOf } from "./journey.ts";
import { lacks, unable } from "./neighbors.ts";
import { capital, inSwitch, onLink } from "./on-link.ts";
import { guestOf, guestsOn, type Leg, type Spot } from "./way.ts";

const TCP_RST = 0x04;
const PERMISSION_DENIED = 1;

/** null: the probe was answered as it should be. */
export function diagnose(known: Case): Finding | null {
  const { journey, from } = known;
  const address = formatIp(known.address);
  for (const guest of [from, known.to]) {
    const obstacle = guest === null ? undefined : known.obstacle(guest);
    if (obstacle !== undefined && guest !== null) {
      return { cause: "guest-gone", at: { guest }, sentence: `${obstacle}.` };
    }
  }
  const twice = duplicate(known, address);
  if (twice !== undefined) return twice;
  // the asker's own kernel has the answer: whatever was not seen of the way, nothing is wrong with it
  if (journey.outcome?.word === "answer") return null;
  if (journey.back.length > 0) return answered(known, address);
  const loop = routingLoop(known, journey.there);
  if (loop !== undefined) return loop;
  const refusal = journey.errors.find(({ way }) => way.length > 0);
  if (refusal !== undefined) return refused(known, refusal, address);
  const last = journey.there.at(-1);
  if (last === undefined) return neverLeft(known, address);
  if (last.crossing.leftNs === null) return onLink(known, last, "the request");
  if (last.to.kind === "tap") return toTheHost(last, last.to, "the request");
  if (last.to.kind === "switch")
    return inSwitch(known, last, towardsMac(known, last), "the request");
  return atEnd(known, last, address);
}

/** What the host does with it is not ours to see. */
function toTheHost({ crossing }: Leg, { device }: Spot & { kind: "tap" }, what: string): Finding {
  return {
    cause: "left-lab",
    at: { link: crossing.link },
    sentence: `${capital(what)} left the lab by the host's ${device}, and did not come back from there.`,
    hint: `sudo tcpdump -ni ${device}`,
  };
}

// ------------------------------------------------------------------ not sent

function neverLeft(known: Case, address: string): Finding {
  const { from, journey } = known;
  const outcome = journey.outcome;
  const death: Death = {
    guest: from,
    to: address,
    from: undefined,
    by: undefined,
    what: "the request",
    returning: false,
    told: "",
  };
  if (outcome?.word === "unsent" && outcome.value === PERMISSION_DENIED) {
    const rule = blamedRule(known, from, OWN_HOOKS);
    if (rule !== undefined) return dropped(known, from, undefined, "the request", address, rule);
    return {
      cause: "firewall-drop",
      at: { guest: from },
      sentence: `${from}'s own firewall does not let it send to ${named(known, address)} (operation not permitted).`,
    };
  }
  return (
    diedAt(known, death) ?? {
      cause: "unexplained",
      at: { guest: from },
      sentence: `${from} sent nothing for ${named(known, address)} onto its links, and nothing that its kernel says explains why.`,
      hint: `uml-lab exec ${from} -- ip route get ${address}`,
    }
  );
}

// ------------------------------------------------------------------ the request's end

function atEnd(known: Case, last: Leg, address: string): Finding {
  const guest = guestOf(last.to) as string;
  const { frame } = last.crossing;
  if (!last.accepted && known.wiring.byMac(frame.toMac) !== undefined) {
    const right = known.wiring.byMac(frame.toMac);
    return {
      cause: "unexplained",
      at: { guest },
      sentence: `The request came to ${spotName(last.to)}, but its frame is for the MAC address of ${right?.guest}'s ${right?.interface}: nobody took it.`,
    };
  }
  const isTarget =
    guest === known.to || holders(known, frame.to).some((one) => one.guest === guest);
  const death: Death = {
    guest,
    to: frame.to,
    from: frame.from,
    by: last,
    what: "the request",
    returning: false,
    told: "",
  };
  if (isTarget) return atDestination(known, last, address);
  return (
    diedAt(known, death) ?? {
      cause: "unexplained",
      at: { guest },
      sentence: `The request came to ${spotName(last.to)} and did not leave ${guest} again, and nothing that its kernel says explains why.`,
      hint: `uml-lab capture ${guest}:${last.to.kind === "guest" ? last.to.interface : "eth0"}`,
    }
  );
}

/** The request arrived where it was to go, and no answer left. */
function atDestination(known: Case, last: Leg, address: string): Finding {
  const { wiring, probe } = known;
  const port = last.to as Extract<Leg["to"], { kind: "guest" }>;
  const { guest } = port;
  const { frame } = last.crossing;
  const view = known.views.get(guest);
  const family = familyOf(frame.to);
  const back: Death = {
    guest,
    to: frame.from,
    from: frame.to,
    by: undefined,
    what: "the answer",
    returning: true,
    told: "",
  };
  const owner = wiring.owner(frame.to) ?? port;
  const cannot = owner.guest === guest ? unable(known, owner, frame.to, undefined) : undefined;
  if (cannot !== undefined) return cannot;
  if (view !== undefined && holders(known, frame.to).length === 0 && view.interfaces.length > 0) {
    return lacks(view, port, frame.to);
  }
  const through = view && lookupOf(view, { to: frame.to, from: frame.from, in: port.interface });
  const home = view && lookupOf(view, { to: frame.from });
  if (view !== undefined && failsReversePath(view, through) && home?.refusal === null) {
    return {
      cause: "reverse-path-filter",
      at: { guest, interface: port.interface, address: frame.from },
      sentence: `${guest}'s reverse-path filter dropped the request: it came in by ${port.interface}, and its own route to ${named(known, frame.from)} leads out of ${home.interface}.`,
      hint: `uml-lab exec ${guest} -- sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.${port.interface}.rp_filter`,
    };
  }
  const ignoring =
    view?.sysctl.get(
      family === 4 ? "net/ipv4/icmp_echo_ignore_all" : "net/ipv6/icmp/echo_ignore_all",
    ) === "1";
  if (probe.kind === "icmp" && ignoring && home?.refusal === null) {
    const key = family === 4 ? "net.ipv4.icmp_echo_ignore_all" : "net.ipv6.icmp.echo_ignore_all";
    return {
      cause: "echo-ignored",
      at: { guest, interface: port.interface },
      sentence: `${guest} got the request and ignores echo requests: its sysctl ${key} is 1.`,
      hint: `uml-lab exec ${guest} -- sysctl -w ${key}=0`,
    };
  }
  const arriving = blamedRule(known, guest, ARRIVING_HOOKS);
  if (arriving?.sure === true) {
    return dropped(known, guest, port, "the request", frame.to, arriving);
  }
  const noWay = diedAt(known, back);
  if (noWay !== undefined) return onTheWayBack(known, noWay, guest);
  if (arriving !== undefined) return dropped(known, guest, port, "the request", frame.to, arriving);
  if (probe.kind === "udp") {
    const listens = view?.listening.udp.some((one) => one.endsWith(`:${probe.port}`)) === true;
    return {
      cause: "no-service",
      at: { guest, address },
      sentence: listens
        ? `The datagram came to ${guest}, something listens on UDP port ${probe.port} there, and it did not answer: it may want another question.`
        : `The datagram came to ${guest}, and nothing answered on UDP port ${probe.port}.`,
      hint: `uml-lab exec ${guest} -- ss -lun`,
    };
  }
  return {
    cause: "unexplained",
    at: { guest, interface: port.interface },
    sentence: `The request came to ${guest}'s ${port.interface}, no answer left ${guest}, and nothing that its kernel says explains why.`,
    hint: `uml-lab capture ${guest}:${port.interface}`,
  };
}

/** Says of a finding about the answer that the request had arrived. */
function onTheWayBack(known: Case, finding: Finding, guest: string): Finding {
  if (finding.cause === "no-way-back") return finding;
  const who = known.wiring.guests.has(guest) ? guest : "its target";
  return {
    ...finding,
    sentence: `The request reaches ${who}, and its answer does not come back. ${finding.sentence}`,
  };
}

// ------------------------------------------------------------------ answers

function answered(known: Case, address: string): Finding | null {
  const { journey, from, probe } = known;
  const first = journey.back[0] as Leg;
  const last = journey.back.at(-1) as Leg;
  const answerer = guestOf(first.from) ?? "";
  if (last.crossing.leftNs === null) {
    return onTheWayBack(known, onLink(known, last, "the answer"), answerer);
  }
  if (last.to.kind === "switch") {
    const where = towardsMac(known, last);
    return onTheWayBack(known, inSwitch(known, last, where, "the answer"), answerer);
  }
  if (last.to.kind === "tap") {
    return onTheWayBack(known, toTheHost(last, last.to, "the answer"), answerer);
  }
  if (last.to.guest !== from) return lostAt(known, last, answerer);
  const { frame } = last.crossing;
  if (frame.from !== address) {
    return otherAddress(known, address, frame.from);
  }
  if (probe.kind === "tcp" && ((first.crossing.frame.flags ?? 0) & TCP_RST) !== 0) {
    return reset(known, answerer, address, probe.port);
  }
  const rule = blamedRule(known, from, ARRIVING_HOOKS);
  if (rule !== undefined) {
    return dropped(known, from, last.to, "the answer", frame.to, rule);
  }
  const view = known.views.get(from);
  const through = view && lookupOf(view, { to: frame.to, from: frame.from, in: last.to.interface });
  if (view !== undefined && failsReversePath(view, through)) {
    return {
      cause: "reverse-path-filter",
      at: { guest: from, interface: last.to.interface, address: frame.from },
      sentence: `${from}'s reverse-path filter dropped the answer: it came in by ${last.to.interface}, and ${from} would send to ${named(known, frame.from)} by another interface.`,
    };
  }
  return {
    cause: "unexplained",
    at: { guest: from, interface: last.to.interface },
    sentence: `The answer came back to ${from}'s ${last.to.interface}, and ${from}'s kernel did not take it.`,
    hint: `uml-lab capture ${from}:${last.to.interface}`,
  };
}

/** The answer's address is not the one that was asked: because of whoever sent it, or of a NAT. */
function otherAddress(known: Case, address: string, got: string): Finding {
  const { journey, from } = known;
  const [first] = journey.back as readonly [Leg, ...Leg[]];
  const answerer = guestOf(first.from) ?? "";
  const asked = journey.there.at(-1)?.crossing.frame.to ?? address;
  const told = `${from} asked ${address}, and the answer comes from ${got}, so ${from} does not take it for one`;
  const at = (guest: string) => ({ guest, address: got });
  if (first.crossing.frame.from !== asked) {
    return {
      cause: "other-address",
      at: at(answerer),
      sentence: `${answerer} answers from another address: ${told}.`,
      hint: `uml-lab exec ${answerer} -- ip route get ${first.crossing.frame.to}`,
    };
  }
  const changer = (way: readonly Leg[], end: "from" | "to") => {
    const leg = way.find(
      ({ crossing: { frame } }, i) => i > 0 && frame[end] !== way[i - 1]?.crossing.frame[end],
    );
    return leg && guestOf(leg.from);
  };
  const back = changer(journey.back, "from");
  const there = changer(journey.there, "to");
  const guest = back ?? there ?? answerer;
  return {
    cause: "other-address",
    at: at(guest),
    sentence:
      back === undefined && there !== undefined
        ? `${there} sends what is for ${address} to ${asked}, and does not change the answer back: ${told}.`
        : `${guest} changes the address that ${answerer}'s answer comes from: ${told}.`,
    hint: `look at the NAT rules of ${guest}: uml-lab exec ${guest} -- nft list ruleset`,
  };
}

function lostAt(known: Case, last: Leg, answerer: string): Finding {
  const guest = guestOf(last.to) as string;
  const { frame } = last.crossing;
  const found = diedAt(known, {
    guest,
    to: frame.to,
    from: frame.from,
    by: last,
    what: "the answer",
    returning: true,
    told: "",
  });
  if (found !== undefined) return onTheWayBack(known, found, answerer);
  return {
    cause: "unexplained",
    at: { guest },
    sentence: `The request reaches ${answerer}, and its answer ends in ${guest}, which got it on ${spotName(last.to)}; nothing that ${guest}'s kernel says explains why.`,
    hint: `uml-lab exec ${guest} -- ip route get ${frame.to}`,
  };
}

function reset(known: Case, answerer: string, address: string, port: number): Finding {
  const isTarget =
    answerer === known.to || holders(known, address).some(({ guest }) => guest === answerer);
  const rule = blamedRule(known, answerer, [...ARRIVING_HOOKS, "forward"]);
  const rejecting = rule?.sure === true && rule.rule.verdict === "reject" ? rule : undefined;
  if (rejecting !== undefined) {
    return dropped(known, answerer, undefined, "the request", address, rejecting);
  }
  if (isTarget) {
    return {
      cause: "port-closed",
      at: { guest: answerer, address },
      sentence: `${answerer} is reached and refuses: nothing listens on TCP port ${port} of ${address}.`,
      hint: `uml-lab exec ${answerer} -- ss -ltn`,
    };
  }
  return {
    cause: "firewall-reject",
    at: { guest: answerer },
    sentence: `${answerer} rejects connections to TCP port ${port} of ${named(known, address)} with a reset, as a firewall does.`,
  };
}

// ------------------------------------------------------------------ refusals

const ICMP4_UNREACHABLE: Readonly<Record<number, string>> = {
  0: "network unreachable",
  1: "host unreachable",
  2: "protocol unreachable",
  3: "port unreachable",
  4: "fragmentation needed",
  6: "network unknown",
  7: "host unknown",
  9: "network administratively prohibited",
  10: "host administratively prohibited",
  13: "communication administratively prohibited",
};
const ICMP6_UNREACHABLE: Readonly<Record<number, string>> = {
  0: "no route to destination",
  1: "communication administratively prohibited",
  3: "address unreachable",
  4: "port unreachable",
  5: "source address failed ingress/egress policy",
  6: "reject route to destination",
};

/** What an ICMP error says, in the words of its RFC. */
export function errorText({ crossing: { frame } }: Leg): string {
  const { type = 0, code = 0, mtu } = frame.icmp ?? {};
  const v6 = frame.from.includes(":");
  if (v6 ? type === 3 : type === 11) return v6 ? "hop limit exceeded" : "time to live exceeded";
  if (v6 && type === 2) return `packet too big (MTU ${mtu})`;
  const text = (v6 ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE)[code] ?? `type ${type}, code ${code}`;
  return mtu === undefined ? text : `${text} (MTU ${mtu})`;
}

type Meaning = "no-route" | "prohibited" | "port" | "hops" | "too-big";

function meaningOf({ crossing: { frame } }: Leg): Meaning {
  const { type = 0, code = 0 } = frame.icmp ?? {};
  const v6 = frame.from.includes(":");
  if (v6 ? type === 3 : type === 11) return "hops";
  if (v6 ? type === 2 : code === 4) return "too-big";
  if (v6 ? code === 4 : code === 3) return "port";
  if (v6 ? code === 1 || code === 5 || code === 6 : [9, 10, 13].includes(code)) return "prohibited";
  return "no-route";
}

function refused(known: Case, { by, way }: ErrorBack, address: string): Finding {
  const { journey, probe } = known;
  const first = way[0] as Leg;
  const error = errorText(first);
  const about = legTo(journey.there, by);
  const told = ` and answers with ICMP "${error}"`;
  const frame = about?.crossing.frame;
  switch (meaningOf(first)) {
    case "hops":
      return {
        cause: "hops-exhausted",
        at: { guest: by },
        sentence: `The request's ${familyOf(address) === 4 ? "TTL" : "hop limit"} was used up at ${by}, after ${guestsOn(journey.there).length} routers, and none of them twice: ${by} answers with ICMP "${error}".`,
      };
    case "too-big":
      return {
        cause: "mtu-black-hole",
        at: { guest: by },
        sentence: `${by} can't pass a packet of ${known.size} bytes on${told}.`,
      };
    case "port":
    case "prohibited": {
      const rule = blamedRule(known, by, [...ARRIVING_HOOKS, "forward", "output"]);
      const view = known.views.get(by);
      if (rule === undefined && view !== undefined && forbiddingRoute(view, frame?.to ?? address)) {
        const death = { guest: by, to: frame?.to ?? address, from: frame?.from, by: about, told };
        const found = diedAt(known, { ...death, what: "the request", returning: false });
        if (found !== undefined) return found;
      }
      const isTarget = by === known.to;
      if (isTarget && probe.kind === "udp" && meaningOf(first) === "port" && rule?.sure !== true) {
        return {
          cause: "port-closed",
          at: { guest: by, address },
          sentence: `${by} is reached and refuses: nothing listens on UDP port ${probe.port} of ${address} (ICMP "${error}").`,
          hint: `uml-lab exec ${by} -- ss -lun`,
        };
      }
      const port = about?.to.kind === "guest" ? about.to : undefined;
      const which = rule?.rule.verdict === "reject" ? `: ${rule.rule.name}` : "";
      return {
        cause: "firewall-reject",
        at: { guest: by, ...(port === undefined ? {} : { interface: port.interface }) },
        sentence: `${by}'s firewall rejects the request to ${named(known, address)}${port === undefined ? "" : ` that came to its ${port.interface}`}${told}${which}.`,
        hint: `uml-lab exec ${by} -- nft list ruleset`,
      };
    }
    case "no-route": {
      const found = diedAt(known, {
        guest: by,
        to: frame?.to ?? address,
        from: frame?.from,
        by: about,
        what: "the request",
        returning: false,
        told,
      });
      if (found !== undefined) return found;
      return {
        cause: "no-route-at-router",
        at: { guest: by, address },
        sentence: `${by} can't send the request on to ${named(known, address)}${told}.`,
        hint: `uml-lab exec ${by} -- ip route get ${address}`,
      };
    }
  }
}

// ------------------------------------------------------------------ loops and twins

/** A request that comes to one guest three times goes round. */
function routingLoop(known: Case, way: readonly Leg[]): Finding | undefined {
  const visits = guestsOn(way).map(({ guest }) => guest);
  const last = visits.at(-1);
  if (last === undefined || visits.filter((guest) => guest === last).length < 3) return undefined;
  const before = visits.lastIndexOf(last, visits.length - 2);
  const members = visits.slice(before, -1);
  const ordered = rotated(members);
  const address = formatIp(known.address);
  const v6 = known.address.family === 6;
  const error = known.journey.errors[0];
  const said =
    error === undefined
      ? ""
      : `, until ${error.by} answers with ICMP "${errorText(error.way[0] as Leg)}"`;
  return {
    cause: "routing-loop",
    at: { guest: ordered[0] as string, address },
    sentence: `The request goes round in a loop: ${[...ordered, ordered[0]].join(" -> ")}. Each sends what is for ${named(known, address)} to the next one${said}.`,
    hint: `uml-lab exec ${ordered[0]} -- ip ${v6 ? "-6 " : ""}route get ${address}`,
  };
}

/** The same loop in the same words, wherever the probe died in it. */
function rotated(members: readonly string[]): string[] {
  const at = members.indexOf([...members].sort()[0] as string);
  return [...members.slice(at), ...members.slice(0, at)];
}

/** Two guests with the address, or two that tell the same asker that they have it. */
function duplicate(known: Case, address: string): Finding | undefined {
  const { wiring, journey } = known;
  const asked = new Set([address, ...journey.there.map(({ crossing }) => crossing.frame.to)]);
  for (const one of asked) {
    const have = new Map(
      holders(known, one).map((port) => [`${port.guest}:${port.interface}`, port]),
    );
    for (const leg of tellsOf(known.legs, one)) {
      const teller = wiring.byMac(leg.crossing.frame.mac ?? "");
      // a guest with two interfaces on a wire answers on both (ARP), and is no twin of itself
      if (teller !== undefined && [...have.values()].every(({ guest }) => guest !== teller.guest)) {
        have.set(`${teller.guest}:${teller.interface}`, teller);
      }
    }
    const ports = [...have.values()].filter(
      (port, index, all) => all.findIndex(({ guest }) => guest === port.guest) === index,
    );
    const [a, b] = ports;
    if (a === undefined || b === undefined || !sameWire(known, a, b)) continue;
    const planned = wiring.owner(one);
    const other = planned?.guest === a.guest ? b : a;
    const reached = guestsOn(journey.there).at(-1)?.guest;
    const went = ports.some(({ guest }) => guest === reached)
      ? ` This probe went to ${reached}.`
      : "";
    const view = known.views.get(other.guest);
    const device = view && interfaceView(view, other.interface);
    return {
      cause: "duplicate-address",
      at: { guest: other.guest, interface: other.interface, address: one },
      sentence: `${one} is there twice: ${ports.map((port) => `${port.guest}'s ${port.interface}`).join(" and ")} both have it, and whoever answers ${asking(familyOf(one))} first gets the packets.${went}`,
      hint: `uml-lab exec ${other.guest} -- ip address show ${device?.name ?? other.interface}`,
    };
  }
  return undefined;
}

function sameWire(
  known: Case,
  a: { guest: string; interface: string },
  b: { guest: string; interface: string },
): boolean {
  return known.wiring
    .onWire(a)
    .some((port) => port.guest === b.guest && port.interface === b.interface);
}

/** The link behind a switch by which the frame's receiver is reached, where one is known. */
function towardsMac(known: Case, leg: Leg): string | undefined {
  const port = known.wiring.byMac(leg.crossing.frame.toMac);
  return port && known.wiring.linkOf(port)?.link;
}
