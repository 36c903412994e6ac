/**
 * Where each MAC address of a VLAN was last seen. Bounded: sets of eight, in each the entry that was
 * not seen for longest gives way, so that a guest that floods with addresses only costs others a
 * flooded frame now and then. No allocation a frame.
 */

const SETS = 1024;
const WAYS = 8;

export class MacTable {
  /** Counts what makes an answer of `find`, or an address that was learnt, untrue. */
  changes = 0;
  /** Until when the last answer of `find` holds, as far as it is known now. */
  foundUntilMs = 0;
  readonly #low = new Int32Array(SETS * WAYS);
  /** High 16 bits of the address, and 12 of the VLAN above them; -1 where nothing is. */
  readonly #high = new Int32Array(SETS * WAYS).fill(-1);
  readonly #port = new Int32Array(SETS * WAYS);
  readonly #seenMs = new Float64Array(SETS * WAYS);
  readonly #ageingMs: number;

  constructor(ageingMs: number) {
    this.#ageingMs = ageingMs;
  }

  /** The port, or -1. */
  find(high: number, low: number, vlan: number, nowMs: number): number {
    const key = high | (vlan << 16);
    const from = setOf(key, low);
    for (let i = from; i < from + WAYS; i++) {
      if (this.#low[i] === low && this.#high[i] === key) {
        this.foundUntilMs = this.#seenMs[i]! + this.#ageingMs;
        return nowMs <= this.foundUntilMs ? this.#port[i]! : -1;
      }
    }
    this.foundUntilMs = Number.POSITIVE_INFINITY;
    return -1;
  }

  learn(high: number, low: number, vlan: number, port: number, nowMs: number): void {
    const key = high | (vlan << 16);
    const from = setOf(key, low);
    let place = from;
    for (let i = from; i < from + WAYS; i++) {
      if (this.#low[i] === low && this.#high[i] === key) {
        place = i;
        break;
      }
      if (this.#high[i] === -1) {
        if (this.#high[place] !== -1) place = i;
      } else if (this.#high[place] !== -1 && this.#seenMs[i]! < this.#seenMs[place]!) place = i;
    }
    if (this.#low[place] !== low || this.#high[place] !== key || this.#port[place] !== port) {
      this.changes++;
    }
    this.#low[place] = low;
    this.#high[place] = key;
    this.#port[place] = port;
    this.#seenMs[place] = nowMs;
  }

  forgetPort(port: number): void {
    this.changes++;
    for (let i = 0; i < this.#high.length; i++) if (this.#port[i] === port) this.#high[i] = -1;
  }

  /** What it knows, addresses that aged out left away. */
  entries(nowMs: number): { mac: string; vlan: number; port: number; ageMs: number }[] {
    const found: { mac: string; vlan: number; port: number; ageMs: number }[] = [];
    for (let i = 0; i < this.#high.length; i++) {
      const key = this.#high[i]!;
      const ageMs = nowMs - this.#seenMs[i]!;
      if (key === -1 || ageMs > this.#ageingMs) continue;
      const digits =
        (key & 0xffff).toString(16).padStart(4, "0") +
        (this.#low[i]! >>> 0).toString(16).padStart(8, "0");
      const mac = (digits.match(/../g) as string[]).join(":");
      found.push({ mac, vlan: key >>> 16, port: this.#port[i]!, ageMs });
    }
    return found;
  }
}

function setOf(key: number, low: number): number {
  const hash = Math.imul(low ^ Math.imul(key, 0x9e3779b1), 0x85ebca6b);
  return ((hash >>> 16) & (SETS - 1)) * WAYS;
}
