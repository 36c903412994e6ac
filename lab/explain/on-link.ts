/** What went wrong on a cable, or between the ports of a switch. */

import { type DropReason, endName, type LinkEnd } from "../../net/control/messages.ts";
import { type Case, spotName } from "./case.ts";
import type { Finding } from "./explanation.ts";
import { guestOf, type Leg } from "./way.ts";

const percent = (fraction: number): string => `${Math.round(fraction * 1000) / 10}%`;

/** A frame that entered a link and did not come out. @param what `the request`, `the answer` */
export function onLink(known: Case, leg: Leg, what: string): Finding {
  const { crossing } = leg;
  const { link } = crossing;
  const at = { link };
  const impairment = known.linkState(link)?.impairments[crossing.direction] ?? {};
  const way = `from ${spotName(leg.from)} to ${spotName(leg.to)}`;
  switch (crossing.drop) {
    case "link-down":
      return pulled(known, link);
    case "loss": {
      const loss = impairment.loss ?? 0;
      const all = loss >= 0.999;
      return {
        cause: "cable-lossy",
        at,
        sentence: all
          ? `The cable ${link} loses every frame ${way}: ${what} was lost on it.`
          : `${capital(what)} was lost on the cable ${link} (${way}), which loses ${percent(loss)} of its frames.`,
        hint: `uml-lab link set ${link} loss=none`,
      };
    }
    case "queue-full":
      return {
        cause: "cable-full",
        at,
        sentence: `${capital(what)} found the queue of the cable ${link} full (${way}).`,
        hint: `uml-lab link show ${link}`,
      };
    case "too-long":
      return tooLong(known, leg, what);
    case "vlan":
      return {
        cause: "vlan-mismatch",
        at: { ...at, ...(leg.to.kind === "switch" ? { switch: leg.to.switch } : {}) },
        sentence: `${capital(spotName(leg.to))} refused ${what}: the port of the cable ${link} does not carry ${vlanWords(crossing.frame.vlan)}.`,
      };
    case "no-peer":
    case "stalled":
    case "no-buffer": {
      const guest = guestOf(leg.to);
      const obstacle = guest === undefined ? undefined : known.obstacle(guest);
      return {
        cause: "guest-gone",
        at: guest === undefined ? at : { guest, link },
        sentence: `${capital(spotName(leg.to))} did not take ${what} off the cable ${link}: ${obstacle ?? DROPS[crossing.drop]}.`,
      };
    }
    case null:
      return underWay(known, leg, what);
    default:
      return {
        cause: "unexplained",
        at,
        sentence: `${capital(what)} was dropped on the cable ${link} (${crossing.drop}).`,
      };
  }
}

const DROPS: Partial<Record<DropReason, string>> = {
  "no-peer": "no kernel is there",
  stalled: "its kernel takes no frames any more",
  "no-buffer": "its kernel has no room for frames",
};

function underWay(known: Case, leg: Leg, what: string): Finding {
  const { link, direction } = leg.crossing;
  const impairment = known.linkState(link)?.impairments[direction] ?? {};
  const way = `from ${spotName(leg.from)} to ${spotName(leg.to)}`;
  if ((impairment.corrupt ?? 0) > 0) {
    return {
      cause: "cable-corrupting",
      at: { link },
      sentence: `The cable ${link} damages ${percent(impairment.corrupt as number)} of the frames ${way}: ${what} did not come out of it as it went in.`,
      hint: `uml-lab link set ${link} corrupt=none`,
    };
  }
  const delay = (impairment.delayNs ?? 0) / 1e6;
  return {
    cause: "cable-slow",
    at: { link },
    sentence: `${capital(what)} is still on the cable ${link} (${way})${delay > 0 ? `, which delays each frame by ${delay} ms` : ""}.`,
    hint: `uml-lab link show ${link}`,
  };
}

