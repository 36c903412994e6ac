/**
 * The two guests of the transport bench: busybox and the workload (`bench/guest/netload.c`) in an
 * initramfs, nothing else, so that kernel, memory, pinning and program are the same for every
 * transport and only the transport differs. One serves on the first CPU, one measures on the last.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { Cleanups } from "../../base/cleanups.ts";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { makeCpio } from "../../kernel/initramfs/cpio.ts";
import { resolveModules } from "../../kernel/initramfs/modules.ts";

/** What the measuring guest found; times are medians over UDP echoes. */
export interface TransportResult {
  /** One echo each 5 ms. */
  readonly rttUs: number;
  /** The next echo as soon as the last came. */
  readonly rttBackToBackUs: number;
  readonly tcpBitsPerSec: number;
  /** Datagrams of 18 bytes: frames of 64 bytes with the frame check sequence. */
  readonly udpSentPerSec: number;
  readonly udpReceivedPerSec: number;
}

/** One transport: how the kernel is told of its NIC, and which interface that makes. */
export interface Transport {
  readonly interface: string;
  /** Kernel arguments of the guest with this number (0 serves, 1 measures). */
  readonly arguments: (guest: 0 | 1) => readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
}

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
while read -r module parameters; do insmod /modules/$module $parameters; done < /modules/list
ip link set lo up
for word in $(cat /proc/cmdline); do case $word in bench_*=*) eval "$word";; esac; done
ip addr add $bench_ip/24 dev $bench_nic
ip link set $bench_nic up
[ "$bench_role" = serve ] && exec netload serve
until ping -c1 -W1 $bench_peer >/dev/null 2>&1; do :; done
netload measure $bench_peer $bench_seconds
poweroff -f
`;

/** Writes the initramfs for a kernel and returns its path. */
export function writeInitramfs(
  folder: string,
  kernel: Kernel,
  programs: { readonly busybox: string; readonly netload: string },
): string {
  const modules =
    kernel.modules === undefined ? [] : resolveModules(kernel.modules, [{ name: "virtio_net" }]);
  const folderEntry = (path: string) => ({ path, type: "folder" as const, mode: 0o755 });
  const file = (path: string, content: Uint8Array) => ({
    path,
    type: "file" as const,
    mode: 0o755,
    content,
  });
  const list = modules.map(
    ({ name, file }) => `${basename(file)}${name === "virtio_net" ? " napi_tx=0" : ""}\n`,
  );
  const path = join(folder, `${kernel.release}.cpio`);
  writeFileSync(
    path,
    makeCpio([
      ...["bin", "dev", "proc", "modules"].map(folderEntry),
      { path: "dev/console", type: "character device", mode: 0o600, major: 5, minor: 1 },
      file("init", Buffer.from(INIT)),
      file("bin/busybox", readFileSync(programs.busybox)),
      file("bin/netload", readFileSync(programs.netload)),
      file("modules/list", Buffer.from(list.join(""))),
      ...modules.map(({ file: from }) => file(`modules/${basename(from)}`, readFileSync(from))),
    ]),
  );
  return path;
}

export interface MeasureOptions {
  readonly kernel: Kernel;
  readonly initramfs: string;
  readonly transport: Transport;
  readonly seconds: number;
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** Boots both guests, measures, ends them. Throws with the end of a console where it fails. */
export async function measureTransport(options: MeasureOptions): Promise<TransportResult> {
  await using cleanups = new Cleanups();
  const server = startGuest(0, options);
  cleanups.defer("end the serving guest", () => server.end());
  const client = startGuest(1, options);
  cleanups.defer("end the measuring guest", () => client.end());
  const timer = setTimeout(() => void client.end(), 60_000 + options.seconds * 3000);
  try {
    await client.ended;
  } finally {
    clearTimeout(timer);
  }
  options.signal.throwIfAborted();
  const line = /^RESULT (\{.*\})/m.exec(client.console());
  if (line === null) {
    const ends = [server, client].map(({ console }) =>
      console().split("\n").slice(-4).join("\n  "),
    );
    throw new Error(`the guests gave no result:\n  ${ends.join("\n  --\n  ")}`);
  }
  return JSON.parse(line[1] as string) as TransportResult;
}

function startGuest(number: 0 | 1, options: MeasureOptions) {
  const { kernel, initramfs, transport, seconds, folder, signal } = options;
  const cpu = number === 0 ? 0 : cpus().length - 1;
  const argv = [
    ...["setpriv", "--pdeathsig", "KILL", "setarch", "-R", "taskset", "-c", String(cpu)],
    ...[kernel.executable, "mem=128M", `initrd=${initramfs}`, "quiet"],
    ...["con=null", "con0=fd:0,fd:1", "ssl=null", "virtio_net.napi_tx=0"],
    ...(kernel.features.seccomp ? ["seccomp=on"] : []),
    ...transport.arguments(number),
    `bench_role=${number === 0 ? "serve" : "measure"}`,
    `bench_ip=10.0.0.${number + 1}`,
    `bench_nic=${transport.interface}`,
    `bench_peer=10.0.0.1`,
    `bench_seconds=${seconds}`,
  ];
  const child = spawn(argv[0] as string, argv.slice(1), {
    cwd: folder,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HOME: folder, TMPDIR: "/dev/shm", ...transport.environment },
  });
  let kept = "";
  const keep = (chunk: string) => {
    kept = (kept + chunk.replaceAll("\r", "")).slice(-16_384);
  };
  for (const stream of [child.stdout, child.stderr] as Readable[]) {
    stream.setEncoding("utf8").on("data", keep);
  }
  const ended = once(child, "exit").then(() => {});
  const kill = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // gone already
    }
  };
  signal.addEventListener("abort", kill, { once: true });
  return {
    ended,
    console: () => kept,
    async end() {
      kill();
      await ended;
      signal.removeEventListener("abort", kill);
    },
  };
}
