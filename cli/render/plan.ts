/** A plan, for reading: guests with their interfaces and routes, links, what is probed. */

import { formatMemory } from "../../base/units.ts";
import type { GuestPlan, LabPlan } from "../../lab/plan/plan.ts";
import { endName, type LinkEnd } from "../../net/control/messages.ts";
import { impairmentText } from "./impairment.ts";
import { count, type Style } from "./style.ts";
import { table } from "./table.ts";

export function planText(plan: LabPlan, style: Style): string {
  const facts = [`seed ${plan.seed}`, `${plan.clock} clock`, plan.file];
  const parts = [
    `${style.bold(plan.name)}  ${style.dim(facts.join(` ${style.marks.bullet} `))}\n`,
    ...(plan.description === undefined ? [] : [`${plan.description.trim()}\n`]),
    table(
      ["guest", "image", "kernel", "memory", "interface", "mac", "addresses", "routes"].map(
        (heading) => ({ heading }),
      ),
      plan.guests.flatMap(guestRows),
      style,
    ),
  ];
  if (plan.links.length > 0) {
    parts.push(
      table(
        ["link", "ends", "", "impairments"].map((heading) => ({ heading })),
        plan.links.map((link) => {
          const [there, back] = link.impairments.map((one) => impairmentText(one));
          const both = there === back ? there : `${there} ${style.marks.arrow}, ${back} back`;
          const [a, b] = link.ends.map(endText);
          return [link.link, `${a}  ${b}`, link.up ? "" : "pulled", both ?? ""];
        }),
        style,
      ),
    );
  }
  if (plan.switches.length > 0) {
    const names = plan.switches.map((one) => `${one.switch}${one.hub ? " (hub)" : ""}`);
    parts.push(`${style.bold("switches")}  ${names.join(", ")}\n`);
  }
  const expected = (what: "reach" | "isolate" | null) =>
    plan.pairs.filter((pair) => pair.expected === what).length;
  parts.push(
    `${style.bold("probes")}  ${count(plan.pairs.length, "pair")}: ${expected("reach")} must be ` +
      `reached, ${expected("isolate")} must not, ${expected(null)} measured only\n`,
  );
  if (plan.checks.length > 0) {
    const checks = plan.checks.map((check) => `  ${check.on}: ${check.name} (${check.run})\n`);
    parts.push(`${style.bold("checks")}\n${checks.join("")}`);
  }
  return parts.join("\n");
}

function guestRows(guest: GuestPlan): string[][] {
  const { interfaces, routes } = guest.setup;
  const addresses = interfaces.flatMap((one) =>
    (one.addresses.length === 0 ? [""] : one.addresses).map((address, i) =>
      i === 0 ? [one.name, one.mac, address] : ["", "", address],
    ),
  );
  const memory = guest.memoryBytes === undefined ? "default" : formatMemory(guest.memoryBytes);
  const rows = Math.max(1, addresses.length, routes.length);
  return Array.from({ length: rows }, (_, i) => {
    const route = routes[i];
    return [
      ...(i === 0 ? [guest.name, guest.image, guest.kernel, memory] : ["", "", "", ""]),
      ...(addresses[i] ?? ["", "", ""]),
      route === undefined
        ? i === 0 && guest.forward
          ? "forwards"
          : ""
        : `${route.to} via ${route.via}`,
    ];
  });
}

export function endText(end: LinkEnd): string {
  if (end.kind !== "switch") return endName(end);
  const vlan = end.vlan === undefined ? "" : ` vlan ${end.vlan}`;
  const trunk = end.trunk === undefined ? "" : ` trunk ${end.trunk.join(",")}`;
  return `${end.switch}${vlan}${trunk}`;
}

/** The plan as JSON; the contents of files that go into guests become their size. */
export function planValue(plan: LabPlan): unknown {
  return {
    ...plan,
    guests: plan.guests.map((guest) => ({
      ...guest,
      setup: {
        ...guest.setup,
        files: guest.setup.files.map(({ content, ...file }) => ({
          ...file,
          bytes: content.byteLength,
        })),
      },
    })),
  };
}
