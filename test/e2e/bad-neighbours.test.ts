/** One switch with guests that misbehave, each in its way, and two whose work they must not spoil. */

import { type ChildProcess, execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { ensureTool } from "../../kernel/tools.ts";
import { eventually, House, outcomeOf } from "./house.ts";

const NAMES = ["a", "b", "flood", "stall", "dead", "garbage"];
const TOPOLOGY = `guests: { ${NAMES.map((name) => `${name}: `).join(", ")} }
switches: [lan]
links:
${NAMES.map((name, index) => `  - [${name}:eth0=10.0.0.${index + 1}/24, lan]`).join("\n")}
expect: { reach: [] }
`;
const [B, STALL, DEAD, ALL] = ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.255"] as const;

/** What is transferred: lines with numbers, so that a piece out of place shows. */
const STREAM = "seq 1 10000000";
const STREAM_BYTES = 78_888_897;
/** What of it has arrived when the others begin. */
const BEGUN_BYTES = 1 << 20;

describe("guests that misbehave", function () {
  this.timeout(180_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());

  const inGuest = (guest: string, command: string): ChildProcess =>
    house.start("exec", guest, "--", "sh", "-c", command);
  const sh = async (guest: string, command: string) => {
    const { status, stdout, stderr } = await house.run("exec", guest, "--", "sh", "-c", command);
    expect(status, `${guest}: ${command}: ${stdout}${stderr}`).to.equal(0);
    return stdout.trim();
  };

  async function bringGarbage(): Promise<void> {
    const program = join(house.folder, "files", "garbage");
    const source = join(packageRoot, "test/e2e/fixtures/garbage.c");
    const flags = ["-nostdinc", "-nostdlib", "-static", "-I", join(packageRoot, "kernel/agent")];
    execFileSync(await ensureTool("tcc"), [...flags, "-o", program, source]);
    const child = inGuest("garbage", "cat > /tmp/garbage && chmod +x /tmp/garbage");
    child.stdin?.end(readFileSync(program));
    expect((await outcomeOf(child)).status).to.equal(0);
  }

  it("flooding, stalled, killed, sending garbage: a transfer between two others arrives whole", async () => {
    await house.json(0, "up", house.topology("neighbours", TOPOLOGY));
    await bringGarbage();
    const received = async () =>
      Number(await sh("b", "cat /sys/class/net/eth0/statistics/rx_bytes"));
    const { sunk: sum } = await house.listen("b", "sha256sum");
    const sent = house.run("exec", "a", "--", "sh", "-c", `${STREAM} | nc ${B} 99`);
    await eventually("the beginning of the transfer", async () => (await received()) > BEGUN_BYTES);

    // known to each other before they are gone
    await sh("a", `ping -c 1 -W 5 ${STALL} && ping -c 1 -W 5 ${DEAD}`);
    const badly = [
      inGuest("flood", `ping -f -q -s 1400 ${B}`),
      inGuest("flood", `ping -f -q -b ${ALL}`),
      inGuest("a", `ping -f -q ${STALL}`),
      inGuest("a", `ping -f -q ${DEAD}`),
      inGuest("garbage", "/tmp/garbage $(cat /sys/class/net/eth0/ifindex)"),
    ].map(outcomeOf);
    await house.json(0, "pause", "stall");
    const { guests } = await house.json(0, "status");
    process.kill(guests.find(({ name }: { name: string }) => name === "dead").pid, "SIGKILL");

    const nics = async () => {
      const { counters } = await house.json(0, "status");
      return Object.fromEntries(
        // biome-ignore lint/suspicious/noExplicitAny: a document
        counters.nics.map((nic: any) => [nic.nic.split(":")[0], nic]),
      );
    };
    await eventually("all of them at it", async () => {
      const { flood, stall, dead, garbage } = await nics();
      const { stalled = 0, "no-buffer": full = 0 } = stall.toGuest.drops;
      return (
        flood.fromGuest.frames > 1000 &&
        stalled + full > 0 &&
        !dead.connected &&
        dead.toGuest.drops["no-peer"] > 0 &&
        garbage.fromGuest.frames > 1000
      );
    });
    expect(await received(), "the transfer was over before").to.be.below(STREAM_BYTES);

    const expected = execFileSync("sh", ["-c", `${STREAM} | sha256sum`]).toString();
    expect(await sum).to.deep.equal({ status: 0, stdout: expected, stderr: "" });
    expect((await sent).status).to.equal(0);
    const { a, b, garbage } = await nics();
    expect([a.ringErrors, b.ringErrors, garbage.ringErrors]).to.deep.equal([0, 0, 0]);
    await house.json(0, "resume", "stall");
    await sh("a", `ping -c 3 -W 2 ${STALL}`);

    await house.json(0, "down");
    await Promise.all(badly);
    await house.expectNothingLeft();
  });
});
