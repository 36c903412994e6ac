import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { fragmentFor, notTaken } from "../../kernel/build/configuration.ts";
import { countObjects } from "../../kernel/build/objects.ts";
import { parseSource } from "../../kernel/build/source.ts";

const LEAN = readFileSync(join(packageRoot, "kernel/build/lean.config"), "utf8");

describe("the lean kernel's configuration", () => {
  it("says each option once", () => {
    const names = [...LEAN.matchAll(/^(?:# )?(CONFIG_\w+)(?:=| is not set)/gm)].map(
      ([, name]) => name,
    );
    expect(names.filter((name, at) => names.indexOf(name) !== at)).to.deep.equal([]);
    expect(names.length).to.be.greaterThan(200);
  });

  it("has no line that is neither a comment nor an option", () => {
    const lines = LEAN.split("\n").filter((line) => !/^(#.*|CONFIG_\w+=(y|\d+|".*")|)$/.test(line));
    expect(lines).to.deep.equal([]);
  });

  it("is the same kernel when only comments change", () => {
    const reworded = LEAN.replace(/^# [a-z].*$/gim, (line) =>
      line.endsWith("is not set") ? line : "# another word",
    );
    expect(reworded).not.to.equal(LEAN);
    expect(fragmentFor(reworded, false)).to.equal(fragmentFor(LEAN, false));
  });

  it("keeps what is turned off on purpose", () => {
    expect(fragmentFor(LEAN, false)).to.contain("# CONFIG_HOSTFS is not set\n");
  });

  it("asks for debugging information and trace events with `debug` only", () => {
    expect(fragmentFor(LEAN, false)).to.contain("# CONFIG_FTRACE is not set\n");
    expect(fragmentFor(LEAN, true)).not.to.contain("CONFIG_FTRACE is not set");
    expect(fragmentFor(LEAN, true)).to.contain("CONFIG_ENABLE_DEFAULT_TRACERS=y\n");
    expect(fragmentFor(LEAN, false)).to.contain("CONFIG_DEBUG_INFO_NONE=y\n");
    expect(fragmentFor(LEAN, true)).not.to.contain("DEBUG_INFO_NONE");
    expect(fragmentFor(LEAN, true)).to.contain("CONFIG_GDB_SCRIPTS=y\n");
  });
});

describe("what a source leaves out of the configuration", () => {
  it("names options that are missing or otherwise", () => {
    const fragment = 'CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\nCONFIG_D="x"\nCONFIG_E=15\n';
    const config = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\nCONFIG_D="y"\nCONFIG_E=15\n';
    expect(notTaken(fragment, config)).to.deep.equal(["B", "D"]);
  });
});

describe("the source of a kernel", () => {
  it("is a release", () => {
    expect(parseSource("7.3")).to.deep.equal({ kind: "package", series: "7.3" });
  });

  it("is an error where there is nothing of that name", () => {
    expect(() => parseSource("/nowhere/linux"))
      .to.throw()
      .with.property("code", "FILE_UNREADABLE");
  });

  it("is an error where a folder holds something else", () => {
    expect(() => parseSource(packageRoot))
      .to.throw()
      .with.property("code", "BAD_VALUE");
  });
});

describe("a build that was interrupted", () => {
  it("counts its objects, and is not led in a circle by its link to the sources", () => {
    const source = mkdtempSync(join(tmpdir(), "uml-lab-test-"));
    try {
      const out = join(source, "out");
      mkdirSync(join(out, "net"), { recursive: true });
      symlinkSync(source, join(out, "source"));
      for (const name of ["a.o", "net/b.o", "net/b.c"]) writeFileSync(join(out, name), "");
      expect(countObjects(out)).to.equal(2);
    } finally {
      rmSync(source, { recursive: true });
    }
  });
});
