/** Impairments in the words of the topology language. */

import type { Impairment } from "../../net/control/messages.ts";

const duration = (ns: number): string =>
  ns % 1e9 === 0 ? `${ns / 1e9}s` : ns % 1e6 === 0 ? `${ns / 1e6}ms` : `${ns / 1e3}us`;

const percent = (fraction: number): string => `${Number((fraction * 100).toPrecision(6))}%`;

function rate(bits: number): string {
  for (const [unit, size] of [
    ["Gbit", 1e9],
    ["Mbit", 1e6],
    ["kbit", 1e3],
  ] as const) {
    if (bits >= size) return `${Number((bits / size).toPrecision(6))}${unit}`;
  }
  return `${bits}bit`;
}

/** `delay=10ms loss=1%`; empty for a perfect cable. */
export function impairmentText(one: Impairment): string {
  const words: string[] = [];
  if (one.delayNs) words.push(`delay=${duration(one.delayNs)}`);
  if (one.jitterNs) words.push(`jitter=${duration(one.jitterNs)}`);
  for (const key of ["loss", "duplicate", "corrupt", "reorder"] as const) {
    const fraction = one[key];
    if (fraction) words.push(`${key}=${percent(fraction)}`);
  }
  if (one.rateBitsPerSec) words.push(`rate=${rate(one.rateBitsPerSec)}`);
  if (one.queue !== undefined) {
    words.push("frames" in one.queue ? `queue=${one.queue.frames}` : `queue=${one.queue.bytes}B`);
  }
  return words.join(" ");
}
