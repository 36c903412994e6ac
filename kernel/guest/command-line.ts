/** The command line of a guest's kernel. Pure. linux: `linux --help` lists UML's own options. */

import type { Image } from "./spec.ts";

export interface CommandLineInput {
  readonly memoryBytes: number;
  readonly initramfs: string;
  readonly image: string;
  /** A squashfs for the guest's /usr/lib/modules. */
  readonly modulesImage?: string | undefined;
  /** An ext4 file system that becomes the guest's writable layer. */
  readonly disk?: string | undefined;
  readonly fileSystem: Image["fileSystem"];
  readonly inbox: string;
  readonly nicSockets: readonly string[];
  /** Descriptors that the kernel inherits. */
  readonly lineFd: number;
  readonly consoleFd: number;
  /** UML's private folder (umid): its control socket. */
  readonly umlFolder: string;
  readonly seccomp: boolean;
  readonly tickless: boolean;
  /** What this kernel boots faster with. */
  readonly bootArguments?: readonly string[] | undefined;
}

/** All arguments but the first. */
export function kernelCommandLine(input: CommandLineInput): string[] {
  return [
    `mem=${Math.floor(input.memoryBytes / 1024)}K`,
    `initrd=${input.initramfs}`,
    "rdinit=/init",
    `ubd0r=${input.image}`,
    `ubd1r=${input.inbox}`,
    // told to the agent as its environment
    `lab_root=${input.fileSystem}`,
    ...(input.modulesImage ? [`ubd2r=${input.modulesImage}`, "lab_modules=squashfs"] : []),
    // d: data, whatever it begins with. The guest writes there, and a header that says "copy on write"
    // would make the kernel open the file that it names (linux: arch/um/drivers/cow_user.c).
    ...(input.disk ? [`ubd3d=${input.disk}`, "lab_disk=ext4"] : []),
    "con=null",
    `con0=fd:${input.consoleFd},fd:${input.consoleFd}`,
    "ssl=null",
    `ssl0=fd:${input.lineFd}`,
    `uml_dir=${input.umlFolder}/`,
    "umid=guest",
    // virtio id 1: a network card
    ...input.nicSockets.map((socket) => `virtio_uml.device=${socket}:1`),
    "virtio_net.napi_tx=0",
    ...(input.seccomp ? ["seccomp=on"] : []),
    // Debian's kernels have several security modules built in: each costs at every system call.
    "lsm=",
    "selinux=0",
    "random.trust_cpu=on",
    // An interrupt that comes while UML goes idle is seen at the next tick only, unless the kernel
    // was mended: let there be one (docs/decisions/0601-ticks-in-idle-guests.md).
    ...(input.tickless ? [] : ["nohz=off"]),
    ...(input.bootArguments ?? []),
    "quiet",
  ];
}
