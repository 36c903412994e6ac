/**
 * What a topology of somebody else's may not do: reach out of its lab, take files from outside its
 * folder, bring a kernel or a file system of its own. What is wrong is an error of the file, and is
 * not looked at any further: no file outside is ever opened.
 */

import { realpathSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import type { Problems } from "./problems.ts";
import type { Source } from "./source.ts";
import type { MapNode, Node } from "./tree.ts";

export const ALLOWANCES = ["internet", "ports", "host", "kernel", "images", "disk"] as const;

/** A key that a restricted topology may use all the same. */
export type Allowance = (typeof ALLOWANCES)[number];

export interface Restrictions {
  /** Absolute: files come from here. */
  readonly folder: string;
  readonly allowed: ReadonlySet<Allowance>;
}

const KERNELS = ["auto", "debian", "lean"];
const IMAGES = ["base", "router"];

/**
 * Where the keys stand that reach out: below a guest, `defaults` or a switch. Matched with the way that
 * was walked, not with the place of a node, which for an alias is that of its anchor.
 */
const REACHING =
  /^(?:guests [^ ]+|defaults|switches [^ ]+) (kernel|image|internet|ports|disk|tap)$/;

/** Maps with names of the student's own choice: what is called `from` there is no file's. */
const DATA = /^(?:guests [^ ]+|defaults) (?:env|sysctl)$/;

/** Where the keys of guests, switches and links stand. */
const PARTS = ["guests", "defaults", "switches", "links"];

/** Adds what is wrong to `problems` and its place to `bad`. */
export function checkRestrictions(
  top: MapNode,
  source: Source,
  { folder, allowed }: Restrictions,
  problems: Problems,
  bad: Set<string>,
): void {
  const refuse = (at: Node, message: string, hint: string) => {
    problems.add("BAD_VALUE", at, message, hint);
    bad.add(at.path);
  };
  const inside = realpathSync(folder);

  const refuseUnless = (allowance: Allowance | undefined, value: Node, name: string) => {
    if (isOff(value) || (allowance !== undefined && allowed.has(allowance))) return;
    const what = value.kind === "scalar" && value.text === "host" ? `${name}: host` : name;
    refuse(value, `\`${what}\` is not allowed here`, `leave \`${what}\` away`);
  };
  const lookAtKey = (name: string, value: Node) => {
    const text = value.kind === "scalar" ? value.text : "";
    if (name === "kernel") {
      if (KERNELS.includes(text) || allowed.has("kernel")) return;
      refuse(value, "a kernel of your own is not allowed here", "leave `kernel` away");
    } else if (name === "image") {
      if (IMAGES.includes(text) || allowed.has(text === "host" ? "host" : "images")) return;
      refuse(value, "this image is not allowed here", "take `base` or `router`");
    } else if (name === "internet") {
      // with `host`, what listens on the host's loopback answers too
      refuseUnless(text === "host" ? "host" : "internet", value, name);
    } else if (name === "tap") {
      // the host's own network: one for all submissions, so none may have it
      refuseUnless(undefined, value, name);
    } else refuseUnless(name as Allowance, value, name);
  };
  const lookAtFile = (value: Node) => {
    if (value.kind !== "scalar") return;
    if (isInside(resolve(dirname(source.file), value.text), inside)) return;
    refuse(
      value,
      `\`${value.text}\` is not a file of this submission`,
      "name a file in the folder of the topology; links out of it do not count",
    );
  };
  const walk = (node: Node, way: string) => {
    if (node.kind === "list") for (const item of node.items) walk(item, `${way} -`);
    if (node.kind !== "map" || DATA.test(way)) return;
    for (const { key, value } of node.entries.values()) {
      const here = `${way} ${key.text}`;
      const name = REACHING.exec(here)?.[1];
      if (name !== undefined) lookAtKey(name, value);
      else if (key.text === "from") lookAtFile(value);
      walk(value, here);
    }
  };

  for (const [name, entry] of top.entries) {
    if (PARTS.includes(name)) walk(entry.value, name);
    else if (name === "kernel") lookAtKey(name, entry.value);
  }
}

function isOff(value: Node): boolean {
  return value.kind === "scalar" && (value.value === false || value.value === null);
}

/** Where the path really leads, links followed. @param folder a real path. */
export function isInside(path: string, folder: string): boolean {
  try {
    const real = realpathSync(path);
    return real === folder || real.startsWith(folder + sep);
  } catch {
    // It isn't there: that is told by whoever opens it, if its name at least is inside.
    return path.startsWith(folder + sep) && !path.includes(`${sep}..${sep}`);
  }
}
