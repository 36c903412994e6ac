/**
 * A Debian container as the place where packages are fetched, for machines without apt, or where a
 * kernel is compiled, for machines without a compiler. It sees the cache at the same path, works as
 * the same user, and ends with us: its first process reads our standard input and leaves when that
 * closes, however we end.
 */

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Duplex, PassThrough } from "node:stream";
import type Docker from "dockerode";
import { LabError, messageOf } from "../../base/errors.ts";
import { cacheFolder } from "../../base/folders.ts";
import { startTimeOf } from "../../base/processes.ts";
import type { RunOptions, RunResult } from "../packages/child.ts";
import { gatherOutput } from "../packages/child.ts";
import type { Place } from "../packages/place.ts";
import type { EnsureOptions } from "../progress.ts";

/** What is used if the engine has no Debian image yet. */
const PULLED = "debian:stable-slim";
const SUITABLE = /(^|\/)debian:(latest|stable|testing|sid|trixie|bookworm|forky|\d+)[^/]*$/;

/** What tells where packages come from, copied to where we can read it. */
const COPY_CONFIGURATION = `
mkdir -p "$1/etc" "$1/usr/share" &&
cp -RL /etc/apt "$1/etc/" && cp -L /etc/os-release "$1/etc/" &&
cp -RL /usr/share/keyrings "$1/usr/share/" &&
chmod -R u+rwX "$1"
`;

const INSTALL = `
apt-get -qq update &&
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
`;

const COPIES = ".container-";

const PROXIES = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

export interface ContainerContents {
  /** Debian packages installed in it first. */
  readonly packages?: readonly string[];
  /** Paths of this machine that it sees, besides the cache, and can't change. */
  readonly readable?: readonly string[];
}

