/** Images of every kind, booted; what FRR, BIRD and nginx do in `router`. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import type Docker from "dockerode";
import type { LabError } from "../../base/errors.ts";
import { cacheFolder } from "../../base/folders.ts";
import { lockEntry } from "../../kernel/cache/cache.ts";
import { dockerEngine } from "../../kernel/docker/engine.ts";
import type { Image } from "../../kernel/guest/spec.ts";
import { hostImage } from "../../kernel/images/from-host.ts";
import { ANY_MEMORY } from "../../kernel/images/source.ts";
import { ensureImage, importImage, listImages, removeImage } from "../../kernel/images.ts";
import { findProgram } from "../../kernel/packages/apt.ts";
import { busyboxTree } from "./busybox-tree.ts";
import { importTar, type OwnEngine, startEngine } from "./container-engine.ts";
import { Guests, shell, until } from "./guests.ts";
import { House } from "./house.ts";

const run = promisify(execFile);

/** Files that others may not read and folders that they may not enter, as far as we see them. */
async function keptFromOthers(folders: readonly string[]): Promise<string[]> {
  const closed = ["(", "-type", "f", "!", "-perm", "-o=r", ")"];
  const shut = ["(", "-type", "d", "!", "-perm", "-o=rx", "-prune", ")"];
  const { stdout } = await run("find", [...folders, ...closed, "-o", ...shut]).catch(
    // it ends with 1 where it may not enter a folder
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? "" }),
  );
  return stdout.split("\n").filter(Boolean);
}

