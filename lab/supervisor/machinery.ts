/** The real fabric and guests. */

import { ensureProgram } from "../../kernel/agent/build.ts";
import { bootGuest } from "../../kernel/guest/boot.ts";
import { librariesOf } from "../../kernel/guest/libraries.ts";
import { chooseSandbox } from "../../kernel/guest/sandbox.ts";
import type { Image, Kernel } from "../../kernel/guest/spec.ts";
import { ensureInitramfs } from "../../kernel/initramfs/initramfs.ts";
import { startFabric } from "../../net/fabric.ts";
import type { Machinery } from "./lab.ts";

async function prepare(kernels: readonly Kernel[], images: readonly Image[]): Promise<void> {
  const [agent, launcher] = await Promise.all([ensureProgram("agent"), ensureProgram("launcher")]);
  for (const kernel of kernels) {
    await librariesOf(kernel.executable);
    for (const { fileSystem } of images) ensureInitramfs(kernel, fileSystem, agent);
  }
  await chooseSandbox(launcher);
}

export const machinery: Machinery = { startFabric, bootGuest, prepare };
