/** A cable for a running lab: what its words mean among the interfaces and switches that there are. */

import { LabError } from "../../base/errors.ts";
import { Random } from "../../base/random.ts";
import { closest } from "../../base/similar.ts";
import { endName, type LinkEnd, type LinkSpec } from "../../net/control/messages.ts";
import type { LinkAddition } from "../api.ts";
import type { LabPlan } from "../plan/plan.ts";
import { switchLoops, transparentSwitches } from "../topology/segments.ts";
import type { TopologyEnd, TopologyLink } from "../topology/topology.ts";

/** @param links those that are there, as they are now. Throws USAGE, UNKNOWN_NAME, DUPLICATE_NAME, SWITCH_LOOP. */
export function addedLink(
  plan: Pick<LabPlan, "guests" | "switches" | "seed" | "allowLoops">,
  links: Iterable<LinkSpec>,
  { ends: words, name, vlan, trunk, impairments }: LinkAddition,
): LinkSpec {
  const all = [...links];
  const taken = new Set(all.flatMap(({ ends }) => ends.map(endName)));
  const ends: LinkEnd[] = [];
  for (const word of words) {
    const end = endOf(plan, taken, word);
    if (end.kind === "nic") taken.add(end.nic);
    ends.push(
      end.kind === "switch"
        ? {
            ...end,
            ...(vlan === undefined ? {} : { vlan }),
            ...(trunk === undefined ? {} : { trunk }),
          }
        : end,
    );
  }
  const [a, b] = ends as [LinkEnd, LinkEnd];
  if (endName(a) === endName(b)) {
    throw new LabError("SWITCH_LOOP", `${endName(a)} can't be linked to itself`);
  }
  if ((vlan ?? trunk) !== undefined && !ends.some(({ kind }) => kind === "switch")) {
    throw new LabError("USAGE", "vlan and trunk belong to a switch's port; this link has none");
  }
  const names = new Set(all.map(({ link }) => link));
  if (name !== undefined && names.has(name)) {
    throw new LabError("DUPLICATE_NAME", `there is a link ${name} already`);
  }
  const base = `${endName(a)}--${endName(b)}`;
  let link = name ?? base;
  for (let n = 2; names.has(link); n++) link = `${base}-${n}`;
  const seed = new Random(plan.seed, `link:${link}`).uint32();
  const spec: LinkSpec = { link, ends: [a, b], up: true, impairments, seed };
  if (!plan.allowLoops) refuseLoop(plan, all, spec);
  return spec;
}

/** As the check of a file does: cables that are pulled close no loop. */
function refuseLoop(
  { switches }: Pick<LabPlan, "switches">,
  links: readonly LinkSpec[],
  added: LinkSpec,
): void {
  const all = [...links, added].flatMap(topologyLinks);
  const transparent = transparentSwitches(
    all,
    switches.map(({ switch: name, hub }) => ({ name, hub })),
  );
  const closed = switchLoops(all, transparent).find(({ link }) => link.name === added.link);
  if (closed === undefined) return;
  throw new LabError(
    "SWITCH_LOOP",
    `this link closes a loop of switches: ${closed.loop.join(" -- ")}`,
    {
      hint:
        "a broadcast would circle in it for ever: remove a link, or boot the lab with " +
        "`allow_loops: true` in its file where a tree protocol or the lesson wants it",
    },
  );
}

/** Nothing of a way out or a TAP: nothing that the lab knows of is behind them. */
function topologyLinks({ link, ends: [a, b], up, impairments }: LinkSpec): TopologyLink[] {
  const ends = [topologyEnd(a), topologyEnd(b)] as const;
  return ends.includes(undefined)
    ? []
    : [{ name: link, ends: ends as TopologyLink["ends"], up, impairments }];
}

function topologyEnd(end: LinkEnd): TopologyEnd | undefined {
  if (end.kind === "outlet" || end.kind === "tap") return undefined;
  if (end.kind === "switch") return { vlan: undefined, trunk: undefined, ...end };
  const [guest = "", name = ""] = end.nic.split(":");
  return { kind: "guest", guest, interface: name };
}

function endOf(
  { guests, switches }: Pick<LabPlan, "guests" | "switches">,
  taken: ReadonlySet<string>,
  word: string,
): LinkEnd {
  if (switches.some((one) => one.switch === word)) return { kind: "switch", switch: word };
  const [name, wanted] = word.split(":");
  const guest = guests.find((one) => one.name === name);
  if (guest === undefined) {
    const near = closest(
      word,
      [...guests, ...switches.map((one) => ({ name: one.switch }))].map((one) => one.name),
    );
    throw new LabError("UNKNOWN_NAME", `no guest and no switch is called ${word}`, {
      ...(near === undefined ? {} : { hint: `did you mean ${near}?` }),
    });
  }
  const own = guest.setup.interfaces.map((one) => one.name);
  const free = own.filter((one) => !taken.has(`${name}:${one}`));
  const chosen = wanted ?? free[0];
  if (chosen !== undefined && free.includes(chosen))
    return { kind: "nic", nic: `${name}:${chosen}` };
  const why =
    wanted === undefined
      ? `every interface of ${name} has a cable`
      : own.includes(wanted)
        ? `${word} has a cable already`
        : `${name} has no interface ${wanted}`;
  throw new LabError("USAGE", why, {
    hint:
      free.length > 0
        ? `free: ${free.join(", ")}`
        : "take a cable out first (uml-lab link remove), or write the interface into the file",
  });
}
