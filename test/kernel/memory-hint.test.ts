import { expect } from "chai";
import { type ErrorCode, LabError } from "../../base/errors.ts";
import { withMemoryHint } from "../../kernel/guest/memory-hint.ts";
import type { Image } from "../../kernel/guest/spec.ts";

const MIB = 1 << 20;
const image = { reference: "router", minimumMemoryBytes: 64 * MIB } as Image;

describe("the hint of a guest that failed", () => {
  const hintOf = (code: ErrorCode, memoryBytes: number, hint?: string) => {
    const error = new LabError(code, "no", hint === undefined ? {} : { hint });
    const told = withMemoryHint(error, { name: "r1", image, memoryBytes }) as LabError;
    expect(told).to.include({ code, message: "no" });
    return told.hint;
  };
  const why = "image router needs at least 64 MiB, and r1 has 32 MiB";

  for (const code of ["GUEST_BOOT", "GUEST_SETUP"] as const) {
    it(`names what its image needs where it has less (${code})`, () => {
      expect(hintOf(code, 32 * MIB)).to.equal(why);
      expect(hintOf(code, 32 * MIB, "try x")).to.equal(`${why}; try x`);
    });

    it(`stays as it is where the memory suffices (${code})`, () => {
      expect(hintOf(code, 64 * MIB)).to.equal(undefined);
      expect(hintOf(code, 64 * MIB, "try x")).to.equal("try x");
    });
  }

  it("says nothing of memory where something else failed, and keeps the cause", () => {
    expect(hintOf("NO_RIGHT", 32 * MIB, "try x")).to.equal("try x");
    const bug = new Error("ours");
    const guest = { name: "r1", image, memoryBytes: 32 * MIB };
    expect(withMemoryHint(bug, guest)).to.equal(bug);
    const caused = withMemoryHint(new LabError("GUEST_SETUP", "no", { cause: bug }), guest);
    expect((caused as LabError).cause).to.equal(bug);
  });
});