describe("images", () => {
  let scratch: string;
  let guests: Guests;
  let tree: string;

  before(async () => {
    scratch = mkdtempSync(join(tmpdir(), "uml-images-"));
    guests = new Guests();
    tree = await busyboxTree(scratch);
  });
  after(async () => {
    rmSync(scratch, { recursive: true, force: true });
    await guests.check();
  });

  const outputOf = async (name: string, image: Image, command: string) => {
    await using guest = await guests.boot(name, { image, memoryBytes: image.defaultMemoryBytes });
    const { code, stdout, stderr } = await shell(guest, command);
    expect(code, stderr).to.equal(0);
    return stdout;
  };

  it("boots a folder, and makes it again when it changed", async () => {
    const reference = `dir:${tree}`;
    writeFileSync(join(tree, "word"), "one\n");
    const first = await ensureImage(reference);
    expect(await outputOf("dir1", first, "cat /word")).to.equal("one\n");
    expect((await ensureImage(reference)).file).to.equal(first.file);
    writeFileSync(join(tree, "word"), "other\n");
    const second = await ensureImage(reference);
    expect(second.file).not.to.equal(first.file);
    expect(await outputOf("dir2", second, "cat /word; stat -c %u /word")).to.equal("other\n0\n");
    expect(await removeImage(reference)).to.equal(2);
    expect((await listImages()).map((image) => image.reference)).not.to.include(reference);
  });

  it("boots a file system in a file, where it is", async () => {
    const { file } = await ensureImage("base");
    const copy = join(scratch, "root.img");
    await run("cp", [file, copy]);
    const image = await ensureImage(`file:${copy}`);
    expect(image).to.include({ file: copy, fileSystem: "squashfs" });
    expect(await outputOf("file", image, "echo up")).to.equal("up\n");
  });

  for (const [fileSystem, program, options] of [
    ["ext4", "mke2fs", (file: string) => ["-q", "-t", "ext4", "-d", tree, file, "16M"]],
    ["erofs", "mkfs.erofs", (file: string) => ["--quiet", file, tree]],
  ] as const) {
    it(`boots a file with ${fileSystem}, and changes nothing in it`, async function () {
      const make = findProgram(program);
      if (make === undefined) {
        console.log(`    SKIPPED: there is no ${program} to make one with`);
        return this.skip();
      }
      writeFileSync(join(tree, "word"), `${fileSystem}\n`);
      const file = join(scratch, `root.${fileSystem}`);
      await run(make, options(file));
      const before = await readFile(file);
      const image = await ensureImage(`file:${file}`);
      expect(image).to.include({ file, fileSystem });
      const seen = await outputOf(fileSystem, image, "cat /word; echo other > /word; cat /word");
      expect(seen).to.equal(`${fileSystem}\nother\n`);
      expect((await readFile(file)).equals(before)).to.equal(true);
    });
  }

  it("imports archives of `docker export` and `docker save`, layers merged", async () => {
    const flat = join(scratch, "flat.tar");
    await run("tar", ["-cf", flat, "-C", tree, "."]);
    const exported = await importImage(flat, "uml-lab-flat");
    expect(await outputOf("flat", exported, "echo up")).to.equal("up\n");

    const saved = join(scratch, "saved");
    mkdirSync(join(saved, "upper/etc"), { recursive: true });
    mkdirSync(join(saved, "lower/etc"), { recursive: true });
    for (const name of ["kept", "gone", "changed"])
      writeFileSync(join(saved, `lower/etc/${name}`), name);
    writeFileSync(join(saved, "upper/etc/.wh.gone"), "");
    writeFileSync(join(saved, "upper/etc/changed"), "new");
    await run("cp", ["-a", `${tree}/bin`, join(saved, "lower/bin")]);
    for (const layer of ["lower", "upper"]) {
      await run("tar", ["-cf", join(saved, `${layer}.tar`), "-C", join(saved, layer), "."]);
    }
    const config = { Env: ["COLOR=blue", "PATH=/bin"], WorkingDir: "/etc", Cmd: ["sleep", "1000"] };
    writeFileSync(join(saved, "config.json"), JSON.stringify({ config }));
    writeFileSync(
      join(saved, "manifest.json"),
      JSON.stringify([
        { Config: "config.json", RepoTags: null, Layers: ["lower.tar", "upper.tar"] },
      ]),
    );
    const archive = join(scratch, "saved.tar");
    await run("tar", [
      "-cf",
      archive,
      "-C",
      saved,
      "manifest.json",
      "config.json",
      "lower.tar",
      "upper.tar",
    ]);
    const image = await importImage(archive, "uml-lab-saved");
    expect(image.process?.command).to.deep.equal(["sleep", "1000"]);
    expect(await outputOf("saved", image, "pwd; echo $COLOR; ls /etc; cat /etc/changed")).to.match(
      /^\/etc\nblue\nchanged\n(hostname\nhosts\n)?kept\nnew$|^\/etc\nblue\nchanged\nhostname\nhosts\nkept\nnew$/,
    );
    await removeImage("docker:uml-lab-flat");
    await removeImage("docker:uml-lab-saved");
  });

  /** What `docker save` makes of an image of one layer. */
  const savedImage = async (name: string, layer: string, config: object): Promise<string> => {
    const folder = join(scratch, name);
    mkdirSync(folder);
    await run("cp", [layer, join(folder, "layer.tar")]);
    writeFileSync(join(folder, "config.json"), JSON.stringify({ config }));
    const [Config, Layers] = ["config.json", ["layer.tar"]];
    writeFileSync(
      join(folder, "manifest.json"),
      JSON.stringify([{ Config, RepoTags: null, Layers }]),
    );
    const archive = join(scratch, `${name}.tar`);
    await run("tar", ["-cf", archive, "-C", folder, "manifest.json", Config, ...Layers]);
    return archive;
  };

  it("runs a container image's command as its USER", async () => {
    const people = join(scratch, "people");
    for (const path of ["etc", "home/app", "srv/team"])
      mkdirSync(join(people, path), { recursive: true });
    writeFileSync(
      join(people, "etc/passwd"),
      "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
    );
    writeFileSync(join(people, "etc/group"), "root:x:0:\napp:x:1001:\nteam:x:2000:app\n");
    chmodSync(join(people, "srv/team"), 0o775);
    const layer = join(scratch, "people.tar");
    const add = (how: string, owner: string, ...words: string[]) => {
      const [user, group] = owner.split(":");
      const owners = [`--owner=app:${user}`, `--group=app:${group}`];
      return run("tar", [how, layer, "--no-recursion", ...owners, ...words]);
    };
    await add("-cf", "0:0", "-C", tree, "bin", "bin/busybox", "bin/sh", "bin/cat", "bin/id");
    await add("-rf", "0:0", "-C", people, "etc", "etc/passwd", "etc/group", "home", "srv");
    await add("-rf", "1000:1001", "-C", people, "home/app");
    await add("-rf", "0:2000", "-C", people, "srv/team");

    const script = `
{ id; echo $HOME $USER $PWD; } > /tmp/seen
echo mine > $HOME/own
echo ours > /srv/team/note
(echo no > /etc/note) 2>/dev/null || echo refused >> /tmp/seen
echo "a word for the console" > /dev/stdout
echo listening > /tmp/listening
/bin/busybox nc -l -p 80 > /tmp/heard; echo done > /tmp/done; exec /bin/busybox sleep 1000`;
    const config = { Cmd: ["sh", "-c", script], WorkingDir: "/srv" };
    const seenBy = async (user: string) => {
      const name = `user-${user.replaceAll(":", "-")}`;
      const archive = await savedImage(name, layer, { ...config, User: user });
      const image = await importImage(archive, name);
      try {
        await using guest = await guests.boot(name, { image, setup: { startsImage: true } });
        await until(
          "it listens",
          async () => (await shell(guest, "cat /tmp/listening")).code === 0,
        );
        // it may not be at accept yet
        const call = "until [ -e /tmp/done ] || echo hi | /bin/busybox nc 127.0.0.1 80; do :; done";
        await shell(guest, call);
        await until("it heard it", async () => (await shell(guest, "cat /tmp/done")).code === 0);
        expect(await readFile(guest.consolePath, "utf8")).to.include("a word for the console");
        expect((await shell(guest, "cat /tmp/heard; id -u")).stdout).to.equal("hi\n0\n");
        return (await shell(guest, "cat /tmp/seen /home/app/own /srv/team/note")).stdout;
      } finally {
        await removeImage(`docker:${name}`);
      }
    };
    expect(await seenBy("app")).to.equal(
      "uid=1000(app) gid=1001(app) groups=1001(app),2000(team)\n/home/app app /srv\nrefused\n" +
        "mine\nours\n",
    );
    expect(await seenBy("1000:team")).to.equal(
      "uid=1000(app) gid=2000(team) groups=2000(team)\n/home/app app /srv\nrefused\nmine\nours\n",
    );
    // a number without a name: it has no home, and nothing is its own
    expect(await seenBy("1234:1234")).to.equal(
      "uid=1234 gid=1234 groups=1234\n/ 1234 /srv\nrefused\n",
    );

    const archive = await savedImage("user-none", layer, { ...config, User: "wep" });
    const image = await importImage(archive, "user-none");
    const error = await guests.boot("none", { image, setup: { startsImage: true } }).then(
      () => expect.fail("it booted"),
      (reason: LabError) => reason,
    );
    expect(error.code).to.equal("GUEST_SETUP");
    expect(error.message).to.equal(
      "guest none: the command of docker:user-none is to run as USER `wep`: " +
        "the image's /etc/passwd has no user `wep`",
    );
    await removeImage("docker:user-none");
  });

  it("makes the same bytes of the same packages, and what their scripts would have made", async () => {
    const before = process.env.UML_LAB_CACHE;
    const first = await ensureImage("packages:[bird2, dnsmasq-base]");
    let second: Image;
    try {
      process.env.UML_LAB_CACHE = join(scratch, "cache");
      second = await ensureImage("packages:[dnsmasq-base,bird2]");
    } finally {
      if (before === undefined) delete process.env.UML_LAB_CACHE;
      else process.env.UML_LAB_CACHE = before;
    }
    expect(second.file).not.to.equal(first.file);
    expect((await readFile(second.file)).equals(await readFile(first.file))).to.equal(true);
    expect(
      await outputOf("packages", first, "stat -c '%U %G %a' /run/bird; id -un dnsmasq"),
    ).to.equal("bird bird 775\ndnsmasq\n");
    await removeImage("packages:[bird2,dnsmasq-base]");
  });

  it("takes of the host what everybody may read, and no way leads back", async () => {
    const host = join(scratch, "host");
    const secret = "secret\n";
    const put = (path: string, mode: number, text = secret) => {
      mkdirSync(dirname(join(host, path)), { recursive: true });
      writeFileSync(join(host, path), text);
      chmodSync(join(host, path), mode);
    };
    mkdirSync(join(host, "usr"), { recursive: true });
    await run("cp", ["-a", `${tree}/bin`, join(host, "usr/bin")]);
    symlinkSync("usr/bin", join(host, "bin"));
    put("etc/passwd", 0o644, "everybody's\n");
    put("usr/share/words", 0o444, "everybody's\n");
    put("etc/shadow", 0o640);
    put("etc/mail/spool", 0o620);
    put("etc/ssh/ssh_host_rsa_key", 0o644);
    put("etc/ssl/private/own.pem", 0o644);
    put("etc/ssl/own.key", 0o644);
    put("etc/machine-id", 0o444);
    put("etc/closed/inside", 0o644);
    chmodSync(join(host, "etc/closed"), 0o700);
    put("etc/unlisted/inside", 0o644);
    chmodSync(join(host, "etc/unlisted"), 0o711);
    put("usr/lib/agent/id_ed25519", 0o644);
    put("usr/lib/agent/token", 0o600);
    for (const path of ["home/me/diary", "root/note", "var/lib/data", "opt/x/y", "srv/z"]) {
      put(path, 0o644);
    }
    symlinkSync("/home/me/diary", join(host, "etc/way"));

    const file = join(scratch, "host.squashfs");
    using lock = await lockEntry("images-host-test", { purpose: "a test" });
    const work = join(scratch, "work");
    mkdirSync(work);
    await hostImage(host).build(file, { folder: work, scratch: work, lock }, {});
    const image: Image = {
      id: "host",
      reference: "host",
      file,
      fileSystem: "squashfs",
      ...ANY_MEMORY,
    };
    await using guest = await guests.boot("host", { image, memoryBytes: image.defaultMemoryBytes });
    const sh = async (command: string) => (await shell(guest, command)).stdout;
    // all that there is but the programs, and what every boot writes
    const found = await sh("find /etc /usr /home /root /opt /srv /var ! -path '/usr/bin/*' | sort");
    expect(
      found
        .trimEnd()
        .split("\n")
        .filter((path) => !/^\/etc\/host(name|s)$/.test(path)),
    ).to.deep.equal([
      ...["/etc", "/etc/mail", "/etc/passwd", "/etc/ssh", "/etc/ssl", "/etc/way"],
      ...["/home", "/opt", "/root", "/srv"],
      ...["/usr", "/usr/bin", "/usr/lib", "/usr/lib/agent", "/usr/share", "/usr/share/words"],
      ...["/var", "/var/cache", "/var/lib", "/var/lib/misc", "/var/lock", "/var/log", "/var/run"],
      ...["/var/spool", "/var/tmp"],
    ]);
    expect(await sh("id -u; cat /etc/passwd /usr/share/words")).to.equal(
      "0\neverybody's\neverybody's\n",
    );
    const lost = await shell(guest, "cat /etc/way");
    expect(lost).to.include({ code: 1, stdout: "" });
    // through the kernel's own door to the host, where it has one: the sandbox is behind it
    const door = await shell(guest, `mount -t hostfs -o / none /mnt && ls /mnt${host}`);
    expect(door.stdout).not.to.match(/etc|secret/);
    expect(await sh("echo theirs > /etc/passwd; cat /etc/passwd")).to.equal("theirs\n");
    expect(await readFile(join(host, "etc/passwd"), "utf8")).to.equal("everybody's\n");
  });
});

