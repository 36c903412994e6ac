/**
 * Whole labs: `uml-lab up` from the command to the verdict with 2, 10 and 50 hosts, what a guest
 * costs in memory and what an idle lab costs in CPU; beside Mininet (network namespaces, no
 * kernels), which starts the same star and pings every pair.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cleanups } from "../base/cleanups.ts";
import { messageOf } from "../base/errors.ts";
import { packageRoot } from "../base/package-root.ts";
import { findProgram } from "../kernel/packages/apt.ts";
import type { LabStatus, Report } from "../lab/api.ts";
import { askUmlLab } from "./command.ts";
import type { SectionOptions } from "./sections.ts";
import { median, renderTable } from "./table.ts";

const TICKS_PER_SECOND = 100; // USER_HZ, proc(5)

export interface LabResult {
  readonly lab: string;
  readonly hosts: number;
  readonly pairs: number;
  /** From the command to the verdict, seconds. */
  readonly upSeconds: number;
  readonly timing: Report["timing"];
  /** PSS of all host processes of a guest, mean, bytes. */
  readonly bytesPerGuest: number | null;
  /** Supervisor and fabric together while nothing happens: share of one core. */
  readonly idleShare: number;
  readonly guestsIdleShare: number;
  readonly downSeconds: number;
  readonly mininetSeconds: number | null;
  readonly mininetProblem: string | null;
}

export async function measureLabs(options: SectionOptions): Promise<LabResult[]> {
  await using cleanups = new Cleanups();
  const folder = mkdtempSync(join(tmpdir(), "uml-bench-"));
  cleanups.defer("remove the bench's folder", () => rmSync(folder, { recursive: true }));
  const results: LabResult[] = [];
  const rounds = options.quick ? 1 : 3;
  results.push(
    await measureLab("two-lans", join(packageRoot, "topologies/two-lans.yaml"), 3, rounds, options),
  );
  for (const hosts of options.quick ? [2, 10] : [2, 10, 50]) {
    const file = join(folder, `star-${hosts}.yaml`);
    writeFileSync(file, starOf(hosts));
    const result = await measureLab(
      `star of ${hosts}`,
      file,
      hosts,
      hosts > 10 ? 1 : rounds,
      options,
    );
    results.push({ ...result, ...measureMininet(hosts, options) });
  }
  return results;
}

function starOf(hosts: number): string {
  return `name: bench-star-${hosts}
guests:
  h1..${hosts}:
switches:
  lan: { subnet: 10.0.0.0/16 }
links:
  - [h1..${hosts}, lan]
`;
}

async function measureLab(
  lab: string,
  file: string,
  hosts: number,
  rounds: number,
  { signal, log }: SectionOptions,
): Promise<LabResult> {
  const ups: number[] = [];
  const downs: number[] = [];
  let last:
    | Pick<LabResult, "timing" | "bytesPerGuest" | "idleShare" | "guestsIdleShare" | "pairs">
    | undefined;
  for (let round = 1; round <= rounds; round++) {
    log(`${lab}: up, round ${round}`);
    let start = performance.now();
    const report = (await askUmlLab(["up", file], { signal })) as Report;
    ups.push((performance.now() - start) / 1000);
    if (report.verdict !== "pass") throw new Error(`${lab} did not pass`);
    try {
      if (round === rounds) last = await measureIdle(report, signal);
    } finally {
      start = performance.now();
      await askUmlLab(["down", report.lab], { signal });
      downs.push((performance.now() - start) / 1000);
    }
  }
  return {
    lab,
    hosts,
    upSeconds: median(ups),
    downSeconds: median(downs),
    mininetSeconds: null,
    mininetProblem: null,
    ...last!,
  };
}

async function measureIdle(report: Report, signal: AbortSignal) {
  const status = (await askUmlLab(["status", report.lab], { signal })) as LabStatus;
  const house = () => cpuSeconds(status.supervisorPid) + cpuSeconds(status.fabricPid);
  const guests = async () => {
    const now = (await askUmlLab(["status", report.lab], { signal })) as LabStatus;
    return now.guests.reduce((sum, guest) => sum + (guest.cpuSeconds ?? 0), 0);
  };
  await sleep(3000, undefined, { signal });
  const guestsBefore = await guests();
  const [before, start] = [house(), performance.now()];
  await sleep(10_000, undefined, { signal });
  const seconds = (performance.now() - start) / 1000;
  const idleShare = (house() - before) / seconds;
  const guestsIdleShare = ((await guests()) - guestsBefore) / seconds;
  const resident = status.guests.map(({ residentBytes }) => residentBytes);
  const known = resident.filter((bytes) => bytes !== null);
  return {
    timing: report.timing,
    pairs: report.reachability.length,
    idleShare,
    guestsIdleShare,
    bytesPerGuest:
      known.length === 0 ? null : known.reduce((sum, bytes) => sum + bytes, 0) / known.length,
  };
}

/** utime and stime of proc(5)'s stat. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Mininet's own benchmark: start a star, ping all pairs, stop. It needs root. */
function measureMininet(
  hosts: number,
  { log }: SectionOptions,
): Pick<LabResult, "mininetSeconds" | "mininetProblem"> {
  const no = (mininetProblem: string) => {
    log(`NO COMPARISON with Mininet: ${mininetProblem}`);
    return { mininetSeconds: null, mininetProblem };
  };
  const mn = findProgram("mn");
  if (mn === undefined) return no("it is not installed (apt-get install mininet)");
  if (process.getuid?.() !== 0) return no("it needs root");
  log(`Mininet: a star of ${hosts}`);
  try {
    const start = performance.now();
    const args = ["--switch", "lxbr", "--controller", "none", "--topo", `single,${hosts}`];
    const done = spawnSync(mn, [...args, "--test", "pingall"], { encoding: "utf8" });
    const seconds = (performance.now() - start) / 1000;
    if (done.status !== 0 || !/ 0% dropped/.test(done.stderr + done.stdout)) {
      return no(`it failed: ${(done.stderr || done.stdout).trim().split("\n").at(-1)}`);
    }
    return { mininetSeconds: seconds, mininetProblem: null };
  } catch (error) {
    return no(messageOf(error));
  }
}

const seconds = (value: number | null) => (value === null ? "-" : `${value.toFixed(2)} s`);
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

export function renderLabs(results: readonly LabResult[]): string {
  const head = [
    ...["lab", "pairs", "up to verdict", "boot", "verify", "down", "MB a guest"],
    ...["idle: ours", "idle: guests", "Mininet", "ours/Mininet"],
  ];
  return renderTable(
    head,
    results.map((result) => [
      result.lab,
      String(result.pairs),
      seconds(result.upSeconds),
      seconds(result.timing.bootMs / 1000),
      seconds(result.timing.verifyMs / 1000),
      seconds(result.downSeconds),
      result.bytesPerGuest === null ? "-" : (result.bytesPerGuest / 1e6).toFixed(1),
      percent(result.idleShare),
      percent(result.guestsIdleShare),
      seconds(result.mininetSeconds),
      result.mininetSeconds === null
        ? "-"
        : `${((result.upSeconds + result.downSeconds) / result.mininetSeconds).toFixed(2)}×`,
    ]),
  );
}
