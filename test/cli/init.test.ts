import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { house } from "../../cli/house.ts";
import { cli, fakeEngine } from "./fakes.ts";

// Making a text opens nothing: the real engine's part is used.
const engine = fakeEngine({ listStarters: house.listStarters, writeStarter: house.writeStarter });
const init = (...words: string[]) => cli(["init", ...words], engine);

describe("init", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "uml-lab-init-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("writes a file, says so, and what to do next", async () => {
    const file = join(folder, "week1.yaml");
    const { status, stdout, stderr } = await init("week1", "--ring", "6", "-o", file);
    expect(status).to.equal(0);
    expect(stdout).to.equal(`made ${file}\n`);
    expect(stderr).to.include(`  uml-lab up ${file} `);
    expect(readFileSync(file, "utf8")).to.match(/^name: week1$/m);
  });

  it("overwrites nothing", async () => {
    const file = join(folder, "mine.yaml");
    await init("first", "-o", file);
    const { status, stderr } = await init("second", "-o", file);
    expect(status).to.equal(2);
    expect(stderr).to.include(`${file} is there already`);
    expect(readFileSync(file, "utf8")).to.match(/^name: first$/m);
  });

  it("writes to standard output, and nothing else then", async () => {
    const { stdout, stderr } = await init("--grid", "2x2", "-o", "-");
    expect(stdout).to.match(/^name: grid-2x2$/m);
    expect(stderr).to.equal("");
  });

  it("answers one JSON document", async () => {
    const file = join(folder, "x.yaml");
    const { stdout } = await init("--star", "3", "-o", file, "--format", "json");
    expect(JSON.parse(stdout)).to.deep.include({ lab: "star-3", file });
  });

  it("lists what there is to start from", async () => {
    const { stdout } = await init("--list");
    expect(stdout).to.match(/^two-lans {2,}Two LANs and a router {2,}base {2,}any$/m);
    expect(stdout).to.include("--tree DEPTHxFANOUT");
    const json = JSON.parse((await init("--list", "--format", "json")).stdout);
    expect(json.topologies.map(({ name }: { name: string }) => name)).to.include("ring");
  });

  it("refuses two things at once, a bad name, and a folder that is not there", async () => {
    const refused = [
      [["--star", "3", "--from", "ring"], "leave only one of --star, --from"],
      [["Week1"], "`Week1` can't be a lab's name"],
      [["-o", join(folder, "none", "x.yaml")], "can't write"],
      [["--from", "rnig"], "did you mean `ring`?"],
      [["--star", "0"], "N goes from 2"],
    ] as const;
    for (const [words, message] of refused) {
      const { status, stderr } = await init(...words);
      expect(status, words.join(" ")).to.equal(2);
      expect(stderr).to.include(message);
    }
  });
});
