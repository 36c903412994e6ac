/**
 * A way out of the lab: the end of a cable behind which a process translates to the host's own sockets
 * (net/passt.ts). Frames cross a unix stream socket, each behind its length in four bytes, big-endian,
 * as QEMU's `-netdev stream` has it.
 *
 *     link --> send(frame): cut, checksums completed --> socket --> passt
 *     link <-- plug.send(frame) <-- input buffer <-- socket <-- passt
 */

import { parseIp, parseMac } from "../base/addresses.ts";
import type { Arenas, Region } from "./arena.ts";
import type { DropReason, OutletCounters, OutletSpec } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import { ETHERNET_HEADER_BYTES, Frame } from "./frame.ts";
import * as libc from "./libc/libc.ts";
import type { Sink } from "./link.ts";
import { fabricSends } from "./nic.ts";
import { PortFilter } from "./port-filter.ts";
import { NET_HEADER_BYTES } from "./virtio/constants.ts";
import { ARP_BYTES, ARP_REQUEST, emitArp } from "./wire/arp.ts";
import { ETHERTYPE_ARP, emitEthernet } from "./wire/ethernet.ts";
import type { Workbench } from "./workbench.ts";

const LENGTH_BYTES = 4;
const LONGEST_FRAME = 65535 + ETHERNET_HEADER_BYTES;
/** Where input begins: behind the empty virtio header that every frame from here has. */
const INPUT_AT = 64;
const INPUT_BYTES = 512 * 1024;
/** Bytes that wait for the socket before frames are dropped. */
const MOST_WAITING = 1 << 20;
/** Reads in one turn. */
const BUDGET = 8;

export interface OutletHost {
  readonly arenas: Arenas;
  workbench(): Workbench;
  watchWorker(outlet: Outlet, fd: number): void;
  unwatch(fd: number): void;
  /** It has something to do that no descriptor will tell of. */
  retry(outlet: Outlet): void;
}

export class Outlet implements Sink {
  readonly spec: OutletSpec;
  readonly #host: OutletHost;
  readonly #filter: PortFilter | undefined;
  readonly #fromLab = new Counters();
  #region: Region | undefined;
  #frame: Frame | undefined;
  #plug: Sink | undefined;
  #fd = -1;
  /** Input that was read and not passed on, offsets from INPUT_AT. */
  #start = 0;
  #end = 0;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;

  constructor(spec: OutletSpec, host: OutletHost) {
    this.spec = spec;
    this.#host = host;
    this.#filter = spec.only === undefined ? undefined : new PortFilter(spec.only.udp);
  }

  get isPlugged(): boolean {
    return this.#plug !== undefined;
  }

  plug(plug: Sink | undefined): void {
    this.#plug = plug;
  }

  /** Whoever translates connected; one that was connected before is gone. */
  accept(fd: number): void {
    this.disconnect();
    this.#fd = fd;
    this.#host.watchWorker(this, fd);
    const hello = helloOf(this.spec.guest);
    const bytes = Buffer.alloc(LENGTH_BYTES + hello.length);
    writeLength(bytes, 0, hello.length);
    bytes.set(hello, LENGTH_BYTES);
    this.#write(bytes);
    this.#host.retry(this);
  }

