/** A root file system of one static program, which the base image has. */

import { execFile } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensureImage } from "../../kernel/images.ts";
import { ensureTool } from "../../kernel/tools.ts";

const run = promisify(execFile);

const APPLETS = "sh cat ls mount id stat echo sleep env pwd find sort";

/** Made in `folder`; answers its path. */
export async function busyboxTree(folder: string): Promise<string> {
  const { file } = await ensureImage("base");
  const unsquashfs = await ensureTool("unsquashfs");
  await run(unsquashfs, ["-q", "-n", "-d", join(folder, "x"), file, "usr/bin/busybox"]);
  const tree = join(folder, "tree");
  mkdirSync(join(tree, "bin"), { recursive: true });
  await run("cp", [join(folder, "x/usr/bin/busybox"), join(tree, "bin/busybox")]);
  for (const name of APPLETS.split(" ")) symlinkSync("busybox", join(tree, "bin", name));
  return tree;
}
