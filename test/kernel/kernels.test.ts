import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ensureKernel } from "../../kernel/kernels.ts";

describe("a kernel that is named by its path", () => {
  const override = process.env.UML_LAB_KERNEL;
  let folder: string;
  beforeEach(() => {
    delete process.env.UML_LAB_KERNEL;
    folder = mkdtempSync(join(tmpdir(), "uml-lab-test-"));
  });
  afterEach(() => {
    if (override !== undefined) process.env.UML_LAB_KERNEL = override;
    rmSync(folder, { recursive: true });
  });

  const kernel = (name: string) => {
    const path = join(folder, name);
    // as User Mode Linux answers --version and --help
    writeFileSync(path, "#!/bin/sh\necho 6.1.0\n", { mode: 0o755 });
    return path;
  };

  it("is what is written down of it, where it stands in a cache", async () => {
    const path = kernel("linux");
    const manifest = {
      id: "lean-7.3.4-1a2b3c",
      kind: "lean",
      release: "7.3.4-lean",
      executable: "linux",
      modules: null,
      bootArguments: ["lpj=40000000"],
      features: { seccomp: true, timeTravel: true, tickless: true },
    };
    writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
    expect(await ensureKernel(path)).to.deep.include({
      id: path,
      release: "7.3.4-lean",
      executable: path,
      bootArguments: ["lpj=40000000"],
      features: { seccomp: true, timeTravel: true, tickless: true },
    });
    const other = kernel("another");
    expect(await ensureKernel(other)).to.deep.include({ release: "6.1.0", bootArguments: [] });
  });

  it("is asked what it is elsewhere", async () => {
    const path = kernel("linux");
    writeFileSync(join(folder, "manifest.json"), "{");
    const { release, features, bootArguments } = await ensureKernel(path);
    expect(release).to.equal("6.1.0");
    expect(features).to.deep.equal({ seccomp: false, timeTravel: false });
    expect(bootArguments).to.deep.equal([]);
  });
});
