/**
 * What a topology of somebody else's may not do: reach out of its lab, take files from outside its
 * folder, bring a kernel or a file system of its own. What is wrong is an error of the file, and is
 * not looked at any further: no file outside is ever opened.
 */

import { realpathSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import type { Problems } from "./problems.ts";
import type { Source } from "./source.ts";
import type { Entry, MapNode, Node } from "./tree.ts";

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

/** Maps with names of the student's own choice. */
const DATA = ["env", "sysctl"];
/** Where the keys of guests, switches and links stand. */
const PARTS = ["guests", "defaults", "switches", "links"];

/** The host's own network: one for all submissions, so none may have it. */
const TAP = /^\/switches\/[^/]+\/tap$/;

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

  const look = (entry: Entry) => {
    const { key, value } = entry;
    const name = key.text;
    if (DATA.includes(name)) return;
    if (name === "kernel" && !allowed.has("kernel")) {
      if (value.kind !== "scalar" || !KERNELS.includes(value.text)) {
        refuse(value, "a kernel of your own is not allowed here", "leave `kernel` away");
      }
    } else if (name === "image" && !allowed.has("images")) {
      if (value.kind !== "scalar" || !IMAGES.includes(value.text)) {
        refuse(value, "this image is not allowed here", "take `base` or `router`");
      }
    } else if (["internet", "ports", "host", "disk"].includes(name)) {
      const off = value.kind === "scalar" && (value.value === false || value.value === null);
      if (!off && !allowed.has(name as Allowance)) {
        refuse(value, `\`${name}\` is not allowed here`, `leave \`${name}\` away`);
      }
    } else if (TAP.test(value.path)) {
      refuse(value, "`tap` is not allowed here", "leave `tap` away");
    } else if (name === "from" && value.kind === "scalar") {
      const path = resolve(dirname(source.file), value.text);
      if (!isInside(path, inside)) {
        refuse(
          value,
          `\`${value.text}\` is not a file of this submission`,
          "name a file in the folder of the topology; links out of it do not count",
        );
      }
    }
    walk(value);
  };
  const walk = (node: Node) => {
    if (node.kind === "list") for (const item of node.items) walk(item);
    if (node.kind !== "map") return;
    for (const entry of node.entries.values()) look(entry);
  };

  for (const [name, entry] of top.entries) {
    if (PARTS.includes(name)) walk(entry.value);
    else if (name === "kernel") look(entry);
  }
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