  disconnect(): void {
    if (this.#fd < 0) return;
    this.#host.unwatch(this.#fd);
    libc.close(this.#fd);
    this.#fd = -1;
    this.#start = 0;
    this.#end = 0;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  dispose(): void {
    this.disconnect();
    if (this.#region !== undefined) this.#host.arenas.release(this.#region);
    this.#region = undefined;
  }

  counters(): OutletCounters {
    const { outlet } = this.spec;
    return { outlet, connected: this.#fd >= 0, fromLab: this.#fromLab.toJSON() };
  }

  // ------------------------------------------------------------------ out of the lab

  send(frame: Frame): boolean {
    if (this.#fd < 0) return this.#drop("no-peer");
    const bench = this.#host.workbench();
    if (!bench.takeApart(frame)) return this.#drop("malformed");
    for (let bytes = bench.nextSegment(); bytes > 0; bytes = bench.nextSegment()) {
      if (this.#filter?.admits(bench.u8, bench.segmentAt, bytes) === false) {
        this.#drop("not-allowed");
      } else if (this.#waitingBytes > MOST_WAITING) {
        this.#drop("no-buffer");
      } else {
        const at = bench.segmentAt - LENGTH_BYTES;
        writeLength(bench.u8, at, bytes);
        this.#write(bench.u8.subarray(at, at + LENGTH_BYTES + bytes));
        this.#fromLab.frames++;
        this.#fromLab.bytes += bytes;
      }
    }
    return true;
  }

  #drop(reason: DropReason): true {
    this.#fromLab.drop(reason);
    return true;
  }

  #write(bytes: Uint8Array): void {
    const wrote = this.#waiting.length > 0 ? 0 : this.#tryWrite(bytes);
    if (wrote === bytes.length || this.#fd < 0) return;
    this.#waiting.push(Buffer.from(bytes.subarray(wrote)));
    this.#waitingBytes += bytes.length - wrote;
    this.#host.retry(this);
  }

  /** Bytes that were taken; the connection is closed where it broke. */
  #tryWrite(bytes: Uint8Array): number {
    try {
      return Math.max(0, libc.write(this.#fd, bytes));
    } catch {
      this.disconnect();
      return bytes.length;
    }
  }

  #flush(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const wrote = this.#tryWrite(first);
      if (this.#fd < 0) return;
      this.#waitingBytes -= wrote;
      if (wrote < first.length) {
        this.#waiting[0] = first.subarray(wrote);
        this.#host.retry(this);
        return;
      }
      this.#waiting.shift();
    }
  }

  // ------------------------------------------------------------------ into the lab

  /** Goes on where it was: writes what waits, reads what came. */
  work(): void {
    if (this.#fd < 0) return;
    this.#flush();
    this.#region ??= this.#host.arenas.take(INPUT_AT + LENGTH_BYTES + INPUT_BYTES);
    const { arena, offset } = this.#region;
    const input = offset + INPUT_AT;
    fabricSends();
    for (let left = BUDGET; left > 0 && this.#fd >= 0; left--) {
      if (!this.#deliver()) {
        this.#host.retry(this);
        return;
      }
      let got: number;
      try {
        got = libc.read(this.#fd, arena.u8.subarray(input + this.#end, input + INPUT_BYTES));
      } catch {
        got = 0;
      }
      if (got === 0) this.disconnect();
      if (got <= 0) return;
      this.#end += got;
    }
    this.#host.retry(this);
  }

  /** False where a frame found no room; true once all whole frames are passed on. */
  #deliver(): boolean {
    const { arena, offset } = this.#region as Region;
    const input = offset + INPUT_AT;
    this.#frame ??= new Frame(arena);
    const frame = this.#frame;
    const { chain } = frame;
    while (this.#end - this.#start >= LENGTH_BYTES) {
      const at = input + this.#start;
      const bytes = readLength(arena.u8, at);
      if (bytes < ETHERNET_HEADER_BYTES || bytes > LONGEST_FRAME) {
        this.disconnect();
        return true;
      }
      if (this.#end - this.#start < LENGTH_BYTES + bytes) break;
      chain.count = 2;
      chain.offsets[0] = offset;
      chain.lengths[0] = NET_HEADER_BYTES;
      chain.offsets[1] = at + LENGTH_BYTES;
      chain.lengths[1] = bytes;
      chain.bytes = NET_HEADER_BYTES + bytes;
      if (frame.parse(arena) && this.#plug !== undefined) {
        frame.patient = true;
        if (!this.#plug.send(frame)) return false;
      }
      this.#start += LENGTH_BYTES + bytes;
    }
    if (this.#start > 0) {
      arena.u8.copyWithin(input, input + this.#start, input + this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    return true;
  }
}

/** The guest asks for its gateway: so whoever is behind learns where to send, before it is asked. */
function helloOf({ mac, address, gateway }: OutletSpec["guest"]): Uint8Array {
  const senderMac = parseMac(mac);
  const senderIp = parseIp(address);
  const targetIp = parseIp(gateway);
  if (senderMac === undefined || senderIp === undefined || targetIp === undefined) {
    throw new RangeError(`${mac}, ${address}, ${gateway}: no addresses`);
  }
  const frame = new Uint8Array(ETHERNET_HEADER_BYTES + ARP_BYTES);
  const to = new Uint8Array(6).fill(0xff);
  const at = emitEthernet({ to, from: senderMac, type: ETHERTYPE_ARP }, frame);
  const targetMac = new Uint8Array(6);
  emitArp({ operation: ARP_REQUEST, senderMac, senderIp, targetMac, targetIp }, frame, at);
  return frame;
}

function readLength(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function writeLength(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}
