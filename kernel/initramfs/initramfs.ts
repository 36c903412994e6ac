/**
 * The initramfs of a kernel: our agent as its first process, the modules it needs, and nothing
 * else. Kept in the cache by a hash of what it is made from; shared by all guests of a kernel.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheFolder } from "../../base/folders.ts";
import type { Image, Kernel } from "../guest/spec.ts";
import { makeCpio } from "./cpio.ts";
import { resolveModules } from "./modules.ts";

/** Parameters of modules: the kernel reads its command line for built-in ones only. */
const PARAMETERS: Readonly<Record<string, string>> = { virtio_net: "napi_tx=0" };

/** The path of the initramfs for this kernel and kind of image; made first if it isn't there. */
export function ensureInitramfs(
  kernel: Kernel,
  fileSystem: Image["fileSystem"],
  agent: string,
): string {
  const modules =
    kernel.modules === undefined
      ? []
      : resolveModules(kernel.modules, [
          { name: "virtio_net" },
          { name: "ipv6", optional: true },
          { name: "overlay" },
          { name: fileSystem },
          { name: "ext4", optional: true }, // private disks
          ...(kernel.modulesImage === undefined ? [] : [{ name: "squashfs" }]),
        ]);
  const home = join(cacheFolder(), "initramfs");
  const agentBytes = readFileSync(agent);
  const hash = createHash("sha256").update(agentBytes).update(JSON.stringify(PARAMETERS));
  // A kernel in the cache is never changed: its modules' paths name their content.
  for (const { file } of modules) hash.update(file).update("\0");
  const path = join(home, `${kernel.release}-${hash.digest("hex").slice(0, 12)}.cpio`);
  if (existsSync(path)) return path;

  const list = modules.map(({ name, file }) => [basename(file), PARAMETERS[name]].filter(Boolean));
  const archive = makeCpio([
    { path: "dev", type: "folder", mode: 0o755 },
    { path: "dev/console", type: "character device", mode: 0o600, major: 5, minor: 1 },
    { path: "init", type: "file", mode: 0o755, content: agentBytes },
    { path: "modules", type: "folder", mode: 0o755 },
    {
      path: "modules/list",
      type: "file",
      mode: 0o644,
      content: Buffer.from(list.map((words) => `${words.join(" ")}\n`).join("")),
    },
    ...modules.map(({ file }) => ({
      path: `modules/${basename(file)}`,
      type: "file" as const,
      mode: 0o644,
      content: readFileSync(file),
    })),
  ]);
  mkdirSync(home, { recursive: true });
  const part = `${path}.${process.pid}.part`;
  try {
    writeFileSync(part, archive);
    renameSync(part, path);
  } finally {
    rmSync(part, { force: true });
  }
  return path;
}
