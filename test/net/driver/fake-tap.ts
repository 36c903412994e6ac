/** The host's side of a TAP, in memory: what it would send waits here, and what it gets is kept. */

import type { DropReason } from "../../../net/control/messages.ts";
import type { TapDevice } from "../../../net/host-tap-device.ts";
import { SystemCallError } from "../../../net/libc/libc.ts";
import { NET_HEADER_BYTES } from "../../../net/virtio/constants.ts";

const EBADF = 9;

export class FakeTap implements TapDevice {
  readonly fd = -1;
  /** With their virtio headers. */
  readonly toRead: Buffer[] = [];
  readonly written: Buffer[] = [];
  readonly carriers: boolean[] = [];
  /** What becomes of frames that are written. */
  refuses: DropReason | "gone" | undefined;
  deleted = false;
  closed = false;

  /** The host's kernel sends a frame. */
  sends(frame: Uint8Array, header: Uint8Array = Buffer.alloc(NET_HEADER_BYTES)): void {
    this.toRead.push(Buffer.concat([header, frame]));
  }

  /** Frames that the host has now, without their headers; each is told once. */
  got(): Buffer[] {
    return this.written.splice(0).map((bytes) => bytes.subarray(NET_HEADER_BYTES));
  }

  read(into: Uint8Array): number {
    if (this.deleted) throw new SystemCallError("read", EBADF);
    const next = this.toRead.shift();
    if (next === undefined) return -1;
    into.set(next);
    return next.length;
  }

  write(bytes: Uint8Array, length: number): DropReason | "gone" | undefined {
    if (this.refuses === undefined) this.written.push(Buffer.from(bytes.subarray(0, length)));
    return this.refuses;
  }

  setCarrier(up: boolean): void {
    this.carriers.push(up);
  }

  close(): void {
    this.closed = true;
  }
}
