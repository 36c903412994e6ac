/**
 * Awake before a frame is due: a timer wakes the loop 0.1 to 0.4 ms late, and what runs then runs from
 * cold caches. So the loop may be woken ahead, and turn idly until the frame is due. What that costs
 * of the processor is bounded: a credit grows with the time, and each due time pays from it.
 */

/** Time before a frame is due at which the loop is woken. */
const AHEAD_NS = 300_000;
/** Of all time, what may be spent on being awake. */
const SHARE = 0.05;
const MOST_CREDIT_NS = 10_000_000;

export class Vigil {
  #creditNs = MOST_CREDIT_NS;
  #grownNs = 0;
  #paidForNs = Number.NaN;

  /** When the loop should be awake for a frame that is due at `dueNs`; later than `dueNs` never. */
  wakeNs(dueNs: number, nowNs: number): number {
    if (dueNs === this.#paidForNs) return dueNs - AHEAD_NS;
    const grown = this.#creditNs + (nowNs - this.#grownNs) * SHARE;
    this.#grownNs = nowNs;
    const price = Math.min(AHEAD_NS, dueNs - nowNs);
    const creditNs = Math.min(MOST_CREDIT_NS, grown);
    const pays = creditNs >= price;
    this.#creditNs = pays ? creditNs - price : creditNs;
    if (!pays) return dueNs;
    this.#paidForNs = dueNs;
    return dueNs - AHEAD_NS;
  }
}
