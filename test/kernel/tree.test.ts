import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { pathsIn, resolveIn } from "../../kernel/images/tree.ts";

describe("paths in a root file system", () => {
  let root: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), "uml-tree-"));
    mkdirSync(join(root, "var"));
    mkdirSync(join(root, "usr/bin"), { recursive: true });
    writeFileSync(join(root, "usr/bin/x"), "");
    symlinkSync("/run", join(root, "var/run"));
    symlinkSync("usr/bin", join(root, "bin"));
    symlinkSync("/etc", join(root, "host"));
    symlinkSync("loop", join(root, "loop"));
  });
  after(() => rmSync(root, { recursive: true }));

  it("lists what is there, and nothing behind links", () => {
    expect(pathsIn(root)).to.deep.equal([
      "",
      "bin",
      "host",
      "loop",
      "usr",
      "usr/bin",
      "usr/bin/x",
      "var",
      "var/run",
    ]);
  });

  it("follows links as the guest will, never to the host", () => {
    expect(resolveIn(root, "/var/run/frr")).to.equal("run/frr");
    expect(resolveIn(root, "bin/x")).to.equal("usr/bin/x");
    expect(resolveIn(root, "host/passwd")).to.equal("etc/passwd");
    expect(resolveIn(root, "../../etc/passwd")).to.equal("etc/passwd");
    expect(resolveIn(root, "var/run")).to.equal("var/run");
    expect(() => resolveIn(root, "loop/x")).to.throw("links");
  });
});
