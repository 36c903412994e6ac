/**
 * Labs of 100, 250 and 500 guests on this machine: a ring of small switches whose guests are to
 * reach their neighbours. How long until all are judged, what a guest costs in memory and, idle,
 * in CPU.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cleanups } from "../base/cleanups.ts";
import type { LabStatus, Report } from "../lab/api.ts";
import { askUmlLab } from "./command.ts";
import { cpuSeconds } from "./labs.ts";
import type { SectionOptions } from "./sections.ts";
import { renderTable } from "./table.ts";

export interface ScaleResult {
  readonly guests: number;
  readonly kernel: string;
  readonly pairs: number;
  readonly upSeconds: number;
  readonly timing: Report["timing"];
  readonly downSeconds: number;
  /** PSS of an idle guest's host processes, mean. */
  readonly bytesPerGuest: number;
  /** Shares of one core while nothing happens. */
  readonly guestsIdleShare: number;
  readonly supervisorIdleShare: number;
  readonly fabricIdleShare: number;
}

export async function measureScale(options: SectionOptions): Promise<ScaleResult[]> {
  await using cleanups = new Cleanups();
  const folder = mkdtempSync(join(tmpdir(), "uml-bench-"));
  cleanups.defer("remove the bench's folder", () => rmSync(folder, { recursive: true }));
  const results: ScaleResult[] = [];
  for (const guests of options.quick ? [100] : [100, 250, 500]) {
    const file = join(folder, `${guests}.yaml`);
    writeFileSync(file, ringOf(guests));
    options.log(`${guests} guests`);
    results.push(await measure(guests, file, options));
  }
  return results;
}

/** Ten guests a switch, the switches in a chain; each guest is to reach the next one. */
function ringOf(guests: number): string {
  const switches = Math.ceil(guests / 10);
  const links = Array.from({ length: switches }, (_, i) => {
    const [first, last] = [10 * i + 1, Math.min(10 * i + 10, guests)];
    return `  - [h${first}..${last}, s${i + 1}]`;
  });
  const chain = Array.from({ length: switches - 1 }, (_, i) => `  - [s${i + 1}, s${i + 2}]`);
  const pairs = Array.from({ length: guests }, (_, i) => {
    return `    - h${i + 1} -> h${((i + 1) % guests) + 1}`;
  });
  return [
    `name: bench-${guests}`,
    `guests:\n  h1..${guests}: { memory: 40M }`,
    `switches:\n  s1..${switches}: { subnet: 10.0.0.0/16 }`,
    `links:\n${[...links, ...chain].join("\n")}`,
    `expect:\n  settle: 120s\n  reach:\n${pairs.join("\n")}`,
    "",
  ].join("\n");
}

async function measure(
  guests: number,
  file: string,
  { signal }: SectionOptions,
): Promise<ScaleResult> {
  let start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const report = (await askUmlLab(["up", file], { signal })) as Report;
  const upSeconds = seconds();
  let idle: Awaited<ReturnType<typeof measureIdle>>;
  try {
    if (report.verdict !== "pass") {
      const failed = report.reachability.filter(({ ok }) => !ok);
      throw new Error(`${failed.length} pairs failed: ${failed[0]?.why}`);
    }
    idle = await measureIdle(report.lab, signal);
  } finally {
    start = performance.now();
    await askUmlLab(["down", report.lab], { signal });
  }
  return {
    guests,
    kernel: report.guests[0]?.kernel ?? "",
    pairs: report.reachability.length,
    upSeconds,
    timing: report.timing,
    downSeconds: seconds(),
    ...idle,
  };
}

async function measureIdle(lab: string, signal: AbortSignal) {
  const look = async () => {
    const status = (await askUmlLab(["status", lab], { signal })) as LabStatus;
    const at = performance.now() / 1000;
    const guests = status.guests.reduce((sum, { cpuSeconds }) => sum + (cpuSeconds ?? 0), 0);
    const bytes = status.guests.reduce((sum, { residentBytes }) => sum + (residentBytes ?? 0), 0);
    return {
      ...{ at, guests, bytes: bytes / status.guests.length },
      supervisor: cpuSeconds(status.supervisorPid),
      fabric: cpuSeconds(status.fabricPid),
    };
  };
  await sleep(10_000, undefined, { signal });
  const before = await look();
  await sleep(20_000, undefined, { signal });
  const after = await look();
  const share = (of: "guests" | "supervisor" | "fabric") =>
    (after[of] - before[of]) / (after.at - before.at);
  return {
    bytesPerGuest: after.bytes,
    guestsIdleShare: share("guests"),
    supervisorIdleShare: share("supervisor"),
    fabricIdleShare: share("fabric"),
  };
}

export function renderScale(results: readonly ScaleResult[]): string {
  const seconds = (value: number) => `${value.toFixed(1)} s`;
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  return renderTable(
    [
      ...["guests", "kernel", "pairs", "up to verdict", "boot", "verify", "down"],
      ...["MB a guest", "idle: guests", "supervisor", "fabric"],
    ],
    results.map((one) => [
      String(one.guests),
      one.kernel,
      String(one.pairs),
      seconds(one.upSeconds),
      seconds(one.timing.bootMs / 1000),
      seconds(one.timing.verifyMs / 1000),
      seconds(one.downSeconds),
      (one.bytesPerGuest / 1e6).toFixed(1),
      percent(one.guestsIdleShare),
      percent(one.supervisorIdleShare),
      percent(one.fabricIdleShare),
    ]),
  );
}
