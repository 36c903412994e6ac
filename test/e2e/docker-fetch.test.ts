/**
 * Fetching where there is no apt, and configuring a kernel where there is no compiler: in a container.
 * The Docker engine is one that answers (DOCKER_HOST, or the usual sockets) and has a Debian image,
 * or one of our own with an image made of packages; skipped aloud where neither can be.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type Docker from "dockerode";
import type { ConfiguredSource } from "../../kernel/build/build-kernel.ts";
import { dockerEngine } from "../../kernel/docker/engine.ts";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { probeKernel } from "../../kernel/kernel-manifest.ts";
import { findProgram } from "../../kernel/packages/apt.ts";
import { makeDebianImage, type OwnEngine, startEngine } from "./container-engine.ts";

const CHILD = fileURLToPath(new URL("./fetch-child.js", import.meta.url));

describe("fetching in a container", function () {
  this.timeout(600_000);
  let scratch: string;
  let docker: Docker;
  let own: OwnEngine | undefined;
  let host = process.env.DOCKER_HOST ?? "";

  /** An engine with a Debian image; a text where there is none. */
  async function findEngine(): Promise<Docker | string> {
    const engine = await dockerEngine();
    const images = (await engine.docker?.listImages().catch(() => [])) ?? [];
    const hasDebian = images.some(({ RepoTags }) => RepoTags?.some((tag) => /debian:/.test(tag)));
    if (engine.docker !== undefined && hasDebian) return engine.docker;
    const started = await startEngine();
    if (typeof started === "string") return started;
    own = started;
    host = started.host;
    return (await makeDebianImage(started.docker)) ?? started.docker;
  }

  before(async function () {
    const found = await findEngine();
    if (typeof found === "string") {
      console.log(`    SKIPPED: ${found}`);
      return this.skip();
    }
    docker = found;
    scratch = mkdtempSync(join(tmpdir(), "uml-lab-docker-"));
    mkdirSync(join(scratch, "bin"));
    for (const name of ["sh", "tar", "setpriv", "setarch", "xz", "gzip"]) {
      const path = findProgram(name);
      if (path !== undefined) symlinkSync(path, join(scratch, "bin", name));
    }
  });

  after(async () => {
    try {
      if (scratch === undefined) return;
      rmSync(scratch, { recursive: true, force: true });
      expect(await ours()).to.deep.equal([]);
    } finally {
      await own?.stop();
    }
  });

  const ours = async () =>
    (await docker.listContainers({ all: true, filters: { label: ["uml-lab=fetch"] } })).map(
      ({ Id }) => Id,
    );

  function start(cache: string, things: readonly string[]) {
    const child = spawn(process.execPath, [CHILD, ...things], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        PATH: join(scratch, "bin"),
        UML_LAB_CACHE: cache,
        UML_LAB_KERNEL: "",
        DOCKER_HOST: host,
      },
    });
    return { child, lines: createInterface({ input: child.stdout }) };
  }

  /** What was made of these things, by a process that has neither apt nor a compiler. */
  async function ensure(cache: string, things: readonly string[]): Promise<unknown> {
    const { child, lines } = start(cache, things);
    let last = "";
    lines.on("line", (line) => {
      last = line;
    });
    await once(child, "close");
    const { made, failed } = JSON.parse(last) as {
      made?: unknown;
      failed?: { message: string };
    };
    expect(failed, failed?.message).to.equal(undefined);
    expect(await ours()).to.deep.equal([]);
    return made;
  }

  it("gives a kernel and an image, and leaves no container", async () => {
    const cache = join(scratch, "cache");
    const [kernel] = (await ensure(cache, ["kernel", "image:base"])) as [Kernel];
    expect(probeKernel(kernel.executable).release).to.equal(kernel.release);
    expect(readdirSync(cache).filter((name) => name.startsWith("."))).to.deep.equal([]);
  });

  it("configures a kernel, with the compiler of the container", async () => {
    const cache = join(scratch, "cache");
    const [made] = (await ensure(cache, ["kernel-configuration"])) as [ConfiguredSource];
    expect(made.config).to.include("\nCONFIG_UML=y\n").and.include("\nCONFIG_VIRTIO_UML=y\n");
    expect(made.tree.startsWith(cache)).to.equal(true);
  });

  it("builds a whole kernel, which boots", async function () {
    if (!process.env.UML_LAB_NIGHTLY) {
      console.log("      SKIPPED: it takes a quarter of an hour; UML_LAB_NIGHTLY=1 does it");
      return this.skip();
    }
    this.timeout(2 * 3_600_000);
    const cache = join(scratch, "cache");
    // a kernel is tried before it is kept
    const [kernel] = (await ensure(cache, ["kernel-build"])) as [Kernel];
    expect(kernel.release).to.match(/-lean$/);
    expect(probeKernel(kernel.executable).release).to.equal(kernel.release);
  });

  it("leaves no container when it is killed", async () => {
    const { child, lines } = start(join(scratch, "killed"), ["kernel"]);
    for await (const line of lines) if (/reading the package lists/.test(line)) break;
    child.kill("SIGKILL");
    await once(child, "close");
    while ((await ours()).length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  });
});
