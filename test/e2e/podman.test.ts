/** Podman without root, which nobody has told uml-lab of: its socket is found in the runtime folder. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { dockerEngine } from "../../kernel/docker/engine.ts";
import { findProgram } from "../../kernel/packages/apt.ts";
import { busyboxTree } from "./busybox-tree.ts";
import { until } from "./guests.ts";
import { House } from "./house.ts";
import { NOBODY } from "./nobody.ts";

const run = promisify(execFile);

/** Nothing that the machine would have to have, and nothing in /dev/shm. */
const CONTAINERS_CONF = `[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
`;

describe("an image of rootless podman", function () {
  this.timeout(600_000);
  const isRoot = process.getuid?.() === 0;
  let house: House;
  let folder: string;
  let socket: string;
  let podman: (...words: string[]) => Promise<string>;
  let service: ChildProcess;

  before(async function () {
    const skip = (why: string) => {
      console.log(`    SKIPPED: ${why}`);
      this.skip();
    };
    const program = findProgram("podman");
    if (program === undefined) return skip("there is no podman (Debian's podman)");
    house = new House({ nobody: isRoot });
    folder = mkdtempSync(join(tmpdir(), "uml-podman-"));
    chmodSync(folder, 0o755);
    const conf = join(folder, "containers.conf");
    writeFileSync(conf, CONTAINERS_CONF);
    const options = {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        HOME: join(house.folder, "home"),
        TMPDIR: join(house.folder, "tmp"),
        XDG_RUNTIME_DIR: join(house.folder, "run"),
        CONTAINERS_CONF: conf,
      },
      ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    };
    const global = ["--storage-driver", "vfs"];
    podman = async (...words) => (await run(program, [...global, ...words], options)).stdout;
    const refusal = await podman("info").then(
      () => undefined,
      (error: { stderr?: string }) => String(error.stderr ?? error),
    );
    if (refusal !== undefined) return skip(`podman does not work here: ${refusal.trim()}`);
    socket = join(house.folder, "run/podman/podman.sock");
    service = spawn(program, [...global, "system", "service", "--time", "0"], {
      ...options,
      stdio: "ignore",
    });
    await until("podman's socket is there", () => existsSync(socket) || service.exitCode !== null);
    // `nobody` has no right to Docker's
    const { found, docker } = isRoot ? { docker: undefined, found: "" } : await dockerEngine({});
    if (docker !== undefined) return skip(`another engine of this machine answers first: ${found}`);
  });
  after(async () => {
    if (house === undefined) return;
    if (service !== undefined && service.exitCode === null) {
      service.kill("SIGTERM");
      await once(service, "exit");
    }
    // the process that holds its namespace
    await podman("system", "migrate").catch(() => {});
    for (const name of ["home", "run", "tmp"]) {
      for (const entry of readdirSync(join(house.folder, name))) {
        if (entry === "uml-lab") continue;
        rmSync(join(house.folder, name, entry), { recursive: true, force: true });
      }
    }
    rmSync(folder, { recursive: true, force: true });
    await house.check();
  });

  it("boots, found by itself, with its command as its user", async () => {
    const tree = await busyboxTree(folder);
    mkdirSync(join(tree, "etc"));
    writeFileSync(join(tree, "etc/passwd"), "app:x:1000:1001::/tmp:/bin/sh\n");
    const tar = join(folder, "image.tar");
    await run("tar", ["--owner=0", "--group=0", "-cf", tar, "-C", tree, "."]);
    const changes = [
      ...["--change", "ENV COLOR=green", "--change", "WORKDIR /etc", "--change", "USER app"],
      ...["--change", 'CMD ["sh","-c","echo hello from $COLOR, $(id -u):$(id -g); sleep 1000"]'],
    ];
    await podman("import", "--quiet", ...changes, tar, "uml-lab-test:1");
    const lab = house.topology(
      "pods",
      `guests:
  web: { image: "docker:uml-lab-test:1", service: true, run: ['echo "$COLOR $(pwd)" > /tmp/seen'] }
  a:
links: [[web:eth0=10.0.0.1/24, a:eth0=10.0.0.2/24]]
expect: { reach: ["a -> web"] }
`,
    );
    expect((await house.run("doctor")).stdout).to.include(`engine at ${socket}\n`);
    const report = await house.json(0, "up", lab);
    expect(report.verdict).to.equal("pass");
    expect((await house.run("exec", "web", "--", "cat", "/tmp/seen")).stdout).to.equal(
      "green /etc\n",
    );
    expect((await house.run("logs", "web")).stdout).to.include("hello from green, 1000:1001");
    await house.json(0, "down");
    // the container that the export needed is gone
    expect(await podman("ps", "--all", "--quiet")).to.equal("");
    const removed = await house.run("image", "remove", "docker:uml-lab-test:1");
    expect(removed.status, removed.stderr).to.equal(0);
  });
});
