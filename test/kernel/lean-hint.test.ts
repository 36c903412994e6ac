import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { leanHint } from "../../kernel/lean-hint.ts";

const kernel = (id: string): Kernel => ({
  id,
  release: "7.2.7",
  executable: "/linux",
  modules: undefined,
  features: { seccomp: true, timeTravel: true },
});

describe("the word about lean kernels", () => {
  const before = process.env.UML_LAB_CACHE;
  let cache: string;
  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), "uml-lab-test-"));
    mkdirSync(join(cache, "kernels"));
    process.env.UML_LAB_CACHE = cache;
  });
  afterEach(() => {
    if (before === undefined) delete process.env.UML_LAB_CACHE;
    else process.env.UML_LAB_CACHE = before;
    rmSync(cache, { recursive: true });
  });

  it("is said once to who runs on Debian's", () => {
    expect(leanHint(kernel("debian-7.2.7"))).to.contain("uml-lab kernel build");
    expect(leanHint(kernel("debian-7.2.7"))).to.equal(undefined);
  });

  it("is not said to who has one, or chose another", () => {
    expect(leanHint(kernel("lean-7.3.4-1a2b3c"))).to.equal(undefined);
    expect(leanHint(kernel("/home/me/linux"))).to.equal(undefined);
    expect(leanHint(undefined)).to.equal(undefined);
    expect(leanHint(kernel("debian-7.2.7"))).to.be.a("string");
  });
});
