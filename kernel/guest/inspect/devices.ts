/** The devices that a kernel was given, read off its command line. Pure. */

import type { GuestSpec } from "../spec.ts";

export interface ConsoleDevice {
  /** In the guest: `tty0`, `ttyS0`. */
  readonly name: string;
  /** What UML connects it to: `fd:4`. */
  readonly channel: string;
  /** What is behind it on the host. */
  readonly host: string;
  readonly purpose: string;
}

export interface BlockDevice {
  /** In the guest: `ubda`. */
  readonly name: string;
  readonly readOnly: boolean;
  /** On the host. */
  readonly file: string;
  readonly purpose: string;
}

export interface NicDevice {
  /** In the guest: `eth0`. */
  readonly name: string;
  readonly mac: string;
  /** The vhost-user socket of the fabric that its queues were handed over on. */
  readonly socket: string;
}

export interface Devices {
  readonly consoles: readonly ConsoleDevice[];
  readonly blocks: readonly BlockDevice[];
  readonly nics: readonly NicDevice[];
}

/** linux: arch/um/drivers/stdio_console.c (con), ssl.c (ssl). */
const LINE_NAMES: Readonly<Record<string, string>> = { con: "tty", ssl: "ttyS" };

/**
 * @param words the kernel's command line. @param descriptors what its descriptors are.
 */
export function devicesOf(
  words: readonly string[],
  descriptors: ReadonlyMap<number, string>,
  spec: Pick<GuestSpec, "image" | "kernel" | "nicSockets" | "setup" | "folder" | "disk">,
): Devices {
  const consoles: ConsoleDevice[] = [];
  const blocks: BlockDevice[] = [];
  for (const word of words) {
    const [, kind, number, channels] = /^(con|ssl)(\d+)=(.*)$/.exec(word) ?? [];
    if (kind !== undefined) {
      const channel = channels?.split(",")[0] as string;
      const fd = /^fd:(\d+)$/.exec(channel)?.[1];
      consoles.push({
        name: `${LINE_NAMES[kind]}${number}`,
        channel,
        host: (fd && descriptors.get(Number(fd))) || channel,
        purpose: kind === "con" ? "console; its record is console.log" : "frames of the agent",
      });
    }
    const [, unit, flags] = /^ubd(\d)([a-z]*)=(.+)$/.exec(word) ?? [];
    if (unit !== undefined) {
      blocks.push({
        name: `ubd${String.fromCharCode("a".charCodeAt(0) + Number(unit))}`,
        readOnly: flags?.includes("r") === true,
        ...diskBehind(Number(unit), spec),
      });
    }
  }
  const nics = spec.setup.interfaces.map(({ name, mac }, index) => ({
    name,
    mac,
    socket: spec.nicSockets[index] as string,
  }));
  return { consoles, blocks, nics };
}

/** In the order of ../command-line.ts: inside the sandbox they have other names. */
function diskBehind(
  unit: number,
  { image, kernel, folder, disk }: Pick<GuestSpec, "image" | "kernel" | "folder" | "disk">,
): Pick<BlockDevice, "file" | "purpose"> {
  switch (unit) {
    case 0:
      return { file: image.file, purpose: `the image ${image.reference}, under its own layer` };
    case 1:
      return { file: `${folder}/inbox`, purpose: "inbox of the agent: what is long" };
    case 3:
      return { file: disk ?? "", purpose: "the guest's disk: its own layer" };
    default:
      return { file: kernel.modulesImage ?? "", purpose: "modules of the kernel" };
  }
}
