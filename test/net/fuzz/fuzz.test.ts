/** A short run of what `npm run fuzz` does for long. */

import { expect } from "chai";
import { HostileFuzz, openDescriptors } from "./hostile-guest.ts";

const CASES = Number(process.env.FUZZ_CASES ?? 2000);
const SEED = Number(process.env.FUZZ_SEED ?? 1);

describe("a hostile guest beside others", function () {
  this.timeout(0);

  it(`harms nobody in ${CASES} cases of the seed ${SEED}, and no descriptor is lost`, () => {
    const before = openDescriptors();
    const fuzz = new HostileFuzz(SEED);
    try {
      for (let i = 0; i < CASES; i++) fuzz.step();
    } finally {
      fuzz[Symbol.dispose]();
    }
    expect(fuzz.totals.cases).to.equal(CASES);
    // A fuzzer that is always thrown out, or never, looks at half of the code.
    expect(fuzz.totals.thrownOut).to.be.within(CASES / 100, CASES / 2);
    expect(fuzz.totals.passed).to.be.greaterThan(CASES / 100);
    expect(openDescriptors()).to.equal(before);
  });
});
