import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { House } from "./house.ts";

const PAIR = `guests:
  a: { disk: 64M }
  b: {}
links: [[a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]]
`;
/** Large for the guest, small for the host. */
const LARGER = PAIR.replace("64M", "2G");

const isRoot = process.getuid?.() === 0;

for (const nobody of isRoot ? [false, true] : [false]) {
  describe(`disks, as ${isRoot && !nobody ? "root" : "an unprivileged user"}`, function () {
    this.timeout(400_000); // the unprivileged user fills a cache first
    let house: House;
    before(() => {
      house = new House({ nobody });
    });
    after(() => house.check());
    afterEach(async () => {
      await house.run("down", "--all");
      await house.run("clean");
      for (const { lab } of (await house.json(0, "disk", "list")).disks) {
        await house.json(0, "disk", "remove", lab);
      }
      await house.expectNothingLeft();
    });

    const write = (text: string) =>
      house.run("exec", "a", "--", "sh", "-c", `echo ${text} >> /etc/work; sync`);
    const work = async () => (await house.run("exec", "a", "--", "cat", "/etc/work")).stdout;

    it("keeps all that a guest writes from one `up` to the next", async () => {
      const file = house.topology("course", PAIR);
      await house.json(0, "up", file, "--keep");
      await write("monday");
      expect((await house.json(0, "disk", "list")).disks[0]).to.include({
        lab: "course",
        inUse: true,
      });
      expect((await house.run("disk", "remove", "course")).status).to.equal(2);
      await house.json(0, "down");

      const [kept] = (await house.json(0, "disk", "list")).disks;
      expect(kept).to.include({ lab: "course", file, inUse: false });
      expect(kept.disks).to.have.lengthOf(1);
      expect(kept.disks[0]).to.include({ guest: "a", bytes: 64 << 20 });
      expect(kept.disks[0].usedBytes).to.be.lessThan(32 << 20);

      // Without --keep as well: what was kept is not thrown away in passing. And it may grow.
      await house.json(0, "up", house.topology("course", LARGER));
      expect(await work()).to.equal("monday\n");
      const { stdout } = await house.run("exec", "a", "--", "df", "-m", "/");
      expect(Number(stdout.trim().split("\n").at(-1)?.split(/\s+/)[1])).to.be.greaterThan(1500);
      await house.json(0, "restart", "a");
      expect(await work()).to.equal("monday\n");
      await house.json(0, "down");

      // New disks on demand, which go with their lab; the kept ones are as they were.
      await house.json(0, "up", file, "--fresh");
      expect((await house.run("exec", "a", "--", "cat", "/etc/work")).status).not.to.equal(0);
      await house.json(0, "down");
      await house.json(0, "up", house.topology("course", LARGER));
      expect(await work()).to.equal("monday\n");
    });

    it("throws disks away with a lab that keeps none", async () => {
      const file = house.topology("course", PAIR);
      await house.json(0, "up", file);
      expect(existsSync(join(house.folder, "data", "uml-lab", "disks"))).to.equal(true);
      await house.json(0, "down");
      await house.expectNothingLeft();
    });

    it("has a mountable disk after everything was killed in the middle of writing", async () => {
      const file = house.topology("course", PAIR);
      await house.json(0, "up", file, "--keep");
      await write("safe");
      const busy = house.start(
        "exec",
        "a",
        "--",
        "sh",
        "-c",
        "while :; do echo x >> /root/log; done",
      );
      await house.run("exec", "a", "--", "true");
      const [lab] = (await house.json(0, "ps")).labs;
      process.kill(lab.pid, "SIGKILL");
      await new Promise((resolve) => busy.once("close", resolve));
      await house.json(0, "up", file);
      expect(await work()).to.equal("safe\n");
      const { stdout } = await house.run("exec", "a", "--", "dmesg");
      expect(stdout).not.to.match(/EXT4-fs (error|warning)/);
    });

    it("saves the disks of a running lab and of one that is down, and begins with them", async () => {
      const file = house.topology("course", PAIR);
      const saves = ["running", "down"].map((name) => join(house.folder, "tmp", `${name}.tar.gz`));
      await house.json(0, "up", file, "--keep");
      await write("handed in");
      expect(await house.json(0, "save", "course", saves[0] as string)).to.deep.include({
        lab: "course",
        disks: ["a"],
      });
      await write("too late");
      await house.json(0, "down");
      await house.json(0, "save", "course", saves[1] as string);
      await house.json(0, "disk", "remove", "course");

      const texts: string[] = [];
      for (const save of saves) {
        await house.json(0, "up", file, "--resume", save);
        texts.push(await work());
        await house.json(0, "down");
      }
      expect(texts).to.deep.equal(["handed in\n", "handed in\ntoo late\n"]);
      await house.run("clean");
      expect((await house.json(0, "disk", "list")).disks).to.deep.equal([]);
      for (const save of saves) rmSync(save);
    });

    it("takes nothing for a save that is none, and leaves nothing of it", async () => {
      const file = house.topology("course", PAIR);
      const save = join(house.folder, "files", "save.tar.gz");
      writeFileSync(save, "not a save");
      const { error } = await house.json(2, "up", file, "--resume", save);
      expect(error.code).to.equal("FILE_UNREADABLE");
      await house.expectNothingLeft();
    });

    it("refuses disks that belong to another file's lab", async () => {
      const file = house.topology("course", PAIR);
      await house.json(0, "up", file, "--keep");
      await house.json(0, "down");
      const other = house.topology("other", PAIR);
      writeFileSync(other, readFileSync(file));
      const { error } = await house.json(2, "up", other);
      expect(error.message).to.include(file);
    });

    it("says what to do with a disk that can't be mounted", async () => {
      const file = house.topology("course", PAIR);
      await house.json(0, "up", file, "--keep");
      await house.json(0, "down");
      const [kept] = (await house.json(0, "disk", "list")).disks;
      const { path } = kept.disks[0];
      const { size } = statSync(path);
      truncateSync(path, 0);
      truncateSync(path, size);
      const { error } = await house.json(4, "up", file);
      expect(error.message).to.match(/the disk could not be mounted/);
      expect((await house.json(0, "disk", "list")).disks).to.have.lengthOf(1);
    });
  });
}