/** Heavy: gigabytes are copied, hundreds of packages unpacked. */
describe("images that take long to make", function () {
  this.timeout(3_600_000);
  const usual = cacheFolder();
  const before_ = process.env.UML_LAB_CACHE;
  let scratch: string | undefined;
  let guests: Guests;

  before(function () {
    if (!process.env.UML_LAB_NIGHTLY) {
      console.log("    SKIPPED: it takes minutes and gigabytes; UML_LAB_NIGHTLY=1 does it");
      this.skip();
    }
    scratch = mkdtempSync(join(tmpdir(), "uml-images-"));
    guests = new Guests();
  });
  after(async () => {
    if (before_ === undefined) delete process.env.UML_LAB_CACHE;
    else process.env.UML_LAB_CACHE = before_;
    if (scratch === undefined) return;
    rmSync(scratch, { recursive: true, force: true });
    await guests.check();
  });

  /** A cache of its own, without images, that has the rest of the usual one. */
  const useCache = (name: string): void => {
    const folder = join(scratch as string, name);
    mkdirSync(folder);
    for (const room of ["initramfs", "kernels", "locks", "packages", "programs", "tools"]) {
      symlinkSync(join(usual, room), join(folder, room));
    }
    process.env.UML_LAB_CACHE = folder;
  };

  it("are the same bytes where `router` is made twice of the same packages", async () => {
    const hashes: string[] = [];
    for (const name of ["one", "two"]) {
      useCache(name);
      const { file } = await ensureImage("router");
      expect(file.startsWith(join(scratch as string, name))).to.equal(true);
      const hash = createHash("sha256");
      for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
      hashes.push(hash.digest("hex"));
    }
    expect(hashes[1]).to.equal(hashes[0]);
  });

  it("keep what is private on this machine from a guest's root, who can't write to it", async () => {
    useCache("host");
    const image = await ensureImage("host");
    const own = join(scratch as string, "own");
    writeFileSync(own, "mine");
    await using guest = await guests.boot("host", { image, memoryBytes: image.defaultMemoryBytes });
    const sh = async (command: string) => (await shell(guest, command)).stdout;
    expect(await sh("id -u; cat /etc/os-release")).to.equal(
      `0\n${await readFile("/etc/os-release", "utf8")}`,
    );
    const places = "/home /root /opt /srv /var /etc/ssl/private";
    expect(await sh(`find ${places} ! -type d ! -type l 2>/dev/null`)).to.equal("");
    expect(await sh("ls -A /home /root /opt /srv | grep -v -e ':$' -e '^$'")).to.equal("");
    // of what this machine keeps from others than owner and group, nothing is even there
    const kept = await keptFromOthers(["/etc", "/usr"]);
    const input = Buffer.from(["/etc/machine-id", ...kept, ""].join("\n"));
    const look = 'while read -r path; do [ -e "$path" ] && echo "$path"; done; echo done';
    const { stdout } = await guest.run({ command: ["sh", "-c", look] }, { input });
    expect(stdout).to.equal("done\n");
    const theirs = `echo theirs > ${own}; echo theirs > /mnt${own}; echo theirs > /etc/passwd`;
    const seen = await sh(
      `mount -t hostfs -o / none /mnt; cat ${own} /mnt${own}; mkdir -p ${scratch}; ${theirs}`,
    );
    expect(seen).not.to.include("mine");
    expect(await sh("cat /etc/passwd")).to.equal("theirs\n");
    expect(await readFile(own, "utf8")).to.equal("mine");
    expect(await readFile("/etc/passwd", "utf8")).not.to.include("theirs");
  });
});

