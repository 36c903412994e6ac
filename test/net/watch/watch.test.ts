import { expect } from "chai";
import { Watch } from "../../../net/watch/watch.ts";

/** An Ethernet frame with an EtherType, and nothing that a filter looks at behind it. */
function frame(etherType: number, length = 60): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[12] = etherType >> 8;
  bytes[13] = etherType & 0xff;
  return bytes;
}

const ARP = frame(0x0806);
const OTHER = frame(0x88cc, 100);

describe("a watch", () => {
  const make = (values: { filter?: string; gapMs?: number; sliceMs?: number } = {}) => {
    const spec = { watch: "w", of: { kind: "nics" as const }, filter: "", ...values };
    const watch = new Watch(spec, 1e9);
    const a = watch.place("a:eth0", "core", "out");
    const b = watch.place("b:eth0", "core", "in");
    const take = (place: number, bytes: Uint8Array, ms: number) =>
      watch.record(place, bytes, 0, bytes.length, ms * 1e6);
    return { a, b, take, counters: () => watch.counters(5000, 2e9) };
  };

  it("counts frames and bytes of each place, and when they came", () => {
    const { a, b, take, counters } = make();
    take(b, OTHER, 1200);
    take(a, ARP, 1100);
    take(b, ARP, 1300);
    const { startedMs, nowMs, places } = counters();
    expect([startedMs, nowMs]).to.deep.equal([6000, 7000]);
    expect(places.map(({ frames, bytes, order }) => [frames, bytes, order])).to.deep.equal([
      [1, 60, 2],
      [2, 160, 1],
    ]);
    expect(places[1]).to.include({ firstMs: 6200, lastMs: 6300, end: "b:eth0", way: "in" });
  });

  it("counts only what its filter lets through", () => {
    const { a, take, counters } = make({ filter: "arp" });
    take(a, OTHER, 1100);
    expect(counters().places[0]).to.include({ frames: 0, firstMs: null, order: 0 });
    take(a, ARP, 1100);
    expect(counters().places[0]?.frames).to.equal(1);
  });

  it("tells silences that were longer than asked, and keeps the longest of many", () => {
    const { a, take, counters } = make({ gapMs: 50 });
    for (const ms of [1000, 1010, 1200, 1250, 1301]) take(a, ARP, ms);
    expect(counters().places[0]?.gaps).to.deep.equal([
      { fromMs: 6010, toMs: 6200 },
      { fromMs: 6250, toMs: 6301 },
    ]);
    for (let i = 0; i < 100; i++) take(a, ARP, 2000 + 60 * i);
    const gaps = counters().places[0]?.gaps ?? [];
    expect(gaps).to.have.lengthOf(64);
    expect(gaps.some(({ fromMs, toMs }) => toMs - fromMs > 600)).to.equal(true);
  });

  it("counts by slices of time", () => {
    const { a, take, counters } = make({ sliceMs: 100 });
    for (const ms of [1000, 1050, 1310]) take(a, ARP, ms);
    expect(counters().places[0]?.slices).to.deep.equal([2, 0, 0, 1]);
  });
});
