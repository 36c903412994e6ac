/**
 * Debian's kernel and the lean one, each with seccomp and with ptrace: how fast a guest is there, how
 * fast its kernel serves programs, what goes through the fabric, and what a guest costs in memory.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cleanups } from "../../base/cleanups.ts";
import { packageRoot } from "../../base/package-root.ts";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { ensureKernel } from "../../kernel/kernels.ts";
import type { LabStatus, Report } from "../../lab/api.ts";
import { askUmlLab, giveProgram, runInGuest } from "../command.ts";
import { compileForGuest } from "../compile.ts";
import type { SectionOptions } from "../sections.ts";
import { gbit, median, renderTable } from "../table.ts";
import type { TransportResult } from "../transports/guests.ts";
import { measureMicrovmBoot, measureUmlBoot } from "./boots.ts";
import { type ImageResult, measureImages, renderImages } from "./images.ts";

export interface KernelResult {
  readonly kernel: string;
  readonly isolation: "fast" | "strict";
  /** From exec to the first process of a bare initramfs. */
  readonly firstProcessMs: number;
  /** From exec to ready, of the guests of two-lans. */
  readonly readyMs: number;
  /** `up topologies/two-lans.yaml` from the command to the verdict. */
  readonly upMs: number;
  readonly systemCallsPerSec: number;
  readonly forkExecMs: number;
  readonly tcpBitsPerSec: number;
  /** PSS of an idle guest's host processes. */
  readonly bytesPerGuest: number;
}

export interface KernelsResult {
  readonly kernels: readonly KernelResult[];
  /** A guest with each image, by kernel. */
  readonly images: readonly ImageResult[];
  /** QEMU's microvm by TCG with the same initramfs, or why there is no figure. */
  readonly microvmFirstProcessMs: number | string;
}

export async function measureKernels(options: SectionOptions): Promise<KernelsResult> {
  await using cleanups = new Cleanups();
  const folder = mkdtempSync(join(tmpdir(), "uml-bench-"));
  cleanups.defer("remove the bench's folder", () => rmSync(folder, { recursive: true }));
  const programs = {
    calls: readFileSync(compileForGuest(folder, "calls.c", "calls", ["-static"])),
    netload: readFileSync(compileForGuest(folder, "netload.c", "netload", ["-static"])),
  };
  const kernels: [string, Kernel][] = [["debian", await ensureKernel("debian", options)]];
  const lean = await ensureKernel("lean", options).catch(() => undefined);
  if (lean === undefined) options.log("no lean kernel is built (uml-lab kernel build)");
  else kernels.push(["lean", lean]);
  const results: KernelResult[] = [];
  const images: ImageResult[] = [];
  for (const [choice, kernel] of kernels) {
    for (const isolation of ["fast", "strict"] as const) {
      options.log(`${kernel.id}, ${isolation}`);
      const at = { choice, kernel, isolation, folder, programs };
      results.push(await measureKernel(at, options));
    }
    images.push(...(await measureImages(choice, kernel, folder, options)));
  }
  options.log("QEMU's microvm");
  const microvmFirstProcessMs = await measureMicrovmBoot({ ...options, folder, rounds: 3 });
  if (typeof microvmFirstProcessMs === "string") {
    options.log(`NO COMPARISON with QEMU's microvm: ${microvmFirstProcessMs}`);
  }
  return { kernels: results, images, microvmFirstProcessMs };
}

interface Subject {
  readonly choice: string;
  readonly kernel: Kernel;
  readonly isolation: "fast" | "strict";
  readonly folder: string;
  readonly programs: { readonly calls: Uint8Array; readonly netload: Uint8Array };
}