/** Starts the container; pulls an image first if the engine has no Debian. NO_DOCKER if it can't. */
export async function startContainerPlace(
  docker: Docker,
  { signal, onProgress }: EnsureOptions,
  { packages = [], readable = [] }: ContainerContents = {},
): Promise<Place> {
  let container: Docker.Container;
  let uid = 0;
  let user: string;
  const installs = packages.length > 0;
  try {
    const image = await findImage(docker, { signal, onProgress });
    onProgress?.({ what: `starting a container of ${image}`, done: 0, unit: "items" });
    const info = (await docker.info()) as { SecurityOptions?: string[] };
    // a rootless engine's root is us
    const rootless = info.SecurityOptions?.some((option) => option.includes("rootless")) ?? false;
    uid = rootless ? 0 : (process.getuid?.() ?? 0);
    const gid = rootless ? 0 : (process.getgid?.() ?? 0);
    user = `${uid}:${gid}`;
    const cache = cacheFolder();
    mkdirSync(cache, { recursive: true });
    container = await docker.createContainer({
      Image: image,
      Cmd: ["cat"],
      User: installs ? "0:0" : user,
      Env: ["HOME=/tmp", ...PROXIES.flatMap((name) => envLine(name, process.env[name]))],
      Labels: { "uml-lab": "fetch" },
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      HostConfig: {
        AutoRemove: true,
        Binds: [`${cache}:${cache}`, ...readable.map((path) => `${path}:${path}:ro`)],
        NetworkMode: "host",
        SecurityOpt: ["label=disable", "no-new-privileges"],
        CapDrop: ["ALL"],
        // what apt and dpkg need to install
        ...(installs
          ? { CapAdd: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "SETFCAP"] }
          : {}),
      },
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw noDocker(cause);
  }
  const remove = async () => {
    await container.remove({ force: true }).catch((error: { statusCode?: number }) => {
      // gone, or going
      if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
    });
  };
  let line: Duplex | undefined;
  try {
    line = (await container.attach({ stream: true, stdin: true, hijack: true })) as Duplex;
    line.on("error", () => {});
    await container.start();
  } catch (cause) {
    await remove();
    throw noDocker(cause);
  }
  sweep();
  const root = mkdtempSync(join(cacheFolder(), `${COPIES}${process.pid}-`));
  const place = new ContainerPlace(docker, container, uid, user, root, async () => {
    rmSync(root, { recursive: true, force: true });
    await remove();
    line.destroy();
  });
  try {
    if (installs) {
      onProgress?.({ what: `installing ${packages.join(", ")}`, done: 0, unit: "items" });
      const installed = await place.runAs("0:0", ["sh", "-c", INSTALL, "sh", ...packages], {
        signal,
      });
      if (installed.code !== 0) throw new Error(installed.stderr.trim());
    }
    const { code, stderr } = await place.run(["sh", "-c", COPY_CONFIGURATION, "sh", root], {
      signal,
    });
    if (code !== 0) throw new Error(stderr.trim());
    return place;
  } catch (cause) {
    await place[Symbol.asyncDispose]();
    signal?.throwIfAborted();
    throw noDocker(cause);
  }
}

class ContainerPlace implements Place {
  readonly name = "a container";
  readonly root: string;
  readonly uid: number;
  readonly statusFd = 1;
  readonly #docker: Docker;
  readonly #container: Docker.Container;
  readonly #user: string;
  readonly #remove: () => Promise<void>;

  constructor(
    docker: Docker,
    container: Docker.Container,
    uid: number,
    user: string,
    root: string,
    remove: () => Promise<void>,
  ) {
    this.root = root;
    this.#docker = docker;
    this.#container = container;
    this.uid = uid;
    this.#user = user;
    this.#remove = remove;
  }

  run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return this.runAs(this.#user, command, options);
  }

  async runAs(
    user: string,
    command: readonly string[],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const { signal, cwd, env } = options;
    signal?.throwIfAborted();
    const own = Object.entries(env ?? {}).filter(([name]) => process.env[name] !== env?.[name]);
    const exec = await this.#container.exec({
      Cmd: [...command],
      User: user,
      Env: own.flatMap(([name, value]) => envLine(name, value)),
      AttachStdout: true,
      AttachStderr: true,
      ...(cwd === undefined ? {} : { WorkingDir: cwd }),
    });
    const stream = await exec.start({ hijack: true, stdin: false });
    const [out, err] = [new PassThrough(), new PassThrough()];
    const stdout = gatherOutput(out, (line) => {
      options.onLine?.(line);
      options.onStatusLine?.(line);
    });
    const stderr = gatherOutput(err);
    this.#docker.modem.demuxStream(stream, out, err);
    // there is no way to end an exec but to end its container
    const onAbort = () => void this.#remove().finally(() => stream.destroy());
    signal?.addEventListener("abort", onAbort, { once: true });
    await new Promise<void>((resolve) => {
      stream.once("end", resolve);
      stream.once("close", resolve);
      stream.once("error", () => resolve());
    });
    signal?.removeEventListener("abort", onAbort);
    signal?.throwIfAborted();
    const { ExitCode } = await exec.inspect();
    return { code: ExitCode ?? 255, stdout: stdout(), stderr: stderr() };
  }

  async pipe(
    source: readonly string[],
    sink: readonly string[],
    { signal, what }: Parameters<Place["pipe"]>[2],
  ): Promise<void> {
    const line = `${source.map(quoted).join(" ")} | ${sink.map(quoted).join(" ")}`;
    const { code, stderr } = await this.run(["bash", "-o", "pipefail", "-c", line], { signal });
    if (code === 0) return;
    throw new LabError("FETCH_FAILED", `${what}: ended with ${code} ${stderr.trim()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#remove();
  }
}

async function findImage(docker: Docker, { signal, onProgress }: EnsureOptions): Promise<string> {
  const images = await docker.listImages();
  const tags = images.flatMap(({ RepoTags }) => RepoTags ?? []).sort();
  const there = tags.find((tag) => SUITABLE.test(tag));
  if (there !== undefined) return there;
  signal?.throwIfAborted();
  onProgress?.({ what: `pulling ${PULLED}`, done: 0, unit: "items" });
  const stream = await docker.pull(PULLED);
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve()));
  });
  return PULLED;
}

/** Removes the copies that killed runs left. */
function sweep(): void {
  for (const name of readdirSync(cacheFolder())) {
    const pid = name.startsWith(COPIES)
      ? Number.parseInt(name.slice(COPIES.length), 10)
      : undefined;
    if (pid === undefined || startTimeOf(pid) !== undefined) continue;
    rmSync(join(cacheFolder(), name), { recursive: true, force: true });
  }
}

function noDocker(cause: unknown): LabError {
  return new LabError(
    "NO_DOCKER",
    `a Debian container would help, and the Docker engine gives none: ${messageOf(cause)}`,
    { cause, hint: `docker pull ${PULLED}, or set UML_LAB_KERNEL` },
  );
}

const envLine = (name: string, value: string | undefined): string[] =>
  value === undefined ? [] : [`${name}=${value}`];

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