function tooLong(known: Case, leg: Leg, what: string): Finding {
  const to = leg.to.kind === "guest" ? leg.to : undefined;
  const mtu = known.wiring.guests
    .get(to?.guest ?? "")
    ?.setup.interfaces.find(({ name }) => name === to?.interface)?.mtu;
  const size = leg.crossing.frame.bytes - 14;
  return {
    cause: "mtu-black-hole",
    at: { link: leg.crossing.link, ...(to && { guest: to.guest, interface: to.interface }) },
    sentence: `${capital(spotName(leg.from))} sends packets of ${size} bytes into the cable ${leg.crossing.link}, and ${spotName(leg.to)} takes none longer than ${mtu ?? "its MTU"}: ${what} vanished, and no ICMP error tells the sender.`,
    hint: "give both ends of the cable the same MTU",
  };
}

export function pulled(known: Case, link: string): Finding {
  const ends = known.wiring.link(link)?.ends.map(endName).join(" and ");
  return {
    cause: "cable-pulled",
    at: { link },
    sentence: `The cable ${link} between ${ends ?? "its ends"} is pulled.`,
    hint: `uml-lab link up ${link}`,
  };
}

/** A frame that came into a switch and was not sent on towards a place. */
export function inSwitch(
  known: Case,
  leg: Leg,
  towards: string | undefined,
  what: string,
): Finding {
  const name = leg.to.kind === "switch" ? leg.to.switch : "";
  const ends = (link: string): readonly LinkEnd[] => known.wiring.link(link)?.ends ?? [];
  const portOn = (link: string): SwitchEnd | undefined =>
    ends(link)
      .filter(isSwitch)
      .find((end) => end.switch === name);
  const into = portOn(leg.crossing.link);
  const vlan = leg.crossing.frame.vlan ?? into?.vlan ?? 1;
  const others = known.wiring
    .linksAt(name)
    .filter(({ link }) => link !== leg.crossing.link)
    .map((link) => ({ link, port: portOn(link.link) }));
  const out = others.find(({ link }) => link.link === towards);
  // on an access port the host itself is on the wrong VLAN; on a trunk, whoever is behind this switch
  if (into?.trunk !== undefined && others.every(({ port }) => !carries(port, vlan))) {
    return {
      cause: "vlan-missing",
      at: { switch: name },
      sentence: `Switch ${name} has no other port on VLAN ${vlan}, on which ${what} came in (cable ${leg.crossing.link}).`,
      hint: `put the port it should leave by on VLAN ${vlan}`,
    };
  }
  if (out !== undefined && !carries(out.port, vlan)) {
    return {
      cause: "vlan-mismatch",
      at: { switch: name, link: out.link.link },
      sentence: `Switch ${name} keeps VLANs apart: ${what} came in on VLAN ${vlan} (cable ${leg.crossing.link}), and the port towards ${otherEnd(out.link.ends, name)} (cable ${out.link.link}) carries ${carriedWords(out.port)}.`,
      hint: "give both ports the same VLAN",
    };
  }
  return {
    cause: "unexplained",
    at: { switch: name },
    sentence: `${capital(what)} came into switch ${name} by the cable ${leg.crossing.link}, and did not go on from there.`,
    hint: `uml-lab capture ${leg.crossing.link}`,
  };
}

type SwitchEnd = Extract<LinkEnd, { readonly kind: "switch" }>;

function isSwitch(end: LinkEnd): end is SwitchEnd {
  return end.kind === "switch";
}

function carries(port: SwitchEnd | undefined, vlan: number): boolean {
  if (port === undefined) return false;
  const untagged = port.vlan ?? (port.trunk === undefined ? 1 : undefined);
  return untagged === vlan || port.trunk?.includes(vlan) === true;
}

function carriedWords(port: SwitchEnd | undefined): string {
  const untagged = port?.vlan ?? (port?.trunk === undefined ? 1 : undefined);
  const vlans = [...(untagged === undefined ? [] : [untagged]), ...(port?.trunk ?? [])];
  return `VLAN ${[...new Set(vlans)].join(", ")}`;
}

const otherEnd = (ends: readonly LinkEnd[], name: string): string =>
  ends.map(endName).find((end) => end !== name) ?? name;

const vlanWords = (vlan: number | undefined): string =>
  vlan === undefined ? "untagged frames" : `VLAN ${vlan}`;

export const capital = (text: string): string =>
  /^(switch|the|its|nobody|still)\b/.test(text) ? text[0]!.toUpperCase() + text.slice(1) : text;