async function measureKernel(subject: Subject, options: SectionOptions): Promise<KernelResult> {
  const { choice, kernel, isolation, folder } = subject;
  const { signal, quick } = options;
  const firstProcessMs = await measureUmlBoot(
    kernel,
    isolation === "fast" && kernel.features.seccomp,
    { folder, rounds: quick ? 5 : 15, signal },
  );
  const twoLans = variant(subject, join(packageRoot, "topologies/two-lans.yaml"));
  const ups: number[] = [];
  const readies: number[] = [];
  for (let round = 0; round < (quick ? 2 : 5); round++) {
    const start = performance.now();
    const report = (await askUmlLab(["up", twoLans], { signal })) as Report;
    ups.push(performance.now() - start);
    try {
      if (report.verdict !== "pass") throw new Error(`${choice}: two-lans did not pass`);
      readies.push(...report.guests.map(({ bootMs }) => bootMs ?? Number.NaN));
    } finally {
      await askUmlLab(["down", report.lab], { signal });
    }
  }
  return {
    kernel: kernel.id,
    isolation,
    firstProcessMs,
    readyMs: median(readies),
    upMs: median(ups),
    ...(await measureInside(subject, options)),
  };
}

/** The topology with this kernel and this isolation. */
function variant({ choice, isolation, folder }: Subject, file: string): string {
  const path = join(folder, `${choice}-${isolation}.yaml`);
  const text = readFileSync(file, "utf8");
  writeFileSync(path, `${text}\nkernel: ${choice}\ndefaults: { isolation: ${isolation} }\n`);
  return path;
}

async function measureInside(subject: Subject, { signal, quick }: SectionOptions) {
  const cable = join(subject.folder, "cable.yaml");
  writeFileSync(
    cable,
    "name: bench-kernels\nguests: { a: , b: }\nlinks: [[a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]]\n",
  );
  const { lab } = (await askUmlLab(["up", variant(subject, cable)], { signal })) as Report;
  try {
    // what booting left over is given back after two seconds where the kernel can
    await sleep(4000, undefined, { signal });
    const { guests } = (await askUmlLab(["status", lab], { signal })) as LabStatus;
    const resident = guests.map(({ residentBytes }) => residentBytes ?? Number.NaN);
    for (const guest of ["a", "b"]) {
      await giveProgram(guest, "/tmp/netload", subject.programs.netload, { signal });
    }
    await giveProgram("a", "/tmp/calls", subject.programs.calls, { signal });
    const number = async (words: readonly string[]) =>
      Number(await runInGuest("a", ["/tmp/calls", ...words], { signal }));
    const systemCallsPerSec = await number(["system", quick ? "0.5" : "2"]);
    const forkExecMs = await number(["fork", quick ? "50" : "200"]);
    await runInGuest("b", ["sh", "-c", "/tmp/netload serve >/dev/null 2>&1 &"], { signal });
    const words = ["/tmp/netload", "measure", "10.0.0.2", quick ? "1" : "3"];
    const line = await runInGuest("a", words, { signal });
    const load = JSON.parse(line.slice(line.indexOf("{"))) as TransportResult;
    return {
      systemCallsPerSec,
      forkExecMs,
      tcpBitsPerSec: load.tcpBitsPerSec,
      bytesPerGuest: resident.reduce((sum, bytes) => sum + bytes, 0) / resident.length,
    };
  } finally {
    await askUmlLab(["down", lab], { signal });
  }
}

export function renderKernels(results: KernelsResult): string {
  const { kernels, images, microvmFirstProcessMs } = results;
  const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
  const head = [
    ...["kernel", "isolation", "first process", "guest ready", "two-lans up"],
    ...["system calls", "fork+exec", "TCP", "MB a guest"],
  ];
  const rows = kernels.map((one) => [
    one.kernel,
    one.isolation,
    ms(one.firstProcessMs),
    ms(one.readyMs),
    ms(one.upMs),
    `${(one.systemCallsPerSec / 1e3).toFixed(0)} k/s`,
    ms(one.forkExecMs),
    gbit(one.tcpBitsPerSec),
    (one.bytesPerGuest / 1e6).toFixed(1),
  ]);
  if (typeof microvmFirstProcessMs === "number") {
    rows.push(["QEMU microvm (TCG)", "", ms(microvmFirstProcessMs)]);
  }
  const why = typeof microvmFirstProcessMs === "string" ? microvmFirstProcessMs : undefined;
  const text = `${renderTable(head, rows)}${why === undefined ? "" : `\n\nQEMU's microvm: ${why}`}`;
  return `${text}\n\n${renderImages(images)}`;
}
