import { expect } from "chai";
import { Random } from "../../base/random.ts";
import {
  parseBitsPerSecond,
  parseBytes,
  parseDurationNs,
  parseFraction,
} from "../../base/units.ts";

const random = new Random(1, "test:units");

describe("units", () => {
  it("read durations", () => {
    for (const [text, ns] of [
      ["10ms", 10e6],
      ["1.5s", 1.5e9],
      ["200us", 200e3],
      ["0s", 0],
      ["7ns", 7],
      ["2m", 120e9],
      ["1h", 3600e9],
    ] as const) {
      expect(parseDurationNs(text), text).to.equal(ns);
    }
    for (let i = 0; i < 500; i++) {
      const ms = random.below(1e6);
      expect(parseDurationNs(`${ms}ms`)).to.equal(ms * 1e6);
      expect(parseDurationNs(`${ms}.25ms`)).to.equal(ms * 1e6 + 250e3);
    }
  });

  it("read sizes in powers of 1024", () => {
    for (const [text, bytes] of [
      ["48M", 48 << 20],
      ["1G", 1 << 30],
      ["512K", 512 << 10],
      ["1.5K", 1536],
      ["64KB", 64 << 10],
      ["64KiB", 64 << 10],
      ["1500B", 1500],
      ["2T", 2 * 1024 ** 4],
    ] as const) {
      expect(parseBytes(text), text).to.equal(bytes);
    }
  });

  it("read percentages and rates", () => {
    expect(parseFraction("1%")).to.equal(0.01);
    expect(parseFraction("0.1%")).to.equal(0.001);
    expect(parseFraction("100%")).to.equal(1);
    expect(parseBitsPerSecond("10Mbit")).to.equal(10e6);
    expect(parseBitsPerSecond("64kbit")).to.equal(64e3);
    expect(parseBitsPerSecond("1Gbit")).to.equal(1e9);
    expect(parseBitsPerSecond("2.5Gbit")).to.equal(2.5e9);
    expect(parseBitsPerSecond("9bit")).to.equal(9);
  });

  it("refuse what has no unit, a wrong one, a sign, or a blank", () => {
    for (const parse of [parseDurationNs, parseBytes, parseFraction, parseBitsPerSecond]) {
      for (const text of [
        "",
        "10",
        "ms",
        "-1ms",
        "1 ms",
        " 1ms",
        "1ms ",
        "1.ms",
        ".5s",
        "1e3s",
        "1,5s",
        "NaNs",
        "Infinitys",
        "101%",
        "1mb",
        "1MB/s",
        "1.5B",
      ]) {
        expect(parse(text), `${parse.name} ${JSON.stringify(text)}`).to.equal(undefined);
      }
    }
  });
});
