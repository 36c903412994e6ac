/** The real fabric and guests. */

import { ensureProgram } from "../../kernel/agent/build.ts";
import { bootGuest } from "../../kernel/guest/boot.ts";
import { chooseSandbox } from "../../kernel/guest/sandbox.ts";
import type { Image, Kernel } from "../../kernel/guest/spec.ts";
import { ensureInitramfs } from "../../kernel/initramfs/initramfs.ts";
import type { StartFabric } from "./fabric.ts";
import type { Machinery } from "./lab.ts";

// biome-ignore lint/suspicious/noExplicitAny: it is still to come
const load = (path: string): Promise<any> => import(path);

const startFabric: StartFabric = async (options) =>
  (await load("../../net/fabric.js")).startFabric(options);

async function prepare(kernels: readonly Kernel[], images: readonly Image[]): Promise<void> {
  const [agent, launcher] = await Promise.all([ensureProgram("agent"), ensureProgram("launcher")]);
  for (const kernel of kernels) {
    for (const { fileSystem } of images) ensureInitramfs(kernel, fileSystem, agent);
  }
  await chooseSandbox(launcher);
}

export const machinery: Machinery = { startFabric, bootGuest, prepare };
