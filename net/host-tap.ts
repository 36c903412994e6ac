/**
 * The end of a cable that is a TAP interface of the host: the host's own kernel, and whoever it lets,
 * is on the lab's network.
 *
 *     link --> send(frame): looked at, checksums completed --> write --> the host's kernel
 *     link <-- plug.send(frame) <-- one buffer <-- read <-- the host's kernel
 *
 * Long TCP segments go either way in one piece. What a guest says of its frame is checked against the
 * frame before the host hears of it; what the host does not take is dropped and counted, and never
 * waited for. What guests do not take waits in the host's own queue.
 */

import type { Arenas, Region } from "./arena.ts";
import type { DropReason, LinkEnd, OutletCounters } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import { Frame } from "./frame.ts";
import type { TapDevice } from "./host-tap-device.ts";
import type { Sink } from "./link.ts";
import { fabricSends } from "./nic.ts";
import { NET_HEADER_BYTES } from "./virtio/constants.ts";
import { TCP_CHECKSUM } from "./wire/tcp.ts";
import {
  emitOffload,
  GSO_ECN,
  GSO_TCPV4,
  GSO_TCPV6,
  NET_HEADER_LENGTH,
  NET_NEEDS_CHECKSUM,
} from "./wire/virtio-net.ts";
import type { Workbench } from "./workbench.ts";

export type TapEnd = LinkEnd & { readonly kind: "tap" };

/** More than the longest that Linux sends by an interface that has not said it takes more. */
const BUFFER_BYTES = 80 * 1024;
/** Frames read in one turn, and what a long one takes of them: as a NIC's. */
const BUDGET = 64;
const GSO_COST = 6;
/**
 * What comes from the host may have come through a bridge there, out of this very lab: it counts as
 * having crossed a link, so that a loop over the host does not escape the storm guard.
 */
const HOPS_BEFORE = 1;

export interface HostTapHost {
  readonly arenas: Arenas;
  workbench(): Workbench;
  /** Calls `work` when the descriptor has something to read. */
  watchWorker(worker: HostTap, fd: number): void;
  unwatch(fd: number): void;
  /** Calls `work` again: soon, or at once. */
  retry(worker: HostTap, atOnce: boolean): void;
  tapLost(tap: HostTap, reason: string): void;
}

export class HostTap implements Sink {
  readonly end: TapEnd;
  readonly fromLab = new Counters();
  readonly #host: HostTapHost;
  readonly #region: Region;
  /** Where a frame is read to, its header before it. */
  readonly #input: Uint8Array;
  readonly #frame: Frame;
  #plug: Sink | undefined;
  #device: TapDevice | undefined;
  /** Whether `#frame` found no room, and waits. */
  #held = false;
  /** All of the workbench, from a gathered frame's or a segment's header on. */
  #gathered: Uint8Array | undefined;
  #segment: Uint8Array | undefined;

  constructor(end: TapEnd, device: TapDevice, host: HostTapHost) {
    this.end = end;
    this.#device = device;
    this.#host = host;
    this.#region = host.arenas.take(BUFFER_BYTES);
    const { arena, offset } = this.#region;
    this.#input = arena.u8.subarray(offset, offset + BUFFER_BYTES);
    this.#frame = new Frame(arena);
  }

  plug(plug: Sink, up: boolean): void {
    this.#plug = plug;
    this.setLinkUp(up);
    if (this.#device === undefined) return;
    this.#host.watchWorker(this, this.#device.fd);
    this.#host.retry(this, false);
  }

  /** Another way into the link: that of a trace. */
  lead(plug: Sink): void {
    this.#plug = plug;
  }

  setLinkUp(up: boolean): void {
    this.#device?.setCarrier(up);
  }

  dispose(): void {
    this.#close();
    this.#host.arenas.release(this.#region);
  }

  #close(): void {
    const device = this.#device;
    if (device === undefined) return;
    this.#device = undefined;
    this.#held = false;
    this.#host.unwatch(device.fd);
    device.close();
  }

