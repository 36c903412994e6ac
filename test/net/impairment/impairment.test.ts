import { expect } from "chai";
import { Random } from "../../../base/random.ts";
import type { Impairment } from "../../../net/control/messages.ts";
import { Flight } from "../../../net/impairment/flight.ts";
import { FramePool } from "../../../net/impairment/frame-pool.ts";
import {
  CORRUPTED,
  DUPLICATE_DROPPED,
  DUPLICATED,
  HELD_BACK,
  Impairer,
  isPerfect,
  LONGEST_HOLD_NS,
  LOST,
  needsSingleFrames,
  QUEUE_FULL,
  REORDERED,
  whatIsWrong,
} from "../../../net/impairment/impairer.ts";

function impairer(impairment: Impairment, seed = 1): Impairer {
  const one = new Impairer(new Random(seed, "impairment"));
  one.set(impairment);
  return one;
}

/** The numbers of the first `count` frames whose fate has `bit`. */
function numbersOf(one: Impairer, bit: number, count: number): number[] {
  const numbers: number[] = [];
  for (let i = 0; i < count; i++) if ((one.judge(1000, i * 1e6) & bit) !== 0) numbers.push(i);
  return numbers;
}

/** Within four standard deviations of the binomial: for a given seed this holds or not, for ever. */
function expectBinomial(hits: number, n: number, p: number): void {
  expect(Math.abs(hits - n * p)).to.be.below(4 * Math.sqrt(n * p * (1 - p)));
}

describe("fates", () => {
  it("depend on seed and frame number only", () => {
    const first = numbersOf(impairer({ loss: 0.1 }), LOST, 200);
    expect(first).to.deep.equal(numbersOf(impairer({ loss: 0.1 }), LOST, 200));
    expect(first).to.not.deep.equal(numbersOf(impairer({ loss: 0.1 }, 2), LOST, 200));
    const busy = impairer({ loss: 0.1, duplicate: 0.5, corrupt: 0.5, reorder: 0.5, jitterNs: 1e6 });
    expect(numbersOf(busy, LOST, 200)).to.deep.equal(first);
  });

  it("are these for seed 1", () => {
    expect(numbersOf(impairer({ loss: 0.05 }), LOST, 200)).to.deep.equal(LOST_OF_SEED_1);
  });

  it("of a lower loss are among those of a higher", () => {
    const low = numbersOf(impairer({ loss: 0.05 }), LOST, 2000);
    expect(numbersOf(impairer({ loss: 0.2 }), LOST, 2000)).to.include.members(low);
  });

  for (const [key, bit] of [
    ["loss", LOST],
    ["duplicate", DUPLICATED],
    ["corrupt", CORRUPTED],
    ["reorder", REORDERED],
  ] as const) {
    for (const p of [0.001, 0.01, 0.1, 0.5]) {
      it(`${key} of ${p * 100} % is that of 50 000 frames`, () => {
        expectBinomial(numbersOf(impairer({ [key]: p }), bit, 50_000).length, 50_000, p);
      });
    }
    it(`${key} of 0 and of 1 are never and always`, () => {
      expect(numbersOf(impairer({ [key]: 0 }), bit, 1000)).to.be.empty;
      expect(numbersOf(impairer({ [key]: 1 }), bit, 1000)).to.have.length(1000);
    });
  }

  it("corrupt everywhere in the frame", () => {
    const one = impairer({ corrupt: 1 });
    const tenths = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) {
      one.judge(100, 0);
      tenths[Math.floor(one.corruptAt * 10)]!++;
    }
    for (const hits of tenths) expectBinomial(hits, 10_000, 0.1);
  });
});

