import { expect } from "chai";
import { eventually, House } from "./house.ts";

const PAIR = `guests:
  fast: {}
  strict: { isolation: strict }
links: [[fast:eth0=10.0.0.1/24, strict:eth0=10.0.0.2/24]]
`;

interface Process {
  pid: number;
  hostPid: number | null;
  command: string;
  kernelThread: boolean;
}

const isRoot = process.getuid?.() === 0;

for (const nobody of isRoot ? [false, true] : [false]) {
  describe(`inspect, as ${isRoot && !nobody ? "root" : "an unprivileged user"}`, function () {
    this.timeout(400_000); // the unprivileged user fills a cache first
    let house: House;
    before(async () => {
      house = new House({ nobody });
      await house.json(0, "up", house.topology("pair", PAIR));
    });
    after(() => house.check());

    for (const guest of ["fast", "strict"]) {
      it(`shows which host process runs which process of a ${guest} guest`, async () => {
        const background = "sleep 1111 >/dev/null 2>&1 & sleep 2222 >/dev/null 2>&1 &";
        expect((await house.run("exec", guest, "--", "sh", "-c", background)).status).to.equal(0);
        const sleepers = (processes: readonly Process[]) =>
          processes.filter(({ command }) => /^sleep (1111|2222)$/.test(command));

        let shown = await house.json(0, "inspect", guest);
        const [one, two] = sleepers(shown.guestProcesses);
        expect(one?.hostPid, "host process of the first").to.be.a("number");
        expect(two?.hostPid, "host process of the second").to.be.a("number");
        expect(one?.hostPid).not.to.equal(two?.hostPid);
        const init = shown.guestProcesses.find(({ pid }: Process) => pid === 1);
        expect(init.hostPid, "host process of init").to.be.a("number");
        for (const { kernelThread, hostPid } of shown.guestProcesses) {
          if (kernelThread) expect(hostPid).to.equal(null);
        }

        // The proof: with the guest's process, the host's goes, and no other's.
        await house.run("exec", guest, "--", "kill", "-9", String(one?.pid));
        await eventually("the host process ends", async () => {
          shown = await house.json(0, "inspect", guest);
          return !shown.hostProcesses.some(({ pid }: { pid: number }) => pid === one?.hostPid);
        });
        const left = sleepers(shown.guestProcesses);
        expect(left.map(({ pid, hostPid }) => [pid, hostPid])).to.deep.equal([
          [two?.pid, two?.hostPid],
        ]);
      });
    }

    it("tells how system calls are caught, RAM and devices", async () => {
      const fast = await house.json(0, "inspect", "fast");
      const strict = await house.json(0, "inspect", "strict");
      expect(strict.interception).to.equal("ptrace");
      const { kernels } = await house.json(0, "kernel", "list");
      const kernel = kernels.find(({ id }: { id: string }) => id === fast.kernel.id);
      expect(fast.interception).to.equal(kernel?.features.seccomp ? "seccomp" : "ptrace");
      const { ramBytes, ramResidentBytes, guestTotalBytes } = fast.memory;
      expect(ramResidentBytes).to.be.within(1e6, ramBytes);
      expect(guestTotalBytes).to.be.within(1e6, ramBytes);
      expect(fast.nics).to.have.lengthOf(1);
      expect(fast.nics[0]).to.include({ name: "eth0", connected: true });
      expect(fast.nics[0].link).to.include({ up: true, to: "strict:eth0" });
      expect(fast.blocks[0]).to.include({ name: "ubda", readOnly: true });
      expect(fast.consoles.map(({ name }: { name: string }) => name)).to.include("tty0");
    });

    it("shows a paused guest from outside", async () => {
      await house.json(0, "pause", "fast");
      const shown = await house.json(0, "inspect", "fast");
      expect(shown.guestProcesses).to.equal(null);
      expect(shown.notAsked).to.match(/paused/);
      expect(shown.hostProcesses.some(({ state }: { state: string }) => state === "T")).to.equal(
        true,
      );
      await house.json(0, "resume", "fast");
    });
  });
}
