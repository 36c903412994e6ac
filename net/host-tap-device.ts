/**
 * A TAP interface of the host, opened: what its kernel sends by it is read here, frame by frame, and what
 * is written here it receives. Before each frame stands a virtio header, so that segmentation and
 * checksums can be left to whoever needs them done.
 *
 * One that was there before is used as it is: no address, no up and down, no owner is changed. One that
 * was not there is made where the right is there, and is gone with its descriptor.
 */

import { closeSync, openSync } from "node:fs";
import { constants, userInfo } from "node:os";
import { LabError } from "../base/errors.ts";
import type { DropReason } from "./control/messages.ts";
import * as libc from "./libc/libc.ts";
import { NET_HEADER_BYTES } from "./virtio/constants.ts";

const CLONE_DEVICE = "/dev/net/tun";

// linux: include/uapi/linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNGETVNETHDRSZ = 0x800454d7;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETCARRIER = 0x400454e2;
const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
const OFFLOADS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

// linux: include/uapi/linux/if.h, struct ifreq: a name of 16 bytes, then flags
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;
export const LONGEST_INTERFACE_NAME = 15;

/** What a TAP is for the fabric; tests have others. */
export interface TapDevice {
  /** To wait at. */
  readonly fd: number;
  /** One frame behind its virtio header: its length; -1 where none is there. Throws SystemCallError. */
  read(into: Uint8Array): number;
  /** One frame behind its virtio header. Undefined once the host has it; else why not. */
  write(bytes: Uint8Array, length: number): DropReason | "gone" | undefined;
  /** What the host sees of the cable. */
  setCarrier(up: boolean): void;
  close(): void;
}

/**
 * Throws NO_RIGHT or NO_TAP, with the command that mends it. Closing it leaves nothing behind, so this
 * is also how to find out whether it can be had.
 */
export function openHostTap(name: string): TapDevice {
  const existed = libc.hasInterface(name);
  const fd = openCloneDevice(name);
  try {
    attach(fd, name, existed);
    libc.setNonBlocking(fd);
    return new OpenTap(fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

class OpenTap implements TapDevice {
  readonly fd: number;
  /** Of the interface, as it was: it outlives us where it was there before. */
  readonly #headerBytes: number;

  constructor(fd: number) {
    this.fd = fd;
    const before = Buffer.alloc(4);
    libc.ioctl(fd, TUNGETVNETHDRSZ, before);
    this.#headerBytes = before.readInt32LE();
    setHeaderBytes(fd, NET_HEADER_BYTES);
    libc.ioctl(fd, TUNSETOFFLOAD, OFFLOADS);
  }

  read(into: Uint8Array): number {
    return libc.read(this.fd, into);
  }

  write(bytes: Uint8Array, length: number): DropReason | "gone" | undefined {
    const wrote = libc.tryWrite(this.fd, bytes, length);
    return wrote >= 0 ? undefined : (WRITE_FAILURES.get(-wrote) ?? "no-buffer");
  }

  setCarrier(up: boolean): void {
    const value = Buffer.alloc(4);
    value.writeInt32LE(up ? 1 : 0);
    try {
      libc.ioctl(this.fd, TUNSETCARRIER, value);
    } catch {
      // before Linux 5.0 there is none to set
    }
  }

  close(): void {
    try {
      libc.ioctl(this.fd, TUNSETOFFLOAD, 0);
      setHeaderBytes(this.fd, this.#headerBytes);
    } catch {
      // the interface is gone
    }
    closeSync(this.fd);
  }
}

/** errno 77, EBADFD: somebody deleted the interface. Node has no name for it. */
const EBADFD = 77;

const WRITE_FAILURES: ReadonlyMap<number, DropReason | "gone"> = new Map([
  [constants.errno.EIO, "no-peer"], // the interface is down
  [constants.errno.EINVAL, "malformed"],
  [EBADFD, "gone"],
]);

function setHeaderBytes(fd: number, bytes: number): void {
  const value = Buffer.alloc(4);
  value.writeInt32LE(bytes);
  libc.ioctl(fd, TUNSETVNETHDRSZ, value);
}

function openCloneDevice(name: string): number {
  try {
    return openSync(CLONE_DEVICE, "r+");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM") {
      throw new LabError("NO_RIGHT", `the TAP ${name}: no right to open ${CLONE_DEVICE}`, {
        cause,
        hint: `sudo chmod 0666 ${CLONE_DEVICE}; it gives nobody a TAP that is not theirs`,
      });
    }
    throw new LabError("NO_TAP", `the TAP ${name}: this machine has no ${CLONE_DEVICE} (${code})`, {
      cause,
      hint: "sudo modprobe tun; in a container, start it with --device /dev/net/tun",
    });
  }
}

function attach(fd: number, name: string, existed: boolean): void {
  let error = setInterface(fd, name, 0);
  // one that was made for many queues wants to hear that we know
  if (error?.errno === "EINVAL" && existed) error = setInterface(fd, name, IFF_MULTI_QUEUE);
  if (error === undefined) return;
  const make = `sudo ip tuntap add dev ${name} mode tap user ${me()}`;
  switch (error.errno) {
    case "EPERM":
      throw new LabError(
        "NO_RIGHT",
        existed
          ? `the TAP ${name} belongs to another user`
          : `there is no TAP ${name}, and no right to make one`,
        { cause: error, hint: existed ? `sudo ip link del ${name} && ${make}` : make },
      );
    case "EBUSY":
      throw new LabError("NO_TAP", `the TAP ${name} is in use by another lab or program`, {
        cause: error,
        hint: `end it (grep -lw ${name} /proc/*/fdinfo/* shows its process), or take another TAP`,
      });
    case "EINVAL":
      throw new LabError("NO_TAP", `the interface ${name} is there already, and is no TAP`, {
        cause: error,
        hint: `take another name, and make it: sudo ip tuntap add dev NAME mode tap user ${me()}`,
      });
    default:
      throw new LabError("NO_TAP", `the TAP ${name} can't be opened: ${error.message}`, {
        cause: error,
      });
  }
}

function setInterface(fd: number, name: string, more: number): libc.SystemCallError | undefined {
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(name, 0, LONGEST_INTERFACE_NAME, "latin1");
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | more, IFREQ_FLAGS);
  try {
    libc.ioctl(fd, TUNSETIFF, request);
    return undefined;
  } catch (error) {
    if (error instanceof libc.SystemCallError) return error;
    throw error;
  }
}

function me(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.()); // who is in no list of users
  }
}
