/** `delay=10ms loss=1%` to an impairment: the words of `link set`. Throws LabError USAGE. */

import { LabError } from "../base/errors.ts";
import { closest } from "../base/similar.ts";
import { parseBitsPerSecond, parseBytes, parseDurationNs, parseFraction } from "../base/units.ts";
import type { Impairment } from "../net/control/messages.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Setter = (value: string) => Partial<Impairment> | undefined;

const as =
  <K extends keyof Impairment>(
    field: K,
    parse: (text: string) => Impairment[K] | undefined,
  ): Setter =>
  (value) => {
    const parsed = parse(value);
    return parsed === undefined ? undefined : { [field]: parsed };
  };

function parseQueue(text: string): Impairment["queue"] {
  if (/^\d+$/.test(text)) return { frames: Number(text) };
  const bytes = parseBytes(text);
  return bytes === undefined ? undefined : { bytes };
}

const KEYS: Readonly<
  Record<string, { readonly set: Setter; readonly field: keyof Impairment; readonly like: string }>
> = {
  delay: { set: as("delayNs", parseDurationNs), field: "delayNs", like: "10ms" },
  jitter: { set: as("jitterNs", parseDurationNs), field: "jitterNs", like: "2ms" },
  loss: { set: as("loss", parseFraction), field: "loss", like: "1%" },
  duplicate: { set: as("duplicate", parseFraction), field: "duplicate", like: "1%" },
  corrupt: { set: as("corrupt", parseFraction), field: "corrupt", like: "0.1%" },
  reorder: { set: as("reorder", parseFraction), field: "reorder", like: "5%" },
  rate: { set: as("rateBitsPerSec", parseBitsPerSecond), field: "rateBitsPerSec", like: "10Mbit" },
  queue: { set: as("queue", parseQueue), field: "queue", like: "100 or 64K" },
};

/** The impairment after the words, beginning from what the cable has now. */
export function applyWords(now: Impairment, words: readonly string[]): Impairment {
  const next: Writable<Impairment> = { ...now };
  for (const word of words) {
    if (word === "none") {
      for (const { field } of Object.values(KEYS)) delete next[field];
      continue;
    }
    const equals = word.indexOf("=");
    const key = equals < 0 ? word : word.slice(0, equals);
    const value = equals < 0 ? "" : word.slice(equals + 1);
    const known = KEYS[key];
    if (known === undefined) {
      const guess = closest(key, Object.keys(KEYS));
      throw new LabError("USAGE", `a link has no \`${key}\` to set`, {
        hint:
          guess === undefined
            ? `it has: ${Object.keys(KEYS).join(", ")}`
            : `did you mean \`${guess}\`?`,
      });
    }
    if (value === "none" || value === "0") {
      delete next[known.field];
      continue;
    }
    const set = known.set(value);
    if (set === undefined) {
      throw new LabError("USAGE", `\`${word}\`: this is not a value for ${key}`, {
        hint: `write for example ${key}=${known.like.split(" ")[0]}, or ${key}=none`,
      });
    }
    Object.assign(next, set);
  }
  return next;
}