  #lose(reason: string): void {
    this.#close();
    this.#host.tapLost(this, reason);
  }

  counters(): OutletCounters {
    return {
      outlet: this.end.tap,
      connected: this.#device !== undefined,
      fromLab: this.fromLab.toJSON(),
    };
  }

  // ------------------------------------------------------------------ to the host

  send(frame: Frame): boolean {
    if (this.#device === undefined) return this.#drop("no-peer");
    const bench = this.#host.workbench();
    if (!bench.takeApart(frame)) return this.#drop("malformed");
    if (goesWhole(frame) && bench.segmenter.count > 1) return this.#sendWhole(bench, frame);
    this.#segment ??= bench.u8.subarray(bench.segmentAt - NET_HEADER_BYTES);
    for (let bytes = bench.nextSegment(); bytes > 0; bytes = bench.nextSegment()) {
      this.#segment.fill(0, 0, NET_HEADER_BYTES);
      if (this.#write(this.#segment, bytes, 1)) {
        this.fromLab.frames++;
        this.fromLab.bytes += bytes;
      }
    }
    return true;
  }

  #sendWhole({ u8, gatheredAt, segmenter }: Workbench, frame: Frame): true {
    const at = gatheredAt - NET_HEADER_BYTES;
    this.#gathered ??= u8.subarray(at);
    emitOffload(frame, u8, at);
    const { headerBytes, packetFrameBytes, count } = segmenter;
    u8[at + NET_HEADER_LENGTH] = headerBytes;
    u8[at + NET_HEADER_LENGTH + 1] = headerBytes >>> 8;
    if (this.#write(this.#gathered, packetFrameBytes, count)) {
      this.fromLab.frames += count;
      this.fromLab.bytes += packetFrameBytes + (count - 1) * headerBytes;
    }
    return true;
  }

  #write(bytes: Uint8Array, frameBytes: number, frames: number): boolean {
    const device = this.#device;
    if (device === undefined) {
      this.#drop("no-peer", frames);
      return false;
    }
    const refused = device.write(bytes, NET_HEADER_BYTES + frameBytes);
    if (refused === undefined) return true;
    this.#drop(refused === "gone" ? "no-peer" : refused, frames);
    if (refused === "gone") this.#lose("the interface was deleted");
    return false;
  }

  #drop(reason: DropReason, frames = 1): true {
    this.fromLab.drop(reason, frames);
    return true;
  }

  // ------------------------------------------------------------------ into the lab

  /** Goes on where it was: passes on what waits, reads what came. */
  work(): void {
    const frame = this.#frame;
    fabricSends();
    for (let left = BUDGET; left > 0; left -= frame.gsoSize === 0 ? 1 : GSO_COST) {
      if (!this.#held && !this.#read()) return;
      if (!this.#deliver()) {
        this.#host.retry(this, false);
        return;
      }
    }
    this.#host.retry(this, true);
  }

  /** The next frame, into `#frame`; false where none is there. */
  #read(): boolean {
    const { arena, offset } = this.#region;
    const frame = this.#frame;
    for (;;) {
      let got: number;
      try {
        got = this.#device?.read(this.#input) ?? -1;
      } catch (error) {
        this.#lose(error instanceof Error ? error.message : String(error));
        return false;
      }
      if (got < 0) return false;
      const { chain } = frame;
      chain.count = 1;
      chain.offsets[0] = offset;
      chain.lengths[0] = got;
      chain.bytes = got;
      if (got <= BUFFER_BYTES && frame.parse(arena)) break;
    }
    frame.hops = HOPS_BEFORE;
    this.#held = true;
    return true;
  }

  /** False where the frame found no room. */
  #deliver(): boolean {
    this.#frame.patient = true;
    this.#held = this.#plug?.send(this.#frame) === false;
    return !this.#held;
  }
}

/** A TCP segment of many packets whose checksum is left to the card: Linux takes it as it is. */
function goesWhole({ gsoType, flags, checksumOffset }: Frame): boolean {
  const kind = gsoType & ~GSO_ECN;
  return (
    (kind === GSO_TCPV4 || kind === GSO_TCPV6) &&
    flags === NET_NEEDS_CHECKSUM &&
    checksumOffset === TCP_CHECKSUM
  );
}
