/**
 * Keeps a loop of switches from taking the machine. A frame that came through another switch may be
 * on its way round: copies of such frames are admitted at a rate that labs without loops stay far
 * below, and what is beyond is dropped. Frames fresh from a guest are not counted, they can't loop yet.
 */

/** Copies a millisecond, and at once after a pause. */
const COPIES_PER_MS = 100;
const BURST_COPIES = 4096;

export class StormGuard {
  readonly #clock: { readonly nowMs: number };
  #left = BURST_COPIES;
  #filledMs = 0;

  constructor(clock: { readonly nowMs: number }) {
    this.#clock = clock;
  }

  /** Whether one more copy may be made. */
  admit(): boolean {
    const { nowMs } = this.#clock;
    if (nowMs !== this.#filledMs) {
      this.#left = Math.min(BURST_COPIES, this.#left + (nowMs - this.#filledMs) * COPIES_PER_MS);
      this.#filledMs = nowMs;
    }
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
