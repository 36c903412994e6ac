/**
 * Our fabric beside vde_switch and uml_switch, end to end between two guests: round trip, TCP,
 * small datagrams. Every transport runs in turn, several rounds, on the same kernel where the kernel
 * still speaks to the peer; medians are compared.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanups } from "../../base/cleanups.ts";
import { messageOf } from "../../base/errors.ts";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { ensureKernel } from "../../kernel/kernels.ts";
import type { Impairment } from "../../net/control/messages.ts";
import { startFabric } from "../../net/fabric.ts";
import { gbit, kpps, median, micros, ratio, renderTable } from "../table.ts";
import {
  measureTransport,
  type Transport,
  type TransportResult,
  writeInitramfs,
} from "./guests.ts";
import {
  legacyTransport,
  type PeerTools,
  preparePeers,
  startPeerSwitch,
  vectorVdeTransport,
} from "./peers.ts";

export interface CompareOptions {
  readonly seconds: number;
  readonly rounds: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/**
 * Slows hardly anything, and yet each frame of a wire goes alone through the token bucket and the
 * timers, both ways and on both links.
 */
const IMPAIRED: Impairment = { delayNs: 10_000, rateBitsPerSec: 100e9 };
const IMPAIRED_IN_WORDS = "delay 10us rate 100gbit";

interface Contestant {
  readonly name: string;
  readonly kernel: Kernel;
  /** The row it is measured against: ours on the same kernel. */
  readonly ours: string;
  readonly open: (folder: string, cleanups: Cleanups) => Promise<Transport>;
}

export interface CompareResult {
  readonly name: string;
  readonly kernel: string;
  readonly median: TransportResult | null;
  readonly problem: string | null;
  /** Ours on the same kernel over this one; above 1 we are ahead but for `rtt`, below 1. */
  readonly oursOver: { readonly rtt: number; readonly tcp: number; readonly udp: number } | null;
}

export async function compareTransports(options: CompareOptions): Promise<CompareResult[]> {
  await using cleanups = new Cleanups();
  const folder = mkdtempSync(join(tmpdir(), "uml-bench-"));
  cleanups.defer("remove the bench's folder", () => rmSync(folder, { recursive: true }));
  options.log("fetching the peers (vde_switch, uml_switch, UML 6.1)");
  const tools = await preparePeers(folder, { signal: options.signal });
  const contestants = await listContestants(tools, options);
  const initramfs = new Map<Kernel, string>();
  for (const { kernel } of contestants) {
    if (!initramfs.has(kernel)) initramfs.set(kernel, writeInitramfs(folder, kernel, tools));
  }
  const results = new Map<Contestant, TransportResult[]>();
  const problems = new Map<Contestant, string>();
  for (let round = 1; round <= options.rounds; round++) {
    for (const contestant of contestants) {
      if (problems.has(contestant)) continue;
      options.log(`round ${round}: ${contestant.name}`);
      try {
        await using own = new Cleanups();
        const place = join(folder, `${round}-${contestants.indexOf(contestant)}`);
        mkdirSync(place);
        const result = await measureTransport({
          kernel: contestant.kernel,
          initramfs: initramfs.get(contestant.kernel) as string,
          transport: await contestant.open(place, own),
          seconds: options.seconds,
          folder: place,
          signal: options.signal,
        });
        results.set(contestant, [...(results.get(contestant) ?? []), result]);
      } catch (error) {
        options.signal.throwIfAborted();
        problems.set(contestant, messageOf(error));
      }
    }
  }
  return summarize(contestants, results, problems);
}

async function listContestants(tools: PeerTools, options: CompareOptions): Promise<Contestant[]> {
  const { oldKernel } = tools;
  const kernels = [await ensureKernel("debian", options)];
  const lean = await ensureKernel("lean", options).catch(() => undefined);
  if (lean !== undefined) kernels.push(lean);
  const contestants: Contestant[] = [];
  if (oldKernel !== undefined) {
    const ours = `uml-lab, ${oldKernel.id}`;
    const shim = tools.oldEnvironment;
    contestants.push({ name: ours, ours, kernel: oldKernel, open: fabricTransport(options, shim) });
    for (const kind of ["vde_switch", "uml_switch"] as const) {
      contestants.push({
        name: `${kind}, ${oldKernel.id}`,
        ours,
        kernel: oldKernel,
        open: async (folder, cleanups) => {
          const running = await startPeerSwitch(kind, tools, folder);
          cleanups.defer(`end ${kind}`, () => running[Symbol.asyncDispose]());
          return legacyTransport(kind, running.socket, tools);
        },
      });
    }
  }
  for (const kernel of kernels) {
    const ours = `uml-lab, ${kernel.id}`;
    contestants.push({ name: ours, ours, kernel, open: fabricTransport(options) });
    contestants.push({
      name: `uml-lab, ${kernel.id}, ${IMPAIRED_IN_WORDS}`,
      ours,
      kernel,
      open: fabricTransport(options, {}, IMPAIRED),
    });
    // the lean kernel has no driver that speaks to vde_switch
    if (kernel === lean) continue;
    contestants.push({
      name: `vde_switch, ${kernel.id}`,
      ours,
      kernel,
      open: async (folder, cleanups) => {
        const running = await startPeerSwitch("vde_switch", tools, folder);
        cleanups.defer("end vde_switch", () => running[Symbol.asyncDispose]());
        return vectorVdeTransport(running.socket, tools);
      },
    });
  }
  return contestants;
}

