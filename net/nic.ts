/**
 * A guest's NIC as the fabric sees it: the vhost-user device behind one socket, a transmit queue
 * that is drained into whatever the NIC is plugged into, and a receive queue that frames are copied
 * into, once, from where they stand in the sender's RAM.
 *
 *     guest tx ring --> drain(budget) --> plug.send(frame) -->  ...  --> send(frame) --> guest rx ring
 *
 * Backpressure: a frame that the receiver has no buffers for stays in the sender's ring until the
 * receiver has given some. A receiver that gives none (or next to none) for its patience is stalled:
 * frames to it are dropped until it moves again, so that its senders go on to others. Who stalls
 * again and again finds less patience each time.
 */

import { parseMac } from "../base/addresses.ts";
import { type Arena, type Arenas, copyBytes } from "./arena.ts";
import type { NicCounters, NicSpec } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import { ETHERNET_HEADER_BYTES, Frame } from "./frame.ts";
import * as libc from "./libc/libc.ts";
import type { Sink } from "./link.ts";
import { type SessionDevice, SessionError, VhostUserSession } from "./vhost-user/session.ts";
import * as virtio from "./virtio/constants.ts";
import { Chain, RingError, type Virtqueue } from "./virtio/virtqueue.ts";
import type { Workbench } from "./workbench.ts";

const RX = 0;
const TX = 1;
const VLAN_TAG_BYTES = 4;
/** What a GSO frame can have: 64 KB of packet. A chain may hold far more, and is no frame then. */
const LONGEST_GSO_BYTES = 0x1_0000 + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;

/** What a GSO frame takes of the budget: it costs about as much as so many single ones. */
const GSO_COST = 6;

/** How long senders wait for a receiver without buffers. */
const PATIENCE_MS = 20;
const LEAST_PATIENCE_MS = 2;
/** Full patience again after so long without a stall. */
const FORGIVEN_AFTER_MS = 1000;
/** One in so many of its buffers makes a receiver one that moves; fewer is a trick, or as good as none. */
const ROOM_SHARE = 16;

/** From the loop's look at the clock until a guest is woken, as measured on a quiet machine. */
const HANDOVER_NS = 100_000;

/**
 * A guest that has just booted receives into memory that nobody has touched: a page fault for each
 * frame, which on virtual machines takes longer than all else that we do for it. So we touch buffers
 * that come next when there is nothing better to do, for as long as the guest's memory is new.
 */
const TOUCHED_AHEAD = 16;
const TOUCHED_RINGS = 4;

const bit = (feature: number) => 1n << BigInt(feature);

const FEATURES = [
  virtio.F_VERSION_1,
  virtio.F_RING_INDIRECT_DESC,
  virtio.F_RING_EVENT_IDX,
  virtio.F_NET_MAC,
  virtio.F_NET_MTU,
  virtio.F_NET_STATUS,
  virtio.F_NET_MRG_RXBUF,
  virtio.F_NET_CSUM,
  virtio.F_NET_GUEST_CSUM,
  virtio.F_NET_GUEST_TSO4,
  virtio.F_NET_GUEST_TSO6,
  virtio.F_NET_GUEST_ECN,
  virtio.F_NET_HOST_TSO4,
  virtio.F_NET_HOST_TSO6,
  virtio.F_NET_HOST_ECN,
  virtio.F_NET_GUEST_USO4,
  virtio.F_NET_GUEST_USO6,
  virtio.F_NET_HOST_USO,
].reduce((bits, feature) => bits | bit(feature), 0n);

/** What a NIC needs of the fabric it is in. */
export interface NicHost {
  readonly arenas: Arenas;
  readonly clock: { readonly nowMs: number };
  /** Where frames are taken apart for guests that took no offloads. */
  workbench(): Workbench;
  /** Watches the kick descriptor of a queue, or the session's socket (queue -1). */
  watch(nic: Nic, fd: number, queue: number): void;
  unwatch(fd: number): void;
  /** The NIC has frames to drain. */
  activate(nic: Nic): void;
  /** The NIC's receive ring has something to publish. */
  received(nic: Nic): void;
  /** The NIC has something to touch (`touchAhead`) once nothing else is to be done. */
  mayTouchLater(nic: Nic): void;
  /** The NIC's receive ring is full and somebody waits. */
  becameFull(nic: Nic): void;
  connected(nic: Nic): void;
  disconnected(nic: Nic, reason: string): void;
}

