/**
 * VLANs at a switch (IEEE 802.1Q): what a port carries, and frames with their tag put in or taken out.
 *
 *     untagged frame on the cable  <-->  native VLAN of the port
 *     tagged frame on the cable    <-->  VLAN of its tag, where the port's trunk has it
 *
 * A frame that changes its tag is not copied: its addresses (and the new tag) are written to a
 * scratch page, and a chain leads from there to the rest, where it stands.
 */

import { Frame } from "./frame.ts";
import { LARGEST_QUEUE, NET_HEADER_BYTES } from "./virtio/constants.ts";
import { ETHERTYPE_VLAN } from "./wire/ethernet.ts";

/** §9.6: the lowest 12 bits of a tag; above them priority and drop eligible. */
export const VLAN_MASK = 0xfff;
/** What a port belongs to where nothing is said (§9.6, default PVID). */
const DEFAULT_VLAN = 1;

export class PortVlans {
  /** VLAN of untagged frames; 0: there are none. */
  readonly native: number;
  /** A bit for each VLAN carried tagged. */
  readonly #tagged = new Uint32Array(128);

  constructor(vlan: number | undefined, trunk: readonly number[] | undefined) {
    this.native = vlan ?? (trunk === undefined ? DEFAULT_VLAN : 0);
    for (const one of trunk ?? []) this.#tagged[one >>> 5]! |= 1 << (one & 31);
  }

  /** Whether frames tagged so may come in. */
  carriesTagged(vlan: number): boolean {
    return (this.#tagged[vlan >>> 5]! & (1 << (vlan & 31))) !== 0;
  }

  has(vlan: number): boolean {
    return vlan === this.native || this.carriesTagged(vlan);
  }
}

const ADDRESSES_END = NET_HEADER_BYTES + 12;
const TAG_BYTES = 4;
/** The virtio-net header, addresses and a tag; a power of two. */
const SCRATCH_BYTES = 32;
const FORMS = 2;
/** As many as the links a frame may cross fill one page, the first of an arena. */
const MOST_HOPS = 64;
/** Where no tag goes in. */
export const NO_TAG = -1;

/**
 * Makes frames with another tag. A frame made for one that crossed so many links is good until the
 * next is made for one that crossed as many: floods nest, and each level has its own.
 */
export class Retagger {
  readonly #frames: Frame[] = [];

  /**
   * @param hasTag whether the frame has a tag, which goes. @param control the new tag's priority and
   * VLAN, or NO_TAG. Undefined where the frame's headers can't be true.
   */
  retag(frame: Frame, hasTag: boolean, control: number): Frame | undefined {
    const form = control === NO_TAG ? 0 : 1;
    const slot = (frame.hops % MOST_HOPS) * FORMS + form;
    const skipped = ADDRESSES_END + (hasTag ? TAG_BYTES : 0);
    const grows = (form === 1 ? TAG_BYTES : 0) - (hasTag ? TAG_BYTES : 0);
    this.#frames[slot] ??= new Frame(frame.arena);
    const made = this.#frames[slot];
    if (frame.chain.bytes <= skipped || !copyOffload(frame, made, grows)) return undefined;
    const { arena, chain } = frame;
    const { u8 } = arena;
    const at = slot * SCRATCH_BYTES;
    let headEnd = at + ADDRESSES_END;
    let count = 1;
    let before = 0;
    for (let i = 0; i < chain.count; i++) {
      const offset = chain.offsets[i]!;
      const length = chain.lengths[i]!;
      const head = Math.min(length, ADDRESSES_END - before);
      if (head > 0) u8.copyWithin(at + before, offset, offset + head);
      const from = Math.max(0, skipped - before);
      before += length;
      if (from >= length) continue;
      if (count === LARGEST_QUEUE) return undefined;
      made.chain.offsets[count] = offset + from;
      made.chain.lengths[count] = length - from;
      count++;
    }
    if (form === 1) {
      u8[headEnd] = ETHERTYPE_VLAN >>> 8;
      u8[headEnd + 1] = ETHERTYPE_VLAN & 0xff;
      u8[headEnd + 2] = control >>> 8;
      u8[headEnd + 3] = control;
      headEnd += TAG_BYTES;
    }
    made.chain.offsets[0] = at;
    made.chain.lengths[0] = headEnd - at;
    made.chain.count = count;
    made.chain.bytes = chain.bytes + grows;
    made.arena = arena;
    made.etherType = form === 1 ? ETHERTYPE_VLAN : readType(made);
    return made;
  }
}

/** Everything but the bytes; false where an offload would point into what is not there. */
function copyOffload(from: Frame, to: Frame, grows: number): boolean {
  to.bytes = from.bytes + grows;
  to.flags = from.flags;
  to.gsoType = from.gsoType;
  to.gsoSize = from.gsoSize;
  to.headerBytes = from.gsoSize === 0 ? from.headerBytes : from.headerBytes + grows;
  to.checksumStart = from.flags === 0 ? from.checksumStart : from.checksumStart + grows;
  to.checksumOffset = from.checksumOffset;
  to.toHigh = from.toHigh;
  to.toLow = from.toLow;
  to.fromHigh = from.fromHigh;
  to.fromLow = from.fromLow;
  to.patient = from.patient;
  to.hops = from.hops;
  const least = ADDRESSES_END + 2 - NET_HEADER_BYTES;
  return (
    to.bytes >= least &&
    (from.gsoSize === 0 || to.headerBytes >= least) &&
    (from.flags === 0 || to.checksumStart >= least)
  );
}

/** The type that stands behind the addresses, in the second buffer or the two after it. */
function readType({ arena, chain }: Frame): number {
  let type = 0;
  let read = 0;
  for (let i = 1; i < chain.count && read < 2; i++) {
    for (let j = 0; j < chain.lengths[i]! && read < 2; j++, read++) {
      type = (type << 8) | arena.u8[chain.offsets[i]! + j]!;
    }
  }
  return type;
}