/** Our fabric: two NICs on a switch. */
function fabricTransport(
  { signal, log }: CompareOptions,
  environment: NodeJS.ProcessEnv = {},
  impairment: Impairment = {},
) {
  return async (folder: string, cleanups: Cleanups): Promise<Transport> => {
    const fabric = await startFabric({
      folder,
      signal,
      onProcess: () => {},
      onEvent: (event) => {
        if (event.event === "log") log(`fabric: ${event.message}`);
      },
    });
    cleanups.defer("end the fabric", () => fabric[Symbol.asyncDispose]());
    await fabric.request({
      op: "add-switch",
      spec: { switch: "lan", hub: false, ageingMs: 300_000 },
    });
    const socket = (guest: 0 | 1) => join(folder, `nic${guest}`);
    for (const guest of [0, 1] as const) {
      const nic = `g${guest}:eth0`;
      const mac = `02:00:00:00:00:0${guest + 1}`;
      await fabric.request({
        op: "add-nic",
        spec: { nic, socketPath: socket(guest), mac, mtu: 1500 },
      });
      await fabric.request({
        op: "add-link",
        spec: {
          link: `${nic}--lan`,
          ends: [
            { kind: "nic", nic },
            { kind: "switch", switch: "lan" },
          ],
          up: true,
          impairments: [impairment, impairment],
          seed: 1,
        },
      });
    }
    return {
      interface: "eth0",
      environment,
      arguments: (guest) => [`virtio_uml.device=${socket(guest)}:1`],
    };
  };
}

function summarize(
  contestants: readonly Contestant[],
  results: ReadonlyMap<Contestant, readonly TransportResult[]>,
  problems: ReadonlyMap<Contestant, string>,
): CompareResult[] {
  const medians = new Map<string, TransportResult>();
  for (const [contestant, runs] of results) {
    const of = (key: keyof TransportResult) => median(runs.map((run) => run[key]));
    medians.set(contestant.name, {
      rttUs: of("rttUs"),
      rttBackToBackUs: of("rttBackToBackUs"),
      tcpBitsPerSec: of("tcpBitsPerSec"),
      udpSentPerSec: of("udpSentPerSec"),
      udpReceivedPerSec: of("udpReceivedPerSec"),
    });
  }
  return contestants.map((contestant) => {
    const theirs = medians.get(contestant.name);
    const ours = medians.get(contestant.ours);
    const comparable = theirs !== undefined && ours !== undefined && theirs !== ours;
    return {
      name: contestant.name,
      kernel: contestant.kernel.id,
      median: theirs ?? null,
      problem: problems.get(contestant)?.split("\n").slice(0, 4).join(" ") ?? null,
      oursOver: comparable
        ? {
            rtt: ours.rttUs / theirs.rttUs,
            tcp: ours.tcpBitsPerSec / theirs.tcpBitsPerSec,
            udp: ours.udpReceivedPerSec / theirs.udpReceivedPerSec,
          }
        : null,
    };
  });
}

export function renderComparison(results: readonly CompareResult[]): string {
  const head = ["two guests, one switch", "RTT 5 ms", "RTT", "TCP", "64 B sent", "received"];
  const rows = results.map(({ name, median: found, problem }) =>
    found === null
      ? [name, `failed: ${problem}`]
      : [
          name,
          micros(found.rttUs),
          micros(found.rttBackToBackUs),
          gbit(found.tcpBitsPerSec),
          kpps(found.udpSentPerSec),
          kpps(found.udpReceivedPerSec),
        ],
  );
  const ratios = results
    .filter(({ oursOver }) => oursOver !== null)
    .map(({ name, oursOver }) => [
      name,
      ratio(oursOver!.rtt, 1),
      ratio(oursOver!.tcp, 1),
      ratio(oursOver!.udp, 1),
    ]);
  return `${renderTable(head, rows)}\n\n${renderTable(["uml-lab over", "RTT", "TCP", "64 B received"], ratios)}`;
}
