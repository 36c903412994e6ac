/**
 * Why a pair is not as expected, in one sentence, from what the prober knows. The fabric's traces
 * know more: `explain/failures.ts` puts their sentence in its place.
 */

import type { Probe } from "./fping.ts";

export interface Circumstances {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly expected: "reach" | "isolate" | null;
  /** What the last probe found; undefined: none could be sent. */
  readonly probe: Probe | undefined;
  /** Why no probe could be sent or answered: `bob is paused`. */
  readonly obstacle: string | undefined;
  /** Which guest has an address. */
  readonly ownerOf: (address: string) => string | undefined;
  readonly triedForMs: number;
}

export function explain(known: Circumstances): string {
  const { from, to, address, probe, obstacle } = known;
  if (obstacle !== undefined) return obstacle;
  if (probe === undefined) return "no probe was sent";
  if (probe.rttMs !== null) {
    return known.expected === "isolate"
      ? `${to} answered ${from} from ${address} after ${probe.rttMs} ms, and must not be reached`
      : `${to} answered`;
  }
  if (probe.otherAddress !== undefined) {
    const answer = `an answer came from ${probe.otherAddress} instead of ${address}`;
    return known.expected === "isolate"
      ? `${answer}: ${from}'s packets get through, and must not`
      : `${answer}, so ${from} does not take it for one`;
  }
  const { refusal } = probe;
  if (refusal !== null) {
    if (refusal.from === null) return `${from} could not send to ${address}: ${refusal.text}`;
    const owner = known.ownerOf(refusal.from);
    const who = owner === undefined ? refusal.from : `${owner} (${refusal.from})`;
    const what = refusal.text.replace(/^ICMP\S* /, "");
    return owner === from
      ? `${from}'s own kernel gave up on ${address}: ${what}`
      : `${who} refused it: ${what}`;
  }
  const tried = known.triedForMs >= 1000 ? ` within ${Math.round(known.triedForMs / 1000)} s` : "";
  return `no answer from ${address}${tried}`;
}
