/**
 * The switches we are compared with, as Debian packages them, and the old kernel that still speaks
 * to both: user-mode-linux 6.1 (later ones have neither the `daemon` transport of uml_switch nor
 * UML's own client of vde_switch). All is unpacked into a folder of the bench's own, without root.
 */

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { downloadPackages } from "../../kernel/packages/apt.ts";
import { debianArchive, hostArchive } from "../../kernel/packages/archives.ts";
import { unpackPackage } from "../../kernel/packages/unpack.ts";
import type { EnsureOptions } from "../../kernel/progress.ts";
import { compileForGuest } from "../compile.ts";
import type { Transport } from "./guests.ts";

const PEER_SUITE = "bookworm";
const PEER_PACKAGES = [
  ...["user-mode-linux", "uml-utilities"],
  ...["vde-switch", "vdeplug", "libvdeplug2", "libvde0", "busybox-static"],
];

export interface PeerTools {
  readonly busybox: string;
  readonly netload: string;
  readonly umlSwitch: string;
  readonly vdeSwitch: string;
  /** With vde_plug and its library on the paths; the vector transport executes it. */
  readonly vdeEnvironment: NodeJS.ProcessEnv;
  /** UML 6.1, or undefined where it can't be had. */
  readonly oldKernel: Kernel | undefined;
  /** For guests of the old kernel: see bench/guest/xstate-shim.c. */
  readonly oldEnvironment: NodeJS.ProcessEnv;
}

/** Fetches and builds what the comparison needs. Needs a C compiler with a static C library. */
export async function preparePeers(folder: string, options: EnsureOptions): Promise<PeerTools> {
  const root = join(folder, "root");
  const debs = join(folder, "debs");
  for (const path of [root, debs]) mkdirSync(path, { recursive: true });
  const archive = debianArchive(PEER_SUITE) ?? hostArchive();
  const request = { packages: PEER_PACKAGES, into: debs, closure: undefined };
  for (const deb of await downloadPackages(archive, request, options)) {
    await unpackPackage(deb, root, { except: ["./usr/share/*"], signal: options.signal });
  }
  const netload = compileForGuest(folder, "netload.c", "netload", ["-static"]);
  const shim = compileForGuest(folder, "xstate-shim.c", "xstate-shim.so", ["-shared", "-fPIC"]);
  const libraries = ["lib", "usr/lib"].map((path) => join(root, path, "x86_64-linux-gnu"));
  const vdeEnvironment = {
    PATH: `${join(root, "usr/bin")}:${process.env.PATH}`,
    LD_LIBRARY_PATH: libraries.join(":"),
  };
  const program = (name: string) => join(root, "usr/bin", name);
  const executable = program("linux.uml");
  const release = "6.1";
  return {
    busybox: ["bin/busybox", "usr/bin/busybox"].map((path) => join(root, path)).find(existsSync)!,
    netload,
    umlSwitch: program("uml_switch"),
    vdeSwitch: program("vde_switch"),
    vdeEnvironment,
    oldKernel: existsSync(executable)
      ? {
          id: `debian-${release}`,
          release,
          executable,
          modules: modulesOf(root),
          features: { seccomp: false, timeTravel: false },
        }
      : undefined,
    oldEnvironment: { ...vdeEnvironment, LD_PRELOAD: shim },
  };
}

function modulesOf(root: string): string {
  const found = spawnSync("sh", ["-c", 'echo "$0"/usr/lib/uml/modules/*', root]);
  return found.stdout.toString().trim();
}

export interface RunningSwitch extends AsyncDisposable {
  readonly socket: string;
}

/** Starts uml_switch or vde_switch on a socket in `folder`. Both end when their input does. */
export async function startPeerSwitch(
  kind: "uml_switch" | "vde_switch",
  tools: PeerTools,
  folder: string,
): Promise<RunningSwitch> {
  const socket = join(folder, kind);
  const argv =
    kind === "uml_switch" ? [tools.umlSwitch, "-unix", socket] : [tools.vdeSwitch, "-s", socket];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", ...argv], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { ...process.env, ...tools.vdeEnvironment },
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const deadline = Date.now() + 5000;
  while (!existsSync(kind === "uml_switch" ? socket : join(socket, "ctl"))) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${kind} did not start`);
    await sleep(10);
  }
  return {
    socket,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

const mac = (guest: 0 | 1) => `02:00:00:00:00:0${guest + 1}`;

/** UML's own clients, in kernels up to 6.15. */
export function legacyTransport(
  kind: "uml_switch" | "vde_switch",
  socket: string,
  tools: PeerTools,
): Transport {
  return {
    interface: "eth0",
    environment: tools.oldEnvironment,
    arguments: (guest) => [
      kind === "uml_switch"
        ? `eth0=daemon,${mac(guest)},unix,${socket}`
        : `eth0=vde,vde://${socket},${mac(guest)}`,
    ],
  };
}

/** The vector driver's client of vde_switch, in newer kernels. */
export function vectorVdeTransport(socket: string, tools: PeerTools): Transport {
  return {
    interface: "vec0",
    environment: tools.vdeEnvironment,
    arguments: (guest) => [`vec0:transport=vde,vnl=vde://${socket},mac=${mac(guest)}`],
  };
}
