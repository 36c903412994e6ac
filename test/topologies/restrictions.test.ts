import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { LabErrors } from "../../base/errors.ts";
import { parseTopology } from "../../lab/topology/read.ts";
import type { Allowance } from "../../lab/topology/restrictions.ts";

describe("a topology of somebody else's", () => {
  let root: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), "ulr-"));
    for (const name of ["mine", "mine/deep", "theirs"]) mkdirSync(join(root, name));
    for (const name of ["mine/file", "mine/deep/file", "theirs/file"]) {
      writeFileSync(join(root, name), name);
    }
    symlinkSync("../theirs/file", join(root, "mine/link"));
    symlinkSync("../theirs", join(root, "mine/folder"));
    symlinkSync("deep/file", join(root, "mine/inner"));
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  function errorsOf(text: string, allowed: readonly Allowance[] = []): string[] {
    const restrictions = { folder: join(root, "mine"), allowed: new Set(allowed) };
    try {
      parseTopology(join(root, "mine", "lab.yaml"), Buffer.from(text), {}, restrictions);
      return [];
    } catch (error) {
      if (!(error instanceof LabErrors)) throw error;
      return error.errors.map(({ message }) => message);
    }
  }
  const guest = (keys: string) => `name: x\nguests: { a: { ${keys} } }\n`;

  it("takes files from its own folder, links within it too", () => {
    for (const path of ["file", "deep/file", "./deep/../file", "inner"]) {
      expect(errorsOf(guest(`files: { /x: { from: ${path} } }`)), path).to.deep.equal([]);
    }
  });

  it("takes none from outside, whatever leads there", () => {
    const outside = [
      "../theirs/file",
      "/etc/passwd",
      "link",
      "folder/file",
      join(root, "theirs/file"),
    ];
    for (const path of outside) {
      for (const text of [
        guest(`files: { /x: { from: ${path} } }`),
        `name: x\ndefaults: { files: { /x: { from: ${path} } } }\nguests: { a: {} }\n`,
        `name: x\nguests: { a: &g { files: { /x: { from: ${path} } } }, b: { <<: *g } }\n`,
        guest(`image: router, frr: { from: ${path} }`),
      ]) {
        expect(errorsOf(text)[0], text).to.match(/is not a file of this submission$/);
      }
    }
    expect(errorsOf(guest(`files: { /x: { from: "\${X:-/etc/passwd}" } }`))[0]).to.match(
      /is not a file/,
    );
  });

  it("reaches nothing outside of its lab, unless that is allowed", () => {
    const cases: readonly (readonly [Allowance, string])[] = [
      ["internet", guest("internet: true")],
      ["ports", guest('ports: ["8080:80"]')],
      ["images", guest("image: host")],
      ["images", guest('image: "docker:alpine:3"')],
      ["kernel", `name: x\nkernel: ./mine\nguests: { a: {} }\n`],
    ];
    for (const [allowance, text] of cases) {
      expect(errorsOf(text)[0], text).to.match(/not allowed here$/);
      expect(errorsOf(text, [allowance]).join(), text).not.to.match(/not allowed/);
    }
    // nor has a submission the host's own network, whatever is allowed
    const tap = "name: x\nguests: { a: , tap: }\nswitches: { lan: { tap: tap0 }, b: }\n";
    expect(errorsOf(tap, ["internet", "host"])).to.deep.equal(["`tap` is not allowed here"]);
    expect(errorsOf(tap.replace("tap: tap0", ""))).to.deep.equal([]);
    expect(errorsOf(guest("internet: false, image: router, kernel: debian"))).to.deep.equal([]);
  });

  it("may call its own variables what it likes", () => {
    expect(errorsOf(guest("env: { host: b, ports: 1, from: /etc/passwd }"))).to.deep.equal([]);
  });
});
