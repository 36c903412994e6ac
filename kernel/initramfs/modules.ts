/** Which modules a guest needs before it has a root file system, in the order they are loaded. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";

export interface Module {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
}

/**
 * The modules named and all they depend on, dependencies first. What the kernel has built in is
 * left out; so is what it doesn't have at all if it is optional.
 * @param folder `modules.dep` and `modules.builtin` of depmod(8) are there.
 */
export function resolveModules(
  folder: string,
  wanted: readonly { readonly name: string; readonly optional?: boolean }[],
): Module[] {
  const read = (name: string) => {
    try {
      return readFileSync(join(folder, name), "utf8").split("\n");
    } catch (cause) {
      throw new LabError("NO_KERNEL", `the kernel's modules can't be read: ${messageOf(cause)}`, {
        cause,
      });
    }
  };
  const builtIn = new Set(read("modules.builtin").map(moduleName));
  const dependencies = new Map<string, { file: string; needs: string[] }>();
  for (const line of read("modules.dep")) {
    const [file, needs] = line.split(":");
    if (!file || needs === undefined) continue;
    dependencies.set(moduleName(file), {
      file: join(folder, file),
      needs: needs.trim().split(" ").filter(Boolean).map(moduleName),
    });
  }
  const order = new Map<string, Module>();
  const visit = (name: string, optional: boolean) => {
    if (order.has(name) || builtIn.has(name)) return;
    const module = dependencies.get(name);
    if (module === undefined) {
      if (optional) return;
      throw new LabError("NO_KERNEL", `the kernel has no module ${name}`);
    }
    for (const need of module.needs) visit(need, false);
    order.set(name, { name, file: module.file });
  };
  for (const { name, optional } of wanted) visit(name, optional ?? false);
  return [...order.values()];
}

/** `kernel/net/ipv6/ipv6.ko` to `ipv6`; dashes count as underscores. */
export function moduleName(path: string): string {
  const base = path.slice(path.lastIndexOf("/") + 1);
  return base.replace(/\.ko(\.(xz|zst|gz))?$/, "").replaceAll("-", "_");
}
