/**
 * Unpacks Debian packages without root: `dpkg-deb --fsys-tarfile | tar`. Owners become ours, modes
 * stay, and maintainer scripts don't run.
 */

import { spawn } from "node:child_process";
import { basename } from "node:path";
import type { Readable, Writable } from "node:stream";
import { LabError } from "../../base/errors.ts";
import { runOrFail } from "./child.ts";

export interface PackageInfo {
  readonly name: string;
  readonly version: string;
}

/** `busybox-static_1%3a1.35.0-4_amd64.deb`: apt names the files it downloads so. */
export function packageInfoOf(path: string): PackageInfo {
  const [name, version] = basename(path).split("_");
  return { name: name as string, version: decodeURIComponent(version ?? "") };
}

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined;
  /** A lock that the children inherit. */
  readonly lockFd?: number | undefined;
  /** Shell patterns of members (`./usr/lib/uml/*`); all without it. */
  readonly only?: readonly string[] | undefined;
  readonly except?: readonly string[] | undefined;
}

/** Unpacks one package into an existing folder. */
export async function unpackPackage(
  deb: string,
  folder: string,
  { signal, lockFd, only = [], except = [] }: UnpackOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const args = ["-x", "-C", folder, "--no-same-owner", "--same-permissions"];
  args.push("--keep-directory-symlink");
  args.push("--wildcards", "--wildcards-match-slash");
  for (const pattern of except) args.push(`--exclude=${pattern}`);
  args.push("--", ...only);
  const source = spawn("dpkg-deb", ["--fsys-tarfile", deb], {
    stdio: ["ignore", "pipe", "pipe", lockFd ?? "ignore"],
  });
  const sink = spawn("tar", args, { stdio: ["pipe", "ignore", "pipe", lockFd ?? "ignore"] });
  const stop = () => {
    source.kill("SIGKILL");
    sink.kill("SIGKILL");
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const from = source.stdout as Readable;
    from.pipe(sink.stdin as Writable);
    // tar stops reading at the end mark; what pads the archive after it has to go somewhere
    sink.once("exit", () => from.unpipe().resume());
    const [first, second] = await Promise.allSettled([
      endOf(source, "dpkg-deb", deb).catch(stopping(stop)),
      endOf(sink, "tar", deb).catch(stopping(stop)),
    ]);
    signal?.throwIfAborted();
    for (const result of [second, first]) {
      if (result.status === "rejected") throw result.reason;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Both are gone when unpacking settles, whichever failed. */
const stopping = (stop: () => void) => (error: unknown) => {
  stop();
  throw error;
};

/** Fields of a package's control file, by name. */
export async function packageField(deb: string, field: string): Promise<string> {
  const { stdout } = await runOrFail(["dpkg-deb", "-f", deb, field], `reading ${basename(deb)}`);
  return stdout.trim();
}

function endOf(child: ReturnType<typeof spawn>, name: string, deb: string): Promise<void> {
  let said = "";
  child.stdin?.on("error", () => {}); // told by the exit status
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    said = (said + chunk).slice(-2000);
  });
  return new Promise((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new LabError("NO_APT", `${name} can't be started`, { cause })),
    );
    child.once("close", (code) => {
      if (code === 0) resolve();
      else {
        const what = `unpacking ${basename(deb)}: ${name} ended with ${code}`;
        reject(new LabError("FETCH_FAILED", `${what} ${said.trim()}`));
      }
    });
  });
}
