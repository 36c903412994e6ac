/**
 * The process that lets a guest out: `passt` of Debian, which turns a guest's packets into sockets of
 * the host's user, without any right. It confines itself (namespaces, an empty root, seccomp, no
 * capability), ends when the fabric closes its socket, and knows one guest.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LabError, messageOf } from "../base/errors.ts";
import { type ProcessRecord, recordProcess, signalProcess } from "../base/processes.ts";
import * as libc from "./libc/libc.ts";

export interface ForwardedPort {
  readonly protocol: "tcp" | "udp";
  readonly host: number;
  readonly guest: number;
}

export interface PasstOptions {
  /** For messages: whose way out it is. */
  readonly guest: string;
  readonly program: string;
  /** The fabric listens here. */
  readonly socketPath: string;
  readonly logPath: string;
  /** The guest's, and what it sends to, IPv4. */
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly mtu: number;
  /** Queries to this address go to the host's name server. */
  readonly nameServer: string;
  /** Whether the host's loopback answers at the gateway's address. */
  readonly host: boolean;
  readonly ports: readonly ForwardedPort[];
  readonly onProcess: (record: ProcessRecord) => void;
}

export interface RunningPasst extends AsyncDisposable {
  readonly process: ProcessRecord;
  readonly exited: Promise<string>;
}

const READY_MS = 10_000;
const END_MS = 1_000;
/** The socket, as spawn's stdio numbers it. */
const SOCKET_FD = 3;

export function passtArguments(options: Omit<PasstOptions, "onProcess" | "program">): string[] {
  const { address, prefixLength, gateway, mtu, nameServer, host, ports } = options;
  const forward = (protocol: ForwardedPort["protocol"], flag: string) =>
    ports
      .filter((port) => port.protocol === protocol)
      .flatMap((port) => [flag, `127.0.0.1/${port.host}:${port.guest}`]);
  return [
    ...["--foreground", "--stderr", "--quiet", "--fd", String(SOCKET_FD), "--ipv4-only"],
    ...["--address", address, "--netmask", String(prefixLength), "--gateway", gateway],
    ...["--mtu", String(mtu), "--no-dhcp", "--dns-forward", nameServer],
    ...(host ? [] : ["--no-map-gw"]),
    ...forward("tcp", "--tcp-ports"),
    ...forward("udp", "--udp-ports"),
  ];
}

/** Resolves once its ports are open. Throws NO_RIGHT with what it says. */
export async function startPasst(options: PasstOptions): Promise<RunningPasst> {
  const { guest, program, logPath, socketPath } = options;
  const log = openSync(logPath, "a", 0o600);
  const socket = libc.connectUnix(socketPath);
  let child: ChildProcess;
  try {
    child = spawn(program, passtArguments(options), {
      stdio: ["ignore", log, log, socket],
      cwd: "/",
      env: { PATH: "/usr/bin:/bin" },
      detached: true,
    });
  } finally {
    closeSync(log);
    libc.close(socket);
  }
  const exited = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(messageOf(error)));
    child.once("exit", (code, signal) => resolve(signal ?? `status ${code}`));
  });
  const record = child.pid === undefined ? undefined : recordProcess(child.pid);
  if (record !== undefined) options.onProcess(record);
  const dispose = async () => {
    if (record === undefined) return;
    signalProcess(record, "SIGTERM");
    const timer = setTimeout(() => signalProcess(record, "SIGKILL"), END_MS);
    await exited;
    clearTimeout(timer);
  };
  const over = await Promise.race([exited, portsOpen(options.ports)]);
  if (record === undefined || over !== undefined) {
    await dispose();
    const said = readFileSync(logPath, "utf8").trim().split("\n").slice(-3).join("\n");
    const how = over === LATE ? "did not open its ports in time" : `ended (${over})`;
    throw new LabError(
      "NO_RIGHT",
      `the way out of ${guest} could not be made: passt ${how}${said && `\n${said}`}`,
      { hint: "take `internet` and `ports` out to run the lab without, or see uml-lab doctor" },
    );
  }
  return { process: record, exited, [Symbol.asyncDispose]: dispose };
}

const LATE = "late";

/** It can't say that it is ready; the kernel's tables of sockets can. */
async function portsOpen(ports: readonly ForwardedPort[]): Promise<typeof LATE | undefined> {
  const deadline = performance.now() + READY_MS;
  while (!ports.every(isOpen)) {
    if (performance.now() > deadline) return LATE;
    await sleep(5);
  }
  return undefined;
}

function isOpen({ protocol, host }: ForwardedPort): boolean {
  // proc(5): the local address is little-endian hex; 0A is LISTEN
  const local = `0100007F:${host.toString(16).toUpperCase().padStart(4, "0")} `;
  const state = protocol === "tcp" ? " 0A " : " ";
  return readFileSync(`/proc/net/${protocol}`, "latin1")
    .split("\n")
    .some((line) => line.includes(` ${local}`) && line.includes(state));
}
