import { expect } from "chai";
import { LabError } from "../../base/errors.ts";
import { parseDurationNs } from "../../base/units.ts";
import type { Words } from "../../cli/command.ts";
import { countOption, parsedOption } from "../../cli/option-values.ts";

const given = (options: Words["options"]): Words => ({ args: [], options, repeated: {} });

describe("the value of an option", () => {
  it("is undefined where the option was not given", () => {
    expect(countOption(given({}), "jobs")).to.equal(undefined);
    expect(parsedOption(given({}), "for", parseDurationNs, "")).to.equal(undefined);
  });

  it("is a count within its bounds", () => {
    expect(countOption(given({ jobs: "1" }), "jobs", 999)).to.equal(1);
    expect(countOption(given({ jobs: "999" }), "jobs", 999)).to.equal(999);
  });

  it("is a count of up to ten digits where nothing else bounds it", () => {
    expect(countOption(given({ snaplen: "4294967295" }), "snaplen")).to.equal(4_294_967_295);
    expect(() => countOption(given({ snaplen: "10000000000" }), "snaplen")).to.throw(LabError);
  });

  for (const text of ["0", "-1", "1000", "4.0", "07", "4x", "", " 4", "1e2"]) {
    it(`is no count: \`${text}\``, () => {
      const refused = (): unknown => countOption(given({ jobs: text }), "jobs", 999);
      expect(refused).to.throw(LabError, `\`${text}\` is no value for --jobs`);
      expect(refused).to.throw().with.property("hint", "a number from 1 to 999");
    });
  }

  it("is what its parser makes of it, or told with what it looks like", () => {
    const parse = (words: Words) => parsedOption(words, "for", parseDurationNs, "`30s`");
    expect(parse(given({ for: "20ms" }))).to.equal(20_000_000);
    expect(() => parse(given({ for: "soon" })))
      .to.throw("`soon` is no value for --for")
      .with.property("hint", "`30s`");
  });
});
