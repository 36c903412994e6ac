/** Units as the topology language writes them. Each parser answers undefined for what is not one. */

const DURATION = /^(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)$/;
const NS_PER: Record<string, number> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** `10ms`, `1.5s`, `200us` to nanoseconds (integer). */
export function parseDurationNs(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * (NS_PER[match[2] as string] as number));
}

/** `48M`, `1G`, `512K`, `1500B` to bytes (powers of 1024). */
export function parseBytes(text: string): number | undefined {
  if (/^\d+B$/.test(text)) return Number(text.slice(0, -1));
  const match = /^(\d+(?:\.\d+)?)([KMGT])(?:i?B)?$/.exec(text);
  if (match === null) return undefined;
  const power = "KMGT".indexOf(match[2] as string) + 1;
  return Math.round(Number(match[1]) * 1024 ** power);
}

/** `1%`, `0.1%` to a fraction 0 … 1. */
export function parseFraction(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)%$/.exec(text);
  if (match === null) return undefined;
  const value = Number(match[1]) / 100;
  return value <= 1 ? value : undefined;
}

/** `10Mbit`, `1Gbit`, `64kbit` to bits a second (powers of 1000, as tc has it). */
export function parseBitsPerSecond(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kKMGT]?)bit$/.exec(text);
  if (match === null) return undefined;
  const power = match[2] === "" ? 0 : "KMGT".indexOf((match[2] as string).toUpperCase()) + 1;
  return Math.round(Number(match[1]) * 1000 ** power);
}

/** Bytes for people: `12.8 MB`, powers of 1000. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Memory for people, in the powers of 1024 that it comes in: `64 MiB`, `17.7 MiB`. */
export function formatMemory(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1023.95 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}

/** `3 guests`, `1 guest`. */
export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n} ${n === 1 ? one : many}`;

/** A time span for people: `830 µs`, `41 ms`, `2.3 s`, `3 min 12 s`. */
export function formatDurationNs(ns: number): string {
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 1e6) return `${Math.round(ns / 1e3)} µs`;
  if (ns < 10e6) return `${(ns / 1e6).toFixed(1)} ms`;
  if (ns < 1e9) return `${Math.round(ns / 1e6)} ms`;
  if (ns < 60e9) return `${(ns / 1e9).toFixed(1)} s`;
  return `${Math.floor(ns / 60e9)} min ${Math.round((ns % 60e9) / 1e9)} s`;
}
