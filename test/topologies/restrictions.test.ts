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
      ["disk", guest("disk: 1G")],
      ["internet", "name: x\nguests: { a: }\nswitches: { lan: { internet: true } }\n"],
      ["host", guest("internet: host")],
      ["host", guest("image: host")],
      ["images", guest('image: "docker:alpine:3"')],
      ["kernel", `name: x\nkernel: ./mine\nguests: { a: {} }\n`],
    ];
    for (const [allowance, text] of cases) {
      expect(errorsOf(text)[0], text).to.match(/not allowed here$/);
      expect(errorsOf(text, [allowance]).join(), text).not.to.match(/not allowed/);
    }
    // the host's loopback and files are more than the outside, and than an image
    expect(errorsOf(guest("internet: host"), ["internet"])).to.have.length(1);
    expect(errorsOf(guest("image: host"), ["images"])).to.have.length(1);
    // nor has a submission the host's own network, whatever is allowed
    const tap = "name: x\nguests: { a: , tap: }\nswitches: { lan: { tap: tap0 }, b: }\n";
    expect(errorsOf(tap, ["internet", "host"])).to.deep.equal(["`tap` is not allowed here"]);
    expect(errorsOf(tap.replace("tap: tap0", ""))).to.deep.equal([]);
    expect(errorsOf(guest("internet: false, image: router, kernel: debian"))).to.deep.equal([]);
  });

  it("is looked at through aliases and merges", () => {
    for (const text of [
      "name: x\nguests: { a: &g { internet: true }, b: *g }\n",
      "name: x\nguests: { a: { env: &e { internet: true } }, b: *e }\n",
      "name: x\nguests: { a: { env: &e { disk: 1G } }, b: { <<: *e } }\n",
      "name: x\nguests: { a: { sysctl: &s { tap: tap0 } } }\nswitches: { lan: *s, b: }\n",
    ]) {
      expect(errorsOf(text).join(), text).to.match(/not allowed here/);
    }
  });

  it("may call its variables, guests and switches what it likes", () => {
    expect(errorsOf(guest("env: { host: b, ports: 1, from: /etc/passwd }"))).to.deep.equal([]);
    const names = ["host", "disk", "internet", "ports", "kernel", "image", "tap", "from", "env"];
    const guests = names.map((name) => `${name}: { internet: false }`).join(", ");
    const switches = names.map((name) => `sw-${name}: `).join(", ");
    expect(errorsOf(`name: x\nguests: { ${guests} }\nswitches: { ${switches} }\n`)).to.deep.equal(
      [],
    );
    expect(errorsOf("name: x\nguests: { a: }\nswitches: { host: , disk: }\n")).to.deep.equal([]);
    // and what such a one may not do, it may not do
    expect(errorsOf("name: x\nguests: { env: { disk: 1G } }\n")).to.have.length(1);
  });
});
