import { isIPv4, isIPv6 } from "node:net";
import { expect } from "chai";
import {
  contains,
  formatInterfaceAddress,
  formatIp,
  formatMac,
  networkOf,
  parseInterfaceAddress,
  parseIp,
  parseIpv4,
  parseIpv6,
  parseMac,
} from "../../base/addresses.ts";
import { Random } from "../../base/random.ts";

const random = new Random(1, "test:addresses");

/** 128 bits, with runs of zeros made likely: those are what `::` is about. */
function anyIpv6(): bigint {
  let value = 0n;
  for (let i = 0; i < 8; i++) {
    const group = random.below(2) === 0 ? 0 : random.below(0x1_0000);
    value = (value << 16n) | BigInt(group);
  }
  return value;
}

describe("IPv4 addresses", () => {
  it("go to text and back", () => {
    for (let i = 0; i < 2000; i++) {
      const address = { family: 4 as const, value: BigInt(random.uint32()) };
      const text = formatIp(address);
      expect(isIPv4(text), text).to.equal(true);
      expect(parseIpv4(text)).to.deep.equal(address);
    }
  });

  it("are strict: what Node's own parser refuses is refused", () => {
    for (const text of [
      "",
      "1",
      "1.2.3",
      "1.2.3.4.5",
      "256.1.1.1",
      "01.1.1.1",
      "1.1.1.1 ",
      "1..1.1",
      "-1.1.1.1",
      "1.1.1.1e0",
      "0x1.1.1.1",
      "1.1.1.٣",
    ]) {
      expect(parseIpv4(text), text).to.equal(undefined);
      expect(isIPv4(text), text).to.equal(false);
    }
  });
});

describe("IPv6 addresses", () => {
  it("go to text and back", () => {
    for (let i = 0; i < 2000; i++) {
      const address = { family: 6 as const, value: anyIpv6() };
      const text = formatIp(address);
      expect(isIPv6(text), text).to.equal(true);
      expect(parseIpv6(text), text).to.deep.equal(address);
      expect(parseIpv6(text.toUpperCase()), text).to.deep.equal(address);
    }
  });

  it("come out as RFC 5952 wants them", () => {
    for (const [text, canonical] of [
      ["2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["::ffff:192.0.2.1", "::ffff:c000:201"],
      ["0:0:0:0:0:0:0:0", "::"],
      ["1:0:0:0:0:0:0:0", "1::"],
      ["::1", "::1"],
      ["1::8:7", "1::8:7"],
      ["64:ff9b::10.0.0.1", "64:ff9b::a00:1"],
    ] as const) {
      const address = parseIpv6(text);
      expect(address, text).to.not.equal(undefined);
      expect(address === undefined ? "" : formatIp(address)).to.equal(canonical);
    }
  });

  it("agree with Node's own parser on damaged text", () => {
    const alphabet = "0123456789abcdefABCDEF:::::...%g ";
    for (let i = 0; i < 20_000; i++) {
      let text = formatIp({ family: 6, value: anyIpv6() });
      for (let changes = random.below(3); changes >= 0; changes--) {
        const at = random.below(text.length + 1);
        const by = alphabet[random.below(alphabet.length)] ?? "";
        text =
          text.slice(0, at) + (random.below(3) === 0 ? "" : by) + text.slice(at + random.below(2));
      }
      // Node accepts a zone (`fe80::1%eth0`), which no topology needs.
      const right = isIPv6(text) && !text.includes("%");
      expect(parseIpv6(text) !== undefined, JSON.stringify(text)).to.equal(right);
    }
  });
});

describe("interface addresses", () => {
  it("go to text and back, and stand in their own subnet", () => {
    for (let i = 0; i < 1000; i++) {
      const family = i % 2 === 0 ? (4 as const) : (6 as const);
      const value = family === 4 ? BigInt(random.uint32()) : anyIpv6();
      const prefixLength = random.below((family === 4 ? 32 : 128) + 1);
      const own = { address: { family, value }, prefixLength };
      expect(parseInterfaceAddress(formatInterfaceAddress(own))).to.deep.equal(own);
      const network = networkOf(own);
      expect(contains(network, own.address)).to.equal(true);
      expect(networkOf(network)).to.deep.equal(network);
      const bits = family === 4 ? 32 : 128;
      if (prefixLength > 0) {
        const flipped = value ^ (1n << BigInt(bits - prefixLength));
        expect(contains(network, { family, value: flipped })).to.equal(false);
      }
    }
  });

  it("need a prefix length that fits", () => {
    for (const text of [
      "10.0.0.1",
      "10.0.0.1/",
      "10.0.0.1/33",
      "10.0.0.1/-1",
      "10.0.0.1/024",
      "::1/129",
      "/24",
      "10.0.0.1/24/24",
      "10.0.0.1/24 ",
    ]) {
      expect(parseInterfaceAddress(text), text).to.equal(undefined);
    }
  });

  it("are of one family", () => {
    const v4 = parseInterfaceAddress("10.0.0.0/8");
    const v6 = parseIp("::a00:1");
    expect(v4 !== undefined && v6 !== undefined && contains(v4, v6)).to.equal(false);
  });
});

describe("MAC addresses", () => {
  it("go to text and back", () => {
    for (let i = 0; i < 200; i++) {
      const bytes = Uint8Array.from({ length: 6 }, () => random.below(256));
      expect(parseMac(formatMac(bytes))).to.deep.equal(bytes);
    }
    for (const text of [
      "",
      "02:00:00:00:00",
      "02-00-00-00-00-01",
      "2:0:0:0:0:1",
      "02:00:00:00:00:0g",
    ]) {
      expect(parseMac(text), text).to.equal(undefined);
    }
  });
});
