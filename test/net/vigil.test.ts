import { expect } from "chai";
import { Vigil } from "../../net/vigil.ts";

const MS = 1e6;

describe("being awake before a frame is due", () => {
  it("wakes the loop ahead of a frame now and then", () => {
    const vigil = new Vigil();
    for (let due = 20 * MS; due < 2000 * MS; due += 20 * MS) {
      expect(due - vigil.wakeNs(due, due - 20 * MS)).to.be.within(0.1 * MS, 1 * MS);
    }
  });

  it("says the same of the same frame, and pays for it once", () => {
    const vigil = new Vigil();
    const woken = vigil.wakeNs(20 * MS, 0);
    for (let i = 0; i < 1000; i++) expect(vigil.wakeNs(20 * MS, 0)).to.equal(woken);
    expect(vigil.wakeNs(40 * MS, 20 * MS)).to.be.below(40 * MS);
  });

  it("spends a bounded share of the time where frames are due all the time", () => {
    const vigil = new Vigil();
    const everyNs = 0.2 * MS;
    let awakeNs = 0;
    const end = 10_000 * MS;
    for (let now = 0; now < end; now += everyNs) {
      const due = now + everyNs;
      awakeNs += due - Math.max(now, vigil.wakeNs(due, now));
    }
    expect(awakeNs).to.be.within(0.03 * end, 0.06 * end);
  });
});
