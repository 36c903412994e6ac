import { expect } from "chai";
import type { Image } from "../../kernel/guest/spec.ts";
import { memoryNotices } from "../../lab/parts.ts";
import { planOf } from "./fake-machinery.ts";

const image = (minimum: number) => ({ minimumMemoryBytes: minimum << 20 }) as Image;

describe("a notice of guests with little memory", () => {
  const images = { base: image(40), router: image(64) };

  it("names them and what the image needs, one line an image", () => {
    const plan = planOf(`guests:
  a1..5: { memory: 39M }
  b: { memory: 40M }
  c: {}
  r: { image: router, memory: 63M }
`);
    expect(memoryNotices(plan, images)).to.deep.equal([
      "a1, a2, a3, 2 more: less memory than image base needs, which is 40 MiB",
      "r: less memory than image router needs, which is 64 MiB",
    ]);
  });

  it("is not given where all have enough", () => {
    expect(memoryNotices(planOf("guests: { b: { memory: 40M }, c: {} }\n"), images)).to.deep.equal(
      [],
    );
  });
});
