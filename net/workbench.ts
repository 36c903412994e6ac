/**
 * Memory of the fabric's own, for frames that are taken apart or stay a while: a place where a frame
 * is gathered into one piece, one where a segment of it is written, and a pool of slots.
 *
 *     region: | room | gathered frame | room | segment | pool of slots ... |
 *
 * What guests sent is copied here before it is looked into: they can't change it meanwhile.
 */

import { type Arenas, copyBytes, type Region } from "./arena.ts";
import type { Frame } from "./frame.ts";
import { FramePool } from "./impairment/frame-pool.ts";
import { NET_HEADER_BYTES } from "./virtio/constants.ts";
import { Segmenter } from "./wire/segment.ts";

const PIECE_BYTES = 96 * 1024;
/** Before a frame, for a header that somebody puts there. */
const ROOM_BYTES = 64;
const POOL_START = 1 << 20;
/** Reserved, and used as far as frames are in flight. */
const POOL_BYTES = 512 << 20;

export class Workbench {
  readonly region: Region;
  readonly u8: Uint8Array;
  readonly pool = new FramePool(POOL_BYTES);
  /** Where the pool's slots are counted from. */
  readonly poolAt: number;
  /** Where `takeApart` gathers; 64 bytes before it are free. */
  readonly gatheredAt: number;
  /** Where `nextSegment` writes; 64 bytes before it are free. */
  readonly segmentAt: number;
  readonly segmenter = new Segmenter();

  constructor(arenas: Arenas) {
    this.region = arenas.take(POOL_START + POOL_BYTES);
    this.u8 = this.region.arena.u8;
    this.gatheredAt = this.region.offset + ROOM_BYTES;
    this.segmentAt = this.region.offset + PIECE_BYTES;
    this.poolAt = this.region.offset + POOL_START;
  }

  /** Copies a frame without its virtio header to `at`, in one piece. */
  gather(frame: Frame, at: number): void {
    const { chain, arena } = frame;
    let skip = NET_HEADER_BYTES;
    let to = at;
    let left = frame.bytes;
    for (let i = 0; i < chain.count && left > 0; i++) {
      const length = chain.lengths[i]!;
      if (length <= skip) {
        skip -= length;
        continue;
      }
      const step = Math.min(length - skip, left);
      copyBytes(this.region.arena, to, arena, chain.offsets[i]! + skip, step);
      skip = 0;
      to += step;
      left -= step;
    }
  }

  /** Readies `segmenter` to give the frames of a wire; false where the frame's header can't be true. */
  takeApart(frame: Frame): boolean {
    if (frame.bytes > PIECE_BYTES - 2 * ROOM_BYTES) return false;
    this.gather(frame, this.gatheredAt);
    return this.segmenter.begin(this.u8, this.gatheredAt, frame.bytes, frame);
  }

  /** Writes the next frame of a wire to `segmentAt`; its length, 0 behind the last. */
  nextSegment(): number {
    return this.segmenter.next(this.u8, this.segmentAt);
  }
}
