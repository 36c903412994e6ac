import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import {
  applyPatches,
  changesOf,
  givenBy,
  ourPatches,
  type Patch,
  patchesIn,
} from "../../kernel/build/patches.ts";

/** Turns `one` into `two` in a file. */
function patch(file: string, one = "one", two = "two"): Patch {
  const text = `Why.\n\nGives: ${two}\n\ndiff --git a/${file} b/${file}\n--- a/${file}\n+++ b/${file}\n@@ -1 +1 @@\n-${one}\n+${two}\n`;
  return { name: `change-${file}`, text };
}

describe("our patches", () => {
  it("say why, and change files of User Mode Linux only", () => {
    const patches = ourPatches();
    expect(patches.map(({ name }) => name)).to.include("0001-um-see-noted-signals-before-sleeping");
    for (const { name, text } of patches) {
      expect(text.slice(0, text.search(/^diff /m)).length, name).to.be.greaterThan(100);
      const files = [...text.matchAll(/^\+\+\+ b\/(.*)$/gm)].map(([, file]) => file);
      expect(files, name).not.to.deep.equal([]);
      for (const file of files) expect(file, name).to.match(/^arch\/um\//);
    }
  });

  it("give a kernel that needs no tick", () => {
    expect([...givenBy(ourPatches())]).to.deep.equal(["tickless"]);
    expect([...givenBy(ourPatches().slice(1))]).to.deep.equal([]);
  });

  it("are the same change when only the reason is worded otherwise", () => {
    const one = patch("a");
    expect(changesOf({ ...one, text: one.text.replace("Why.", "Because.") })).to.equal(
      changesOf(one),
    );
    expect(changesOf(patch("b"))).not.to.equal(changesOf(one));
  });

  describe("on a tree", () => {
    let scratch: string;
    let tree: string;

    beforeEach(() => {
      scratch = mkdtempSync(join(tmpdir(), "uml-lab-test-"));
      tree = join(scratch, "tree");
      mkdirSync(tree);
      for (const name of ["a", "b"]) writeFileSync(join(tree, name), "one\n");
    });

    afterEach(() => rmSync(scratch, { recursive: true }));

    it("are applied where they fit, and found again", async () => {
      const options = { patch: "patch", scratch };
      const misfit = patch("b", "three");
      const patches = [patch("a"), misfit];
      expect(await patchesIn(tree, patches, options)).to.deep.equal([]);
      expect(await applyPatches(tree, patches, options)).to.deep.equal([patches[0]]);
      expect(readFileSync(join(tree, "a"), "utf8")).to.equal("two\n");
      expect(readFileSync(join(tree, "b"), "utf8")).to.equal("one\n");
      expect(await patchesIn(tree, patches, options)).to.deep.equal([patches[0]]);
    });
  });
});
