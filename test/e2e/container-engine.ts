/** A Docker engine of a test's own, and a Debian image for it, where this machine and user can have them. */

import { execFile, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import Docker from "dockerode";
import { findProgram } from "../../kernel/packages/apt.ts";

const run = promisify(execFile);

export interface OwnEngine {
  readonly docker: Docker;
  /** For DOCKER_HOST. */
  readonly host: string;
  stop(): Promise<void>;
}

/** An engine with its own data and socket, ended by its pid; a text where there can be none. */
export async function startEngine(): Promise<OwnEngine | string> {
  const dockerd = findProgram("dockerd");
  if (dockerd === undefined) return "there is no dockerd (Debian's docker.io)";
  if (process.getuid?.() !== 0) return "no engine of our own can be started: not root";
  const scratch = mkdtempSync(join(tmpdir(), "test-engine-"));
  const socket = join(scratch, "docker.sock");
  const child = spawn(
    dockerd,
    [
      ...["--host", `unix://${socket}`, "--data-root", join(scratch, "data")],
      ...["--exec-root", join(scratch, "exec"), "--pidfile", join(scratch, "pid")],
      ...["--bridge", "none", "--iptables=false", "--ip6tables=false", "--storage-driver", "vfs"],
    ],
    { stdio: "ignore" },
  );
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const docker = new Docker({ socketPath: socket });
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
    // it leaves what containers on the host's network were given
    const mounts = join(scratch, "exec/netns");
    for (const name of existsSync(mounts) ? readdirSync(mounts) : []) {
      await run("umount", [join(mounts, name)]).catch(() => {});
    }
    rmSync(scratch, { recursive: true, force: true });
  };
  for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
    if (await docker.ping().catch(() => false)) return { docker, host: `unix://${socket}`, stop };
    await sleep(100);
  }
  await stop();
  return "dockerd does not come up on this machine";
}

export async function importTar(
  docker: Docker,
  tar: string,
  repo: string,
  changes: readonly string[] = [],
): Promise<void> {
  const imported = await docker.importImage(tar, { repo, changes: [...changes] });
  await new Promise((resolve) => docker.modem.followProgress(imported, resolve));
}

/**
 * Gives the engine a `debian:latest` of this machine's suite, made of packages; undefined, or a text
 * where that can't be done.
 */
export async function makeDebianImage(docker: Docker): Promise<string | undefined> {
  const mmdebstrap = findProgram("mmdebstrap");
  if (mmdebstrap === undefined) return "there is no mmdebstrap to make a Debian image with";
  const release = readFileSync("/etc/os-release", "utf8");
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1];
  if (!/^ID=debian$/m.test(release) || suite === undefined) return "this machine is not Debian";
  const scratch = mkdtempSync(join(tmpdir(), "uml-debian-"));
  try {
    const tar = join(scratch, "debian.tar");
    const options = ["--quiet", "--variant=apt", "--format=tar"];
    await run(mmdebstrap, [...options, suite, tar]);
    await importTar(docker, tar, "debian:latest");
    return undefined;
  } catch (error) {
    return `no Debian image could be made: ${(error as { stderr?: string }).stderr ?? error}`;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
