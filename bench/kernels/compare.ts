/**
 * Two kernels by turns, so that a noisy moment meets both: what an option of the kernel's costs.
 *
 *     node dist/bench/kernels/compare.js KERNEL KERNEL [ROUNDS]     each a path: CACHE/kernels/…/linux
 *
 * Beside the clock's figures stand those of CPU time, which a busy machine changes less.
 */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { ensureKernel } from "../../kernel/kernels.ts";
import type { LabStatus, Report } from "../../lab/api.ts";
import { askUmlLab, giveProgram, runInGuest } from "../command.ts";
import { compileForGuest } from "../compile.ts";
import { median, renderTable } from "../table.ts";
import type { TransportResult } from "../transports/guests.ts";
import { measureUmlBoot } from "./boots.ts";

const MEGABYTES = 400;
const ECHOES = 1500;

interface Figures {
  firstProcessMs: number;
  readyMs: number;
  /** Of all processes of a guest, from exec to ready and idle. */
  bootCpuMs: number;
  bytesPerGuest: number;
  tcpBitsPerSec: number;
  rttUs: number;
  /** Of both guests. */
  tcpCpuMsPerGigabyte: number;
  echoCpuUs: number;
}

const controller = new AbortController();
const { signal } = controller;
process.once("SIGINT", () => controller.abort());

async function measure(kernel: Kernel, folder: string, netload: Uint8Array): Promise<Figures> {
  const firstProcessMs = await measureUmlBoot(kernel, kernel.features.seccomp, {
    ...{ folder, rounds: 3, signal },
  });
  const file = join(folder, "compared.yaml");
  writeFileSync(
    file,
    `name: compared\nkernel: ${kernel.executable}\nguests: { a: , b: }\n` +
      "links: [[a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]]\n",
  );
  const { guests } = (await askUmlLab(["up", file], { signal })) as Report;
  try {
    // what booting left over is given back after two seconds where the kernel can
    await sleep(4000, undefined, { signal });
    const status = (await askUmlLab(["status", "compared"], { signal })) as LabStatus;
    const resident = status.guests.map(({ residentBytes }) => residentBytes ?? Number.NaN);
    const cpuSeconds = async () => {
      const now = (await askUmlLab(["status", "compared"], { signal })) as LabStatus;
      return now.guests.reduce((sum, guest) => sum + (guest.cpuSeconds ?? Number.NaN), 0);
    };
    const cpuOf = async (guest: string, command: string) => {
      const before = await cpuSeconds();
      await runInGuest(guest, ["sh", "-c", command], { signal });
      return (await cpuSeconds()) - before;
    };
    const bootCpu = await cpuSeconds();
    const sink = "while true; do nc -l -p 99 > /dev/null; done > /dev/null 2>&1 &";
    await runInGuest("b", ["sh", "-c", sink], { signal });
    const tcpCpu = await cpuOf("a", `head -c ${MEGABYTES}M /dev/zero | nc 10.0.0.2 99`);
    const echoCpu = await cpuOf("a", `fping -q -p 2 -c ${ECHOES} 10.0.0.2 > /dev/null 2>&1`);
    for (const guest of ["a", "b"]) await giveProgram(guest, "/tmp/netload", netload, { signal });
    await runInGuest("b", ["sh", "-c", "/tmp/netload serve >/dev/null 2>&1 &"], { signal });
    const line = await runInGuest("a", ["/tmp/netload", "measure", "10.0.0.2", "1"], { signal });
    const load = JSON.parse(line.slice(line.indexOf("{"))) as TransportResult;
    return {
      firstProcessMs,
      readyMs: median(guests.map(({ bootMs }) => bootMs ?? Number.NaN)),
      bootCpuMs: (bootCpu * 1000) / status.guests.length,
      bytesPerGuest: median(resident),
      tcpBitsPerSec: load.tcpBitsPerSec,
      rttUs: load.rttBackToBackUs,
      tcpCpuMsPerGigabyte: (tcpCpu * 1000) / (MEGABYTES / 1024),
      echoCpuUs: (echoCpu * 1e6) / ECHOES,
    };
  } finally {
    await askUmlLab(["down", "compared"], { signal });
  }
}

const SHOWN: readonly (readonly [keyof Figures, string, number, string])[] = [
  ["firstProcessMs", "first process", 1, "ms"],
  ["readyMs", "guest ready", 1, "ms"],
  ["bootCpuMs", "CPU of a boot", 1, "ms"],
  ["bytesPerGuest", "memory of an idle guest", 1e-6, "MB"],
  ["tcpBitsPerSec", "TCP", 1e-9, "Gbit/s"],
  ["tcpCpuMsPerGigabyte", "CPU of a gigabyte of TCP", 1, "ms"],
  ["rttUs", "round trip", 1, "µs"],
  ["echoCpuUs", "CPU of an echo", 1, "µs"],
];

const [one, other, rounds = "7"] = process.argv.slice(2);
if (one === undefined || other === undefined || !/^[1-9]\d*$/.test(rounds)) {
  process.stderr.write("usage: compare.js KERNEL KERNEL [ROUNDS]\n");
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "uml-bench-"));
try {
  const netload = readFileSync(compileForGuest(folder, "netload.c", "netload", ["-static"]));
  const kernels = await Promise.all([one, other].map((path) => ensureKernel(resolve(path))));
  const found: Figures[][] = kernels.map(() => []);
  for (let round = 0; round < Number(rounds); round++) {
    // who is first has the other's warm caches
    for (const at of round % 2 === 0 ? [0, 1] : [1, 0]) {
      process.stderr.write(`bench: round ${round + 1}, ${at === 0 ? one : other}\n`);
      found[at]?.push(await measure(kernels[at] as Kernel, folder, netload));
    }
  }
  const rows = SHOWN.map(([key, name, scale, unit]) => {
    const values = found.map((figures) => figures.map((each) => each[key] * scale));
    const [a, b] = values.map(median) as [number, number];
    const byRound = values[0]?.map((value, round) => (values[1]?.[round] ?? Number.NaN) / value);
    const percent = (ratio: number) =>
      `${ratio < 1 ? "−" : "+"}${Math.abs((ratio - 1) * 100).toFixed(1)} %`;
    return [
      `${name} (${unit})`,
      a.toFixed(2),
      b.toFixed(2),
      percent(b / a),
      percent(median(byRound ?? [])),
    ];
  });
  const sizes = kernels.map(({ executable }) => statSync(executable).size / 1e6) as [
    number,
    number,
  ];
  rows.push(["size of the kernel (MB)", ...sizes.map((size) => size.toFixed(2)), "", ""]);
  const head = ["median", "first", "second", "of medians", "median of rounds"];
  process.stdout.write(`${renderTable(head, rows)}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