describe("delay and jitter", () => {
  it("delays each frame by the same", () => {
    const one = impairer({ delayNs: 20e6 });
    for (let i = 0; i < 10; i++) {
      expect(one.judge(1000, i * 1e6)).to.equal(0);
      expect(one.departsNs).to.equal(i * 1e6 + 20e6);
    }
  });

  it("spreads uniformly by the jitter", () => {
    const one = impairer({ delayNs: 20e6, jitterNs: 5e6 });
    const delays = Array.from({ length: 20_000 }, (_, i) => {
      one.judge(1000, i * 1e9);
      return one.departsNs - i * 1e9;
    });
    const mean = delays.reduce((a, b) => a + b) / delays.length;
    const spread = Math.sqrt(delays.reduce((a, b) => a + (b - mean) ** 2, 0) / delays.length);
    expect(mean).to.be.closeTo(20e6, 0.1e6);
    expect(spread).to.be.closeTo(5e6 / Math.sqrt(3), 0.05e6);
    expect(Math.min(...delays)).to.be.within(15e6, 15.01e6);
    expect(Math.max(...delays)).to.be.within(24.99e6, 25e6);
  });

  it("never sends a frame before it came", () => {
    const one = impairer({ delayNs: 1e6, jitterNs: 10e6 });
    for (let i = 0; i < 1000; i++) {
      one.judge(1000, i * 1e9);
      expect(one.departsNs).to.be.at.least(i * 1e9);
    }
  });

  it("keeps the order", () => {
    const one = impairer({ delayNs: 20e6, jitterNs: 20e6 });
    let last = 0;
    for (let i = 0; i < 1000; i++) {
      one.judge(1000, i * 1000);
      expect(one.departsNs).to.be.at.least(last);
      last = one.departsNs;
    }
  });

  it("keeps the order when the delay shrinks", () => {
    const one = impairer({ delayNs: 100e6 });
    one.judge(1000, 0);
    one.set({ delayNs: 1e6 });
    one.judge(1000, 1000);
    expect(one.departsNs).to.equal(100e6);
    one.judge(1000, 200e6);
    expect(one.departsNs).to.equal(201e6);
  });

  it("a reordered frame skips the delay", () => {
    const one = impairer({ delayNs: 20e6, reorder: 1 });
    expect(one.judge(1000, 5)).to.equal(REORDERED);
    expect(one.departsNs).to.equal(5);
  });

  it("without a delay a reordered frame is held back", () => {
    const one = impairer({ reorder: 1 });
    expect(one.judge(1000, 5)).to.equal(REORDERED | HELD_BACK);
    expect(one.departsNs).to.equal(5 + LONGEST_HOLD_NS);
  });
});

