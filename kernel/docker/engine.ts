/** The container engine of this machine, Docker's or podman's, if one answers. */

import { statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import { messageOf } from "../../base/errors.ts";

/** Where systemd holds the socket, the first word starts the engine. */
const PING_TIMEOUT_MS = 10_000;

export interface Engine {
  readonly docker: Docker | undefined;
  /** For a person: where it is, or why there is none. */
  readonly found: string;
  /** What mends it where there is none. */
  readonly hint: string;
}

const NO_ENGINE =
  "start one: `sudo systemctl start docker`, or without root `systemctl --user start podman.socket`";

/** DOCKER_HOST or CONTAINER_HOST, else the usual sockets, else rootless ones. Never throws. */
export async function dockerEngine(env: NodeJS.ProcessEnv = process.env): Promise<Engine> {
  const { default: DockerClient } = await import("dockerode");
  const named = env.DOCKER_HOST || env.CONTAINER_HOST;
  const sockets = named ? [named] : socketsOf(env).filter(isSocket);
  let found = "no container engine's socket is there";
  let hint = NO_ENGINE;
  for (const socket of sockets) {
    const path = socket.replace(/^unix:\/\//, "");
    try {
      const docker = path.startsWith("/")
        ? new DockerClient({ socketPath: path, timeout: PING_TIMEOUT_MS })
        : new DockerClient();
      // not its version: podman starts other programs to tell it, which takes seconds
      await withTimeout(docker.ping());
      // only the question whether it is there is bounded
      const lasting = path.startsWith("/") ? new DockerClient({ socketPath: path }) : docker;
      return { docker: lasting, found: `engine at ${socket}`, hint: "" };
    } catch (error) {
      const denied = (error as NodeJS.ErrnoException).code === "EACCES";
      found = denied
        ? `this user has no right to the engine's socket ${path}`
        : `the engine at ${socket} does not answer: ${messageOf(error)}`;
      hint = denied
        ? `sudo usermod -aG docker ${userInfo().username}, and log in again; or use rootless podman`
        : NO_ENGINE;
    }
  }
  return { docker: undefined, found, hint };
}

function socketsOf({ XDG_RUNTIME_DIR: runtime }: NodeJS.ProcessEnv): string[] {
  const own = runtime ? [join(runtime, "docker.sock"), join(runtime, "podman/podman.sock")] : [];
  return ["/var/run/docker.sock", ...own, "/run/podman/podman.sock"];
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false;
  }
}

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in time")), PING_TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