export class Nic implements Sink, SessionDevice {
  readonly spec: NicSpec;
  readonly features = FEATURES;
  readonly queues = 2;
  readonly handoverNs = HANDOVER_NS;
  readonly config = new Uint8Array(virtio.CONFIG_BYTES);
  readonly fromGuest = new Counters();
  readonly toGuest = new Counters();
  active = false;
  dirty = false;
  readonly #host: NicHost;
  readonly #longestFrame: number;
  readonly #rxChain = new Chain();
  readonly #rxHeads = new Uint32Array(virtio.LARGEST_QUEUE);
  readonly #rxWritten = new Uint32Array(virtio.LARGEST_QUEUE);
  readonly #waiters: Nic[] = [];
  #frame: Frame | undefined;
  /** One frame of a wire, of those that a GSO frame is cut into. */
  #piece: Frame | undefined;
  #plug: Sink | undefined;
  #session: VhostUserSession | undefined;
  #rx: Virtqueue | undefined;
  #tx: Virtqueue | undefined;
  #rxCall = -1;
  /** Of the buffers of a new ring, how many are still to be touched before they are used. */
  #toTouch = 0;
  /** The first place of the receive ring that was not touched. */
  #untouched = 0;
  /** What was read there: a sum, so that reading is not left out as of no use. */
  #touched = 0;
  #rxBufferBytes = Number.POSITIVE_INFINITY;
  #txCall = -1;
  #mergeable = false;
  #offloads = false;
  #checksums = false;
  /** Since when the receive ring is full; NaN when it is not. */
  #fullSinceMs = Number.NaN;
  #stalled = false;
  #patienceMs = PATIENCE_MS;
  #stalledAtMs = Number.NEGATIVE_INFINITY;
  #linkUp = false;
  #ringErrors = 0;
  #lastRingError: string | null = null;

  constructor(spec: NicSpec, host: NicHost) {
    this.spec = spec;
    this.#host = host;
    this.#longestFrame = spec.mtu + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES;
    const mac = parseMac(spec.mac);
    if (mac === undefined) throw new RangeError(`${spec.mac} is no MAC address`);
    this.config.set(mac, virtio.CONFIG_MAC);
    this.config[virtio.CONFIG_MAX_PAIRS] = 1;
    this.config[virtio.CONFIG_MTU] = spec.mtu & 0xff;
    this.config[virtio.CONFIG_MTU + 1] = spec.mtu >> 8;
  }

  get connectedToGuest(): boolean {
    return this.#session !== undefined;
  }

  get isPlugged(): boolean {
    return this.#plug !== undefined;
  }

  // ------------------------------------------------------------------ plugging

  plug(plug: Sink | undefined, up: boolean): void {
    this.#plug = plug;
    this.setLinkUp(up);
  }

  /** The guest sees its carrier go and come. */
  setLinkUp(up: boolean): void {
    if (this.#linkUp === up) return;
    this.#linkUp = up;
    this.config[virtio.CONFIG_STATUS] = up ? virtio.STATUS_LINK_UP : 0;
    try {
      this.#session?.configChanged();
    } catch (error) {
      this.fail(error);
    }
  }

  // ------------------------------------------------------------------ the session

  /** A guest's kernel connected; one that was connected before is gone. */
  accept(fd: number): void {
    if (this.#session !== undefined) this.disconnect("another kernel connected");
    this.#session = new VhostUserSession(fd, this, this.#host.arenas, {
      add: (kick, queue) => this.#host.watch(this, kick, queue),
      remove: (kick) => this.#host.unwatch(kick),
    });
    this.#host.watch(this, fd, -1);
  }