describe("rate", () => {
  it("is exact in the long run, whatever the lengths", () => {
    // a rate that divides nothing, and a time far from zero
    const rate = 9_999_991;
    const start = 2 ** 51 + 12_345;
    const one = impairer({ rateBitsPerSec: rate, queue: { frames: 1_000_000 } });
    const lengths = new Random(3, "lengths");
    let bytes = 0;
    for (let i = 0; i < 200_000; i++) {
      const length = 60 + lengths.below(1455);
      bytes += length;
      expect(one.judge(length, start)).to.equal(0);
    }
    const exact = (BigInt(bytes) * 8_000_000_000n) / BigInt(rate);
    expect(one.departsNs - start).to.equal(Number(exact));
  });

  it("lets no burst through after a pause", () => {
    const one = impairer({ rateBitsPerSec: 8e6 });
    one.judge(1000, 0);
    expect(one.departsNs).to.equal(1e6);
    one.judge(1000, 60e9);
    expect(one.departsNs).to.equal(60e9 + 1e6);
    one.judge(500, 60e9);
    expect(one.departsNs).to.equal(60e9 + 1.5e6);
  });

  it("comes before the delay", () => {
    const one = impairer({ rateBitsPerSec: 8e6, delayNs: 5e6 });
    one.judge(1000, 0);
    one.judge(1000, 0);
    expect(one.departsNs).to.equal(7e6);
  });

  it("spends nothing on what is lost, and twice on what is doubled", () => {
    const lossy = impairer({ rateBitsPerSec: 8e6, loss: 1 });
    lossy.judge(1000, 0);
    expect(lossy.queued(0)).to.equal(0);
    const doubling = impairer({ rateBitsPerSec: 8e6, duplicate: 1 });
    expect(doubling.judge(1000, 0)).to.equal(DUPLICATED);
    expect([doubling.departsNs, doubling.duplicateDepartsNs]).to.deep.equal([1e6, 2e6]);
  });

  it("drops what finds `queue` frames", () => {
    const one = impairer({ rateBitsPerSec: 8e6, queue: { frames: 3 } });
    const fates = [0, 0, 0, 0].map((now) => one.judge(1000, now));
    expect(fates).to.deep.equal([0, 0, 0, QUEUE_FULL]);
    expect(one.queued(0)).to.equal(3);
    expect(one.judge(1000, 1e6)).to.equal(0);
    expect(one.judge(1000, 1e6)).to.equal(QUEUE_FULL);
    expect(one.queued(10e6)).to.equal(0);
  });

  it("drops what does not fit into `queue` bytes, and lets one of any size into an empty one", () => {
    const one = impairer({ rateBitsPerSec: 8e6, queue: { bytes: 2500 } });
    expect([9000, 1].map((bytes) => one.judge(bytes, 0))).to.deep.equal([0, QUEUE_FULL]);
    const fates = [1000, 1000, 1000, 500, 1].map((bytes) => one.judge(bytes, 1e9));
    expect(fates).to.deep.equal([0, 0, QUEUE_FULL, 0, QUEUE_FULL]);
  });

  it("drops only the copy where just one fits", () => {
    const one = impairer({ rateBitsPerSec: 8e6, queue: { frames: 1 }, duplicate: 1 });
    expect(one.judge(1000, 0)).to.equal(DUPLICATE_DROPPED);
  });

  it("holds 1000 frames unless told", () => {
    const one = impairer({ rateBitsPerSec: 8e6 });
    expect(
      numbersOf({ judge: () => one.judge(100, 0) } as unknown as Impairer, QUEUE_FULL, 1002),
    ).to.deep.equal([1000, 1001]);
  });

  it("changes while frames are queued", () => {
    const one = impairer({ rateBitsPerSec: 8e6 });
    one.judge(1000, 0);
    one.set({ rateBitsPerSec: 80e6 });
    one.judge(1000, 0);
    expect(one.departsNs).to.equal(1.1e6);
    one.set({});
    one.judge(1000, 0);
    expect(one.departsNs).to.equal(1.1e6);
    one.judge(1000, 5e6);
    expect(one.departsNs).to.equal(5e6);
  });
});

describe("settings", () => {
  it("perfect ones need nothing, a delay alone keeps frames together", () => {
    expect(isPerfect({})).to.be.true;
    expect(isPerfect({ loss: 0, delayNs: 0, queue: { frames: 5 } })).to.be.true;
    expect(isPerfect({ delayNs: 1 })).to.be.false;
    expect(needsSingleFrames({ delayNs: 1 })).to.be.false;
    expect(needsSingleFrames({ delayNs: 1, loss: 0.1 })).to.be.true;
    expect(needsSingleFrames({ jitterNs: 1 })).to.be.true;
  });

  it("that can't be are refused", () => {
    expect(whatIsWrong({ delayNs: 10e6, loss: 0.5, rateBitsPerSec: 10e6, queue: { frames: 9 } })).to
      .be.undefined;
    for (const wrong of [
      { loss: 1.5 },
      { corrupt: Number.NaN },
      { delayNs: -1 },
      { jitterNs: 1e15 },
      { rateBitsPerSec: 0.5 },
      { queue: { frames: 0 } },
      { queue: { bytes: -1 } },
      { queue: { frames: 1e9 } },
    ]) {
      expect(whatIsWrong(wrong), JSON.stringify(wrong)).to.be.a("string");
    }
  });
});

