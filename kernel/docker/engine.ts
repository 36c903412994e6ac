/** The Docker engine of this machine, if one answers. */

import { statSync } from "node:fs";
import { join } from "node:path";
import type Docker from "dockerode";
import { messageOf } from "../../base/errors.ts";

const PING_TIMEOUT_MS = 3_000;

export interface Engine {
  readonly docker: Docker | undefined;
  /** For a person: its version, or why there is none. */
  readonly found: string;
}

/** DOCKER_HOST, else the usual socket, else rootless ones (Docker's, podman's). Never throws. */
export async function dockerEngine(env: NodeJS.ProcessEnv = process.env): Promise<Engine> {
  const { default: DockerClient } = await import("dockerode");
  const candidates: (() => Docker)[] = [];
  if (env.DOCKER_HOST) {
    candidates.push(() => new DockerClient());
  } else {
    const runtime = env.XDG_RUNTIME_DIR;
    const sockets = [
      "/var/run/docker.sock",
      ...(runtime ? [join(runtime, "docker.sock"), join(runtime, "podman/podman.sock")] : []),
    ];
    for (const socketPath of sockets) {
      if (statSync(socketPath, { throwIfNoEntry: false })?.isSocket()) {
        candidates.push(() => new DockerClient({ socketPath, timeout: PING_TIMEOUT_MS }));
      }
    }
  }
  let found = "no engine's socket is there";
  for (const candidate of candidates) {
    try {
      const docker = candidate();
      const { Version } = await withTimeout(docker.version());
      return { docker, found: `engine ${Version}` };
    } catch (error) {
      found = `the engine does not answer: ${messageOf(error)}`;
    }
  }
  return { docker: undefined, found };
}

function withTimeout<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer in time")), PING_TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