  sessionReadable(): void {
    try {
      if (this.#session?.readable() === false) this.disconnect("the guest's kernel went away");
    } catch (error) {
      this.fail(error);
    }
  }

  /** A violation by the guest: counted, told, and the guest is disconnected. */
  fail(error: unknown): void {
    if (
      !(error instanceof RingError) &&
      !(error instanceof SessionError) &&
      !(error instanceof RangeError) &&
      !(error instanceof libc.SystemCallError)
    ) {
      throw error;
    }
    this.#ringErrors++;
    this.#lastRingError = error.message;
    this.disconnect(error.message);
  }

  disconnect(reason: string): void {
    const session = this.#session;
    if (session === undefined) return;
    this.#session = undefined;
    session.dispose();
    this.#wakeWaiters();
    this.#host.disconnected(this, reason);
  }

  queueStarted(index: number): void {
    const session = this.#session as VhostUserSession;
    const queue = session.queue(index) as Virtqueue;
    const { features } = session;
    this.#mergeable = (features & bit(virtio.F_NET_MRG_RXBUF)) !== 0n;
    this.#checksums = (features & bit(virtio.F_NET_GUEST_CSUM)) !== 0n;
    this.#offloads =
      (features & bit(virtio.F_NET_GUEST_TSO4)) !== 0n &&
      (features & bit(virtio.F_NET_GUEST_TSO6)) !== 0n;
    if (index === RX) {
      this.#rx = queue;
      this.#rxCall = session.callFd(RX);
      this.#toTouch = queue.size * TOUCHED_RINGS;
      this.#untouched = queue.base;
      this.#stalled = false;
      this.#fullSinceMs = Number.NaN;
    } else {
      this.#tx = queue;
      this.#txCall = session.callFd(TX);
      const arena = session.region!.arena;
      this.#frame ??= new Frame(arena);
      queue.enableKick();
      this.#host.activate(this);
      if (this.#rx !== undefined) this.#host.connected(this);
    }
  }

  queueStopped(index: number): void {
    if (index === RX) this.#rx = undefined;
    else this.#tx = undefined;
  }

  // ------------------------------------------------------------------ from the guest

  /** Moves up to `budget` frames out of the transmit ring; true when more may be there. */
  drain(budget: number): boolean {
    const queue = this.#tx;
    if (queue === undefined) return false;
    const frame = this.#frame as Frame;
    const plug = this.#plug;
    const { chain } = frame;
    const arena = this.#session!.region!.arena;
    let left = budget;
    let blocked = false;
    let waiting = queue.available();
    while (left > 0) {
      if (waiting === 0) {
        waiting = queue.available();
        if (waiting === 0) break;
      }
      const head = queue.headAt(0);
      queue.readChain(head, false, chain);
      if (!frame.parse(arena)) {
        this.fromGuest.drop("malformed");
      } else if (frame.bytes > (frame.gsoSize === 0 ? this.#longestFrame : LONGEST_GSO_BYTES)) {
        this.fromGuest.drop("too-long");
      } else if (plug === undefined) {
        this.fromGuest.drop("no-peer");
      } else {
        frame.patient = true;
        sender = this;
        if (!plug.send(frame)) {
          blocked = true;
          break;
        }
        this.fromGuest.pass(frame);
      }
      if (this.#tx !== queue) return false; // disconnected on the way
      queue.take(1);
      queue.put(head, 0);
      waiting--;
      left -= frame.gsoSize === 0 ? 1 : GSO_COST;
    }
    if (queue.publish()) this.#call(this.#txCall);
    if (blocked) return false;
    if (left <= 0) return true;
    return queue.enableKick();
  }

  // ------------------------------------------------------------------ to the guest

  /** The guest says that it put buffers into its receive ring; how many, the ring tells. */
  receiveKicked(): void {
    const queue = this.#rx;
    if (queue === undefined) return;
    try {
      if (queue.available() >= queue.size / ROOM_SHARE) {
        this.#stalled = false;
        this.#fullSinceMs = Number.NaN;
      }
    } catch (error) {
      this.fail(error);
    }
    this.#wakeWaiters();
  }

  /** Called now and then while the ring is full; true once the guest counts as stalled. */
  checkStalled(nowMs: number): boolean {
    if (!(nowMs - this.#fullSinceMs >= this.#patienceMs)) return false;
    if (!this.#stalled) {
      this.#stalled = true;
      this.#stalledAtMs = nowMs;
      this.#patienceMs = Math.max(this.#patienceMs / 2, LEAST_PATIENCE_MS);
    }
    this.#wakeWaiters();
    return true;
  }

  get hasWaiters(): boolean {
    return this.#waiters.length > 0;
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters.splice(0)) this.#host.activate(waiter);
  }

  send(frame: Frame): boolean {
    const queue = this.#rx;
    if (queue === undefined) return this.#drop("no-peer");
    if (frame.leastWireBytes > this.#longestFrame) {
      return this.#drop("too-long", frame.wireFrames);
    }
    try {
      const whole = frame.gsoSize === 0 ? frame.flags === 0 || this.#checksums : this.#offloads;
      return whole ? this.#receive(queue, frame) : this.#receivePieces(queue, frame);
    } catch (error) {
      this.fail(error);
      return this.#drop("no-peer");
    }
  }

  #drop(reason: "no-peer" | "too-long" | "stalled" | "no-buffer" | "malformed", frames = 1): true {
    this.toGuest.drop(reason, frames);
    return true;
  }

  /** For a guest that took no offloads: the frames of a wire, their checksums finished. */
  #receivePieces(queue: Virtqueue, frame: Frame): true {
    const bench = this.#host.workbench();
    const { arena } = bench.region;
    if (!bench.takeApart(frame)) return this.#drop("malformed");
    this.#piece ??= new Frame(arena);
    const piece = this.#piece;
    const at = bench.segmentAt - virtio.NET_HEADER_BYTES;
    bench.u8.fill(0, at, bench.segmentAt);
    for (let bytes = bench.nextSegment(); bytes > 0; bytes = bench.nextSegment()) {
      piece.chain.count = 1;
      piece.chain.offsets[0] = at;
      piece.chain.lengths[0] = virtio.NET_HEADER_BYTES + bytes;
      piece.chain.bytes = virtio.NET_HEADER_BYTES + bytes;
      piece.patient = false; // half a frame can't wait
      if (!piece.parse(arena)) this.#drop("malformed");
      else if (bytes > this.#longestFrame) this.#drop("too-long");
      else this.#receive(queue, piece);
    }
    return true;
  }

  #receive(queue: Virtqueue, frame: Frame): boolean {
    const available = queue.available();
    if (available === 0) return this.#full(queue, frame);
    const source = frame.chain;
    const chain = this.#rxChain;
    const head = queue.headAt(0);
    queue.readChain(head, true, chain);
    if (source.count > 1 || chain.count > 1 || source.bytes > chain.bytes) {
      return this.#receiveParts(queue, frame, available);
    }
    const at = chain.offsets[0]!;
    const frameAt = source.offsets[0]! + virtio.NET_HEADER_BYTES;
    copyBytes(queue.arena, at + virtio.NET_HEADER_BYTES, frame.arena, frameAt, frame.bytes);
    writeHeader(queue.arena, at, frame, 1);
    queue.take(1);
    queue.put(head, source.bytes);
    this.#received(frame);
    return true;
  }

  #received(frame: Frame): void {
    this.toGuest.pass(frame);
    if (this.dirty) return;
    this.dirty = true;
    this.#host.received(this);
  }

  /** A frame, or a place for it, that is in several buffers. */
  #receiveParts(queue: Virtqueue, frame: Frame, available: number): boolean {
    const source = frame.chain;
    const from = frame.arena;
    const chain = this.#rxChain;
    const to = queue.arena;
    let left = frame.bytes;
    let sourceIndex = 0;
    let sourceAt = source.offsets[0]! + virtio.NET_HEADER_BYTES;
    let sourceLeft = source.lengths[0]! - virtio.NET_HEADER_BYTES;
    while (sourceLeft <= 0) {
      // the header fills the first buffers
      sourceIndex++;
      sourceAt = source.offsets[sourceIndex]! - sourceLeft;
      sourceLeft += source.lengths[sourceIndex]!;
    }
    let buffers = 0;
    let headerAt = 0;
    // not begun where it can't be ended, going by the buffers that came last
    if (available < queue.size && available * this.#rxBufferBytes < left) {
      return this.#full(queue, frame);
    }
    while (left > 0) {
      if (buffers === available) return this.#full(queue, frame);
      if (buffers > 0 && !this.#mergeable) return this.#drop("too-long");
      const head = queue.headAt(buffers);
      queue.readChain(head, true, chain);
      this.#rxHeads[buffers] = head;
      this.#rxBufferBytes = chain.bytes;
      let written = 0;
      for (let i = 0; i < chain.count && left > 0; i++) {
        let at = chain.offsets[i]!;
        let room = chain.lengths[i]!;
        if (buffers === 0 && i === 0) {
          if (room < virtio.NET_HEADER_BYTES) throw new RingError("no room for the header");
          headerAt = at;
          at += virtio.NET_HEADER_BYTES;
          room -= virtio.NET_HEADER_BYTES;
          written = virtio.NET_HEADER_BYTES;
        }
        while (room > 0 && left > 0) {
          const step = Math.min(room, sourceLeft);
          copyBytes(to, at, from, sourceAt, step);
          at += step;
          room -= step;
          written += step;
          left -= step;
          sourceAt += step;
          sourceLeft -= step;
          if (sourceLeft === 0 && left > 0) {
            sourceIndex++;
            sourceAt = source.offsets[sourceIndex]!;
            sourceLeft = source.lengths[sourceIndex]!;
          }
        }
      }
      this.#rxWritten[buffers] = written;
      buffers++;
    }
    writeHeader(to, headerAt, frame, buffers);
    queue.take(buffers);
    for (let i = 0; i < buffers; i++) queue.put(this.#rxHeads[i]!, this.#rxWritten[i]!);
    this.#received(frame);
    return true;
  }

  /** The receive ring has too few buffers: the sender waits, or the frame is lost. */
  #full(queue: Virtqueue, frame: Frame): boolean {
    if (this.#stalled) return this.#drop("stalled");
    if (!frame.patient || sender === this) return this.#drop("no-buffer");
    // what is in the ring must be seen before the guest can make room
    this.publish();
    if (queue.enableKick() && queue.available() > queue.size / 2) {
      // it made room meanwhile; the frame is longer than the whole ring if this fails again
      return this.#drop("no-buffer");
    }
    const { nowMs } = this.#host.clock;
    if (Number.isNaN(this.#fullSinceMs)) {
      this.#fullSinceMs = nowMs;
      if (nowMs - this.#stalledAtMs > FORGIVEN_AFTER_MS) this.#patienceMs = PATIENCE_MS;
    } else if (this.checkStalled(nowMs)) {
      return this.#drop("stalled");
    }
    this.#host.becameFull(this);
    if (sender !== undefined && !this.#waiters.includes(sender)) this.#waiters.push(sender);
    return false;
  }

  /** Shows the guest what it received. */
  publish(): void {
    this.dirty = false;
    const queue = this.#rx;
    if (queue === undefined) return;
    if (queue.publish()) this.#call(this.#rxCall);
    if (this.#toTouch > 0) this.#host.mayTouchLater(this);
  }

  /** Touches the buffers that come next. */
  touchAhead(): void {
    const queue = this.#rx;
    if (queue === undefined) return;
    try {
      const next = queue.base;
      const ahead = Math.min(queue.available(), TOUCHED_AHEAD);
      const done = (this.#untouched - next) & 0xffff;
      const chain = this.#rxChain;
      // behind by now, where more frames came than were touched
      for (let i = done <= TOUCHED_AHEAD ? done : 0; i < ahead; i++) {
        queue.readChain(queue.headAt(i), true, chain);
        this.#touched += queue.arena.u8[chain.offsets[0]!]!;
        this.#toTouch--;
      }
      this.#untouched = (next + ahead) & 0xffff;
    } catch (error) {
      this.fail(error);
    }
  }

  #call(fd: number): void {
    if (fd < 0) return;
    try {
      libc.signal(fd);
    } catch (error) {
      this.fail(error);
    }
  }

  counters(): NicCounters {
    return {
      nic: this.spec.nic,
      connected: this.connectedToGuest,
      fromGuest: this.fromGuest.toJSON(),
      toGuest: this.toGuest.toJSON(),
      ringErrors: this.#ringErrors,
      lastRingError: this.#lastRingError,
    };
  }
}

/** The NIC whose frame is on its way: who waits when the receiver can't take it. */
let sender: Nic | undefined;

/** The frames that come now are sent by the fabric itself, which tries again on its own. */
export function fabricSends(): void {
  sender = undefined;
}

function writeHeader(arena: Arena, at: number, frame: Frame, buffers: number): void {
  const { u8, u32 } = arena;
  if ((at & 3) === 0 && frame.flags === 0 && frame.gsoSize === 0) {
    const word = at >>> 2;
    u32[word] = 0;
    u32[word + 1] = 0;
    u32[word + 2] = buffers << 16;
    return;
  }
  u8[at] = frame.flags;
  u8[at + 1] = frame.gsoType;
  u8[at + 2] = frame.headerBytes;
  u8[at + 3] = frame.headerBytes >> 8;
  u8[at + 4] = frame.gsoSize;
  u8[at + 5] = frame.gsoSize >> 8;
  u8[at + 6] = frame.checksumStart;
  u8[at + 7] = frame.checksumStart >> 8;
  u8[at + 8] = frame.checksumOffset;
  u8[at + 9] = frame.checksumOffset >> 8;
  u8[at + 10] = buffers;
  u8[at + 11] = buffers >> 8;
}