describe("an image of a container engine", function () {
  this.timeout(600_000);
  let scratch: string;
  let engine: OwnEngine | undefined;
  const before_ = process.env.DOCKER_HOST;

  before(async function () {
    scratch = mkdtempSync(join(tmpdir(), "uml-engine-"));
    const started = await startEngine();
    if (typeof started === "string") {
      console.log(`    SKIPPED: ${started}`);
      return this.skip();
    }
    engine = started;
    process.env.DOCKER_HOST = engine.host;
  });
  after(async () => {
    if (before_ === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before_;
    await engine?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  it("is exported, and its command, environment and folder come along", async () => {
    const docker = engine?.docker as Docker;
    const tree = await busyboxTree(scratch);
    mkdirSync(join(tree, "srv"));
    const tar = join(scratch, "image.tar");
    await run("tar", ["-cf", tar, "-C", tree, "."]);
    await importTar(docker, tar, "uml-lab-test:1", [
      "ENV COLOR=green",
      "WORKDIR /srv",
      "USER 1234:5678",
      'CMD ["sh","-c","echo hello from $COLOR, $(id -u):$(id -g); sleep 1000"]',
    ]);
    const house = new House();
    const lab = house.topology(
      "containers",
      `guests:
  web: { image: "docker:uml-lab-test:1", service: true, run: ['echo "$COLOR $(pwd)" > /tmp/seen'] }
  a:
links: [[web:eth0=10.0.0.1/24, a:eth0=10.0.0.2/24]]
expect: { reach: ["a -> web"] }
`,
    );
    try {
      await house.json(0, "up", lab);
      expect((await house.run("exec", "web", "--", "cat", "/tmp/seen")).stdout).to.equal(
        "green /srv\n",
      );
      expect((await house.run("logs", "web")).stdout).to.include("hello from green, 1234:5678");
      await house.json(
        3,
        "up",
        house.topology("none", 'guests: { a: { image: "docker:not-here:1" } }\n'),
      );
    } finally {
      await house.check();
      await removeImage("docker:uml-lab-test:1");
    }
  });

  it("is told to be missing with what mends it", async () => {
    const none = await dockerEngine({ DOCKER_HOST: "unix:///nowhere/docker.sock" });
    expect(none.docker).to.equal(undefined);
    expect(none.found).to.include("/nowhere/docker.sock");
    expect(none.hint).to.include("podman.socket");
  });
});

describe("the router image", function () {
  this.timeout(900_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());

  const routers = (configuration: (id: number) => string, key: string) => `
guests:
${[1, 2]
  .map(
    (id) => `  r${id}:
    forward: true
    ${key}: |
${configuration(id).replace(/^/gm, "      ")}
`,
  )
  .join("")}  a: { gateway: 10.0.1.1 }
  b: { gateway: 10.0.2.1 }
links:
  - [r1:eth0=10.0.0.1/24, r2:eth0=10.0.0.2/24]
  - [r1:eth1=10.0.1.1/24, a:eth0=10.0.1.10/24]
  - [r2:eth1=10.0.2.1/24, b:eth0=10.0.2.10/24]
expect: { reach: ["a <-> b"], settle: 90s }
`;

  it("learns a route by FRR's OSPF, and serves a page with nginx", async () => {
    const file = house.topology(
      "frr",
      routers(
        () =>
          "interface eth0\n ip ospf network point-to-point\n ip ospf hello-interval 1\n" +
          " ip ospf dead-interval 4\nrouter ospf\n network 10.0.0.0/8 area 0",
        "frr",
      ),
    );
    const report = await house.json(0, "up", file);
    expect(report.verdict).to.equal("pass");
    const exec = async (guest: string, command: string) =>
      (await house.run("exec", guest, "--", "sh", "-c", command)).stdout;
    expect(await exec("r1", "ip route")).to.match(/^10\.0\.2\.0\/24 .*proto ospf/m);
    expect(await exec("r1", "vtysh -c 'show daemons' 2>&1")).to.match(/^\s*zebra ospfd\s*$/);
    expect(await exec("r1", "systemctl start nginx && systemctl is-active nginx")).to.include(
      "active",
    );
    expect(await exec("a", "wget -qO- http://10.0.1.1/")).to.include("<title>");
    expect(await exec("r1", "systemctl frobnicate nginx 2>&1")).to.include("runs no systemd");
    await house.json(0, "down");
  });

  it("learns a route by BIRD's OSPF", async () => {
    const file = house.topology(
      "bird",
      routers(
        (id) =>
          `router id 10.0.0.${id};\nprotocol device {}\nprotocol kernel { ipv4 { export all; }; }\n` +
          'protocol ospf v2 { ipv4 { export all; }; area 0 { interface "eth0" { type ptp; hello 1; };' +
          ' interface "eth1" { stub; }; }; }',
        "bird",
      ),
    );
    const report = await house.json(0, "up", file);
    expect(report.verdict).to.equal("pass");
    await house.json(0, "down");
  });

  it("fails the lab with the daemon's own words where a configuration is wrong", async () => {
    const lab = (name: string, key: string, text: string) =>
      house.topology(name, `guests: { r1: { ${key}: ${JSON.stringify(text)} } }\n`);
    const words = await house.run("up", lab("badword", "frr", "roter ospf\n"));
    expect(words.status).to.equal(4);
    expect(words.stderr).to.include("line 1: % Unknown command").and.to.include("roter ospf");
    const refused = await house.run(
      "up",
      lab("refused", "frr", "router bgp 1\nexit\nrouter bgp 2\n"),
    );
    expect(refused.status).to.equal(4);
    expect(refused.stderr).to.include("BGP is already running");
    const bird = await house.run("up", lab("badbird", "bird", "protocol ospf {\n"));
    expect(bird.status).to.equal(4);
    expect(bird.stderr).to.include("bird.conf is wrong").and.to.include("syntax error");
  });
});
