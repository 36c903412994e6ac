/** Programs' way in, as docs/api.md shows it: a protocol of three guests, tested with mocha. */

import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { Lab, LabError, type LabErrors } from "../../lab/index.ts";
import { House } from "./house.ts";

/** What is tested: whoever gets the token adds its name and passes it on to its neighbour. */
const RELAY = `#!/bin/sh
while read -r token; do
  token="$token $(hostname)"
  echo "$token" >> /tmp/tokens
  [ "$(echo "$token" | wc -w)" -lt 7 ] && echo "$token" | socat -u - "UDP-SENDTO:$1:7000"
done
`;

const RING = `guests: { h1..3: }
switches: { lan: { subnet: 10.0.0.0/24 } }
links:
  - { ends: [h1, lan], name: l1 }
  - { ends: [h2, lan], name: l2 }
  - { ends: [h3, lan], name: l3 }
`;

describe("the programs' interface", function () {
  this.timeout(120_000);
  let house: House;
  let lab: Lab;
  const runFolder = process.env.XDG_RUNTIME_DIR;

  before(async () => {
    house = new House();
    process.env.XDG_RUNTIME_DIR = house.runFolder.replace(/\/uml-lab$/, "");
    lab = await Lab.up(house.topology("ring", RING));
    for (const [guest, next] of [
      ["h1", "h2"],
      ["h2", "h3"],
      ["h3", "h1"],
    ] as const) {
      await lab.guest(guest).writeFile("/usr/local/bin/relay", RELAY, 0o755);
      const command = `socat -u UDP-RECV:7000 - | relay ${next} > /dev/null 2>&1 &`;
      expect((await lab.guest(guest).exec(command)).code).to.equal(0);
    }
  });
  after(async () => {
    await lab?.close();
    await lab?.close();
    if (runFolder === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = runFolder;
    await house.check();
  });

  const tokens = async (guest: string) =>
    (await lab.guest(guest).exec("cat /tmp/tokens; rm -f /tmp/tokens")).stdout.trim();

  /** Sends until it arrived: the relays may be starting still, and UDP promises nothing. */
  async function passToken(token: string, at: string): Promise<string> {
    for (let tries = 0; tries < 100; tries++) {
      await lab.guest("h1").exec(`echo ${token} | socat -u - UDP-SENDTO:h1:7000`);
      await sleep(100);
      // A kernel keeps what it can't send yet: an older token may come as well.
      const found = (await tokens(at)).split("\n").find((line) => line.startsWith(`${token} `));
      if (found !== undefined) return found;
    }
    return "";
  }

  it("brings a lab up and tells what was found", () => {
    expect(lab.report?.verdict).to.equal("pass");
    expect(lab.report?.reachability).to.have.lengthOf(6);
  });

  it("tests a protocol: the token goes round the ring", async () => {
    expect(await passToken("t1", "h3")).to.equal("t1 h1 h2 h3");
  });

  it("changes the network under it: no token crosses a pulled cable", async () => {
    await lab.link("l2").down();
    expect((await lab.guest("h1").exec("fping -q -t 300 h2")).code).to.equal(1);
    await tokens("h3");
    await lab.guest("h1").exec("echo t2 | socat -u - UDP-SENDTO:h1:7000");
    await sleep(200);
    expect(await tokens("h3")).to.equal("");
    await lab.link("l2").up();
    expect(await passToken("t3", "h3")).to.equal("t3 h1 h2 h3");
  });

  it("impairs links in the language's units", async () => {
    await lab.link("l2").set({ delay: "30ms" });
    const { stdout } = await lab.guest("h1").exec(["ping", "-c", "1", "h2"]);
    expect(Number(/time=([\d.]+)/.exec(stdout)?.[1])).to.be.at.least(60);
    await lab.link("l2").set({});
    const error = await lab
      .link("l2")
      .set({ loss: "much" })
      .catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(LabError).and.include({ code: "BAD_VALUE" });
  });

  it("gives commands their input, and takes their output, status and files", async () => {
    const guest = lab.guest("h1");
    const echo = await guest.exec("cat; echo err >&2; exit 3", { input: "in", env: { A: "1" } });
    expect(echo).to.deep.equal({ code: 3, signal: undefined, stdout: "in", stderr: "err\n" });
    await guest.writeFile("/srv/deep/file", Buffer.from([0, 255, 10]));
    expect([...(await guest.readFile("/srv/deep/file"))]).to.deep.equal([0, 255, 10]);
    const late = await guest.exec("sleep 100", { timeoutMs: 200 }).catch((e: unknown) => e);
    expect(late).to.be.instanceOf(LabError).and.include({ code: "TIMEOUT" });
    const missing = await guest.readFile("/nowhere").catch((e: unknown) => e);
    expect((missing as LabError).message).to.match(/^h1: .*No such file/);
    await guest.restart();
    expect((await guest.exec("cat /srv/deep/file")).code).to.equal(1);
  });

  it("finds labs that run, and lets go of them", async () => {
    const same = await Lab.find("ring");
    expect((await same.guest("h2").exec("hostname")).stdout).to.equal("h2\n");
    await same.close();
    expect((await Lab.list()).map(({ name }) => name)).to.deep.equal(["ring"]);
    expect((await lab.verify()).verdict).to.equal("pass");
  });

  it("throws every error of a file", async () => {
    const file = house.topology("bad", "guests: { a: {} }\nlinks: [[a, c], [a, d]]\n");
    const error = await Lab.up(file).catch((thrown: unknown) => thrown);
    expect((error as LabErrors).errors.map(({ at }) => at?.line)).to.deep.equal([3, 3]);
  });
});
