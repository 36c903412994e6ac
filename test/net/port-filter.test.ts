import { expect } from "chai";
import { PortFilter } from "../../net/port-filter.ts";
import { TCP4_FRAME, UDP4_FRAME } from "./wire/golden.ts";

const TCP_FLAGS_AT = 14 + 20 + 13;
const UDP_SOURCE_AT = 14 + 20;

/** The frame with some of its bytes changed. */
function changed(frame: Uint8Array, at: number, ...bytes: number[]): Uint8Array {
  const copy = Uint8Array.from(frame);
  copy.set(bytes, at);
  return copy;
}

describe("a guest with ports only", () => {
  const filter = new PortFilter([53]);
  const admits = (frame: Uint8Array) => filter.admits(frame, 0, frame.length);

  it("answers connections and opens none", () => {
    expect(admits(changed(TCP4_FRAME, TCP_FLAGS_AT, 0x12))).to.equal(true);
    expect(admits(changed(TCP4_FRAME, TCP_FLAGS_AT, 0x18))).to.equal(true);
    expect(admits(changed(TCP4_FRAME, TCP_FLAGS_AT, 0x02))).to.equal(false);
    // with ECN bits (RFC 3168) it is a request all the same
    expect(admits(changed(TCP4_FRAME, TCP_FLAGS_AT, 0xc2))).to.equal(false);
  });

  it("sends datagrams from forwarded ports only", () => {
    expect(admits(changed(UDP4_FRAME, UDP_SOURCE_AT, 0, 53))).to.equal(true);
    expect(admits(changed(UDP4_FRAME, UDP_SOURCE_AT, 0, 54))).to.equal(false);
  });

  it("sends no fragments, no other protocol, no IPv6, nothing cut short; ARP it may", () => {
    expect(admits(changed(TCP4_FRAME, 14 + 6, 0x20, 0))).to.equal(false);
    expect(admits(changed(TCP4_FRAME, 14 + 9, 1))).to.equal(false);
    expect(admits(changed(TCP4_FRAME, 12, 0x86, 0xdd))).to.equal(false);
    expect(filter.admits(TCP4_FRAME, 0, 40)).to.equal(false);
    expect(admits(changed(TCP4_FRAME, 12, 0x08, 0x06))).to.equal(true);
  });
});