describe("frames in flight", () => {
  it("leave by due time, then as they came: 100 000 of them", () => {
    const flight = new Flight();
    const random = new Random(5, "dues");
    const dues = Array.from({ length: 100_000 }, () => random.below(5000));
    dues.forEach((due, slot) => {
      expect(flight.push(slot, due)).to.be.true;
    });
    const expected = dues.map((_, slot) => slot).sort((a, b) => dues[a]! - dues[b]! || a - b);
    const left: number[] = [];
    for (let now = 0; now < 5000; now += 7) {
      for (let slot = flight.take(now); slot >= 0; slot = flight.take(now)) {
        expect(dues[slot]!).to.be.at.most(now);
        left.push(slot);
      }
      expect(flight.nextDueNs).to.be.above(now);
    }
    for (let slot = flight.take(5000); slot >= 0; slot = flight.take(5000)) left.push(slot);
    expect(left).to.deep.equal(expected);
    expect(flight.count).to.equal(0);
    expect(flight.nextDueNs).to.equal(Number.POSITIVE_INFINITY);
  });

  it("behave as a sorted list under random pushes and takes", () => {
    const flight = new Flight();
    const random = new Random(6, "mixed");
    let model: { slot: number; due: number }[] = [];
    let now = 0;
    for (let slot = 0; slot < 5000; slot++) {
      const due = now + random.below(50);
      flight.push(slot, due);
      model.push({ slot, due });
      now += random.below(3);
      if (random.below(4) === 0) {
        const ready = model.filter((one) => one.due <= now);
        ready.sort((a, b) => a.due - b.due || a.slot - b.slot);
        model = model.filter((one) => one.due > now);
        expect(ready.map(() => flight.take(now))).to.deep.equal(ready.map(({ slot: s }) => s));
        expect(flight.take(now)).to.equal(-1);
      }
    }
  });

  it("are bounded", () => {
    const flight = new Flight(2);
    expect([flight.push(1, 0), flight.push(2, 0), flight.push(3, 0)]).to.deep.equal([
      true,
      true,
      false,
    ]);
    expect(flight.holdBack(4, 0)).to.be.false;
    flight.take(0);
    expect(flight.push(3, 0)).to.be.true;
  });

  it("one that is held back leaves right behind the next", () => {
    const flight = new Flight();
    flight.holdBack(1, 100);
    expect(flight.nextDueNs).to.equal(100);
    expect(flight.take(50)).to.equal(-1);
    flight.push(2, 50);
    flight.push(3, 50);
    expect([flight.take(50), flight.take(50), flight.take(50)]).to.deep.equal([2, 1, 3]);
    expect(flight.count).to.equal(0);
  });

  it("one that is held back leaves alone in the end", () => {
    const flight = new Flight();
    flight.holdBack(1, 100);
    flight.push(2, 300);
    expect([flight.take(99), flight.take(100), flight.take(100)]).to.deep.equal([-1, 1, -1]);
    flight.holdBack(3, 400);
    flight.holdBack(4, 500);
    expect([flight.take(400), flight.take(400), flight.take(400)]).to.deep.equal([2, 3, -1]);
    expect(flight.take(500)).to.equal(4);
    expect(flight.nextDueNs).to.equal(Number.POSITIVE_INFINITY);
  });
});

describe("room for frames", () => {
  it("is given in slots that never overlap", () => {
    const pool = new FramePool(8 << 20);
    const random = new Random(8, "pool");
    const taken = new Map<number, number>();
    for (let i = 0; i < 20_000; i++) {
      if (random.below(2) === 0) {
        const bytes = 1 + random.below(random.below(10) === 0 ? 70_000 : 2000);
        const slot = pool.take(bytes);
        if (slot < 0) continue;
        expect(slot + bytes).to.be.at.most(8 << 20);
        taken.set(slot, bytes);
      } else {
        const first = taken.keys().next();
        if (first.done === true) continue;
        pool.give(first.value);
        taken.delete(first.value);
      }
    }
    expect(pool.used).to.equal(taken.size);
    const sorted = [...taken].sort(([a], [b]) => a - b);
    for (let i = 1; i < sorted.length; i++) {
      const [before, bytes] = sorted[i - 1]!;
      expect(before + bytes).to.be.at.most(sorted[i]![0]);
    }
  });

  it("ends, and comes back", () => {
    const pool = new FramePool(1 << 20);
    const slots = Array.from({ length: 512 }, () => pool.take(2000));
    expect(slots[0]).to.equal(0);
    expect(pool.take(2000)).to.equal(-1);
    expect(pool.take(10)).to.equal(-1);
    pool.give(slots[7]!);
    expect(pool.take(1)).to.equal(-1);
    expect(pool.take(2000)).to.equal(slots[7]);
    expect(pool.take(100_000)).to.equal(-1);
  });
});

const LOST_OF_SEED_1 = [27, 58, 80, 101, 125, 132, 150];
