import { expect } from "chai";
import { parseIp, parseMac } from "../../../base/addresses.ts";
import { Recogniser } from "../../../net/trace/recogniser.ts";
import { Tracer } from "../../../net/trace/tracer.ts";
import { ARP_REPLY, ARP_REQUEST, emitArp } from "../../../net/wire/arp.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, emitEthernet } from "../../../net/wire/ethernet.ts";
import { emitIcmp } from "../../../net/wire/icmp.ts";
import {
  emitIpv4Header,
  PROTOCOL_ICMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../../../net/wire/ipv4.ts";
import { emitTcp, TCP_ACK, TCP_RST, TCP_SYN } from "../../../net/wire/tcp.ts";
import { emitUdp } from "../../../net/wire/udp.ts";

const COOKIE = "0102030405060708";
const MARK = Buffer.from(`${COOKIE}03`, "hex"); // and the probe's number
const A = parseMac("02:00:00:00:00:0a")!;
const B = parseMac("02:00:00:00:00:0b")!;
const ip = (text: string) => parseIp(text)!;

function packet(
  from: string,
  to: string,
  protocol: number,
  emit: (b: Uint8Array, at: number) => number,
): Uint8Array {
  const b = new Uint8Array(512);
  const network = emitEthernet({ to: B, from: A, type: ETHERTYPE_IPV4 }, b);
  const end = emit(b, network + 20);
  emitIpv4Header(
    {
      service: 0,
      totalLength: end - network,
      id: 1,
      dontFragment: false,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: 63,
      protocol,
      from: ip(from),
      to: ip(to),
      options: new Uint8Array(0),
    },
    b,
    network,
  );
  return b.subarray(0, end);
}

const echo = (type: number, data: Uint8Array, from = "10.0.1.10", to = "10.0.2.10") =>
  packet(from, to, PROTOCOL_ICMP, (b, at) =>
    emitIcmp({ type, code: 0, rest: 0x1234_0003, data }, b, at),
  );

const segment = (
  fields: { flags: number; sequence?: number; acknowledgement?: number },
  ports: [number, number],
  from = "10.0.1.10",
  to = "10.0.2.10",
) =>
  packet(from, to, PROTOCOL_TCP, (b, at) =>
    emitTcp(
      {
        fromPort: ports[0],
        toPort: ports[1],
        sequence: 0,
        acknowledgement: 0,
        window: 1,
        urgent: 0,
        options: new Uint8Array(0),
        data: new Uint8Array(0),
        ...fields,
      },
      b,
      at,
      0,
    ),
  );

const datagram = (data: Uint8Array, ports: [number, number], from: string, to: string) =>
  packet(from, to, PROTOCOL_UDP, (b, at) =>
    emitUdp({ fromPort: ports[0], toPort: ports[1], data }, b, at, 0),
  );

const look = (recogniser: Recogniser, frame: Uint8Array) => recogniser.look(frame, 0, frame.length);

describe("the recogniser of a trace", () => {
  it("knows echo requests and replies by the cookie, and passes others by", () => {
    const recogniser = new Recogniser({ trace: "t", cookie: COOKIE });
    expect(look(recogniser, echo(8, MARK))).to.deep.equal({
      kind: "request",
      probe: 3,
      fromMac: "02:00:00:00:00:0a",
      toMac: "02:00:00:00:00:0b",
      from: "10.0.1.10",
      to: "10.0.2.10",
      ttl: 63,
      bytes: 14 + 20 + 8 + 9,
    });
    expect(look(recogniser, echo(0, MARK))).to.include({ kind: "answer", probe: 3 });
    const other = Buffer.from(MARK);
    other[7] = 9;
    expect(look(recogniser, echo(8, other))).to.equal(undefined);
    expect(look(recogniser, echo(8, MARK.subarray(0, 8)))).to.equal(undefined);
  });

  it("knows an ICMP error by what it quotes, even where the quote stops before the cookie", () => {
    const recogniser = new Recogniser({ trace: "t", cookie: COOKIE });
    const request = echo(8, MARK);
    const refusal = (quote: Uint8Array) =>
      packet("10.0.1.1", "10.0.1.10", PROTOCOL_ICMP, (b, at) =>
        emitIcmp({ type: 3, code: 1, rest: 0, data: quote }, b, at),
      );
    const short = refusal(request.subarray(14, 14 + 28));
    expect(look(recogniser, short)).to.equal(undefined);
    look(recogniser, request);
    for (const frame of [short, refusal(request.subarray(14))]) {
      expect(look(recogniser, frame)).to.deep.include({
        kind: "error",
        probe: 3,
        from: "10.0.1.1",
        icmp: { type: 3, code: 1, about: "10.0.2.10" },
      });
    }
    // a prober in another guest, with the same identifier and number
    const other = echo(8, Buffer.alloc(56), "10.0.3.10");
    expect(look(recogniser, refusal(other.subarray(14)))).to.equal(undefined);
  });

  it("follows a TCP connection through a NAT by its sequence number", () => {
    const tcp = { to: "10.0.2.10", port: 80, fromPort: 40_000 };
    const recogniser = new Recogniser({ trace: "t", cookie: COOKIE, tcp });
    const hidden = segment({ flags: TCP_SYN, sequence: 77 }, [5000, 8080], "10.9.9.9", "10.0.2.11");
    expect(look(recogniser, hidden), "before it was seen").to.equal(undefined);
    const first = segment({ flags: TCP_SYN, sequence: 77 }, [40_002, 80]);
    expect(look(recogniser, first)).to.include({ kind: "request", probe: 2 });
    expect(look(recogniser, hidden)).to.include({ kind: "request", probe: 2 });
    const reset = { flags: TCP_RST | TCP_ACK, acknowledgement: 78 };
    expect(look(recogniser, segment(reset, [8080, 5000]))).to.include({ kind: "answer", probe: 2 });
    const stranger = segment({ flags: TCP_SYN, sequence: 78 }, [40_100, 80]);
    expect(look(recogniser, stranger)).to.equal(undefined);
  });

  it("takes a datagram back to the probe's port for its answer, from whatever address", () => {
    const recogniser = new Recogniser({ trace: "t", cookie: COOKIE });
    const back = datagram(Buffer.from("pong"), [7, 40_003], "10.0.3.10", "10.0.1.10");
    expect(look(recogniser, back)).to.equal(undefined);
    look(recogniser, datagram(MARK, [40_003, 7], "10.0.1.10", "10.0.2.10"));
    expect(look(recogniser, back)).to.include({ kind: "answer", probe: 3, from: "10.0.3.10" });
  });

  it("tells of ARP's questions and answers", () => {
    const recogniser = new Recogniser({ trace: "t", cookie: COOKIE });
    const arp = (operation: number) => {
      const b = new Uint8Array(64);
      const at = emitEthernet({ to: B, from: A, type: ETHERTYPE_ARP }, b);
      const [senderIp, targetIp] = [ip("10.0.0.1"), ip("10.0.0.2")];
      emitArp({ operation, senderMac: A, senderIp, targetMac: B, targetIp }, b, at);
      return look(recogniser, b);
    };
    expect(arp(ARP_REQUEST)).to.include({ kind: "ask", from: "10.0.0.1", to: "10.0.0.2" });
    expect(arp(ARP_REPLY)).to.include({ kind: "tell", to: "10.0.0.1", mac: "02:00:00:00:00:0a" });
  });

  it("survives every cut of every frame", () => {
    const tcp = { to: "10.0.2.10", port: 80, fromPort: 40_000 };
    const recogniser = new Recogniser({ trace: "t", cookie: COOKIE, tcp });
    const frames = [
      echo(8, MARK),
      echo(3, echo(8, MARK).subarray(14)),
      segment({ flags: TCP_SYN }, [40_001, 80]),
      datagram(MARK, [1, 2], "10.0.0.1", "10.0.0.2"),
    ];
    for (const frame of frames) {
      for (let length = 0; length < frame.length; length++) {
        expect(() => recogniser.look(frame.slice(0, length), 0, length)).not.to.throw();
      }
    }
  });
});

describe("a trace", () => {
  const frame = look(new Recogniser({ trace: "t", cookie: COOKIE }), echo(8, MARK))!;

  it("ends a crossing where the same frame comes out, once", () => {
    const tracer = new Tracer({ trace: "t", cookie: COOKIE });
    const crossing = tracer.enter("core", 0, 5, frame)!;
    expect(tracer.find("core", 1, frame)).to.equal(undefined);
    expect(tracer.find("core", 0, { ...frame, ttl: 1 })).to.equal(undefined);
    expect(tracer.find("core", 0, { ...frame })).to.equal(crossing);
    crossing.leftNs = 7;
    expect(tracer.find("core", 0, frame)).to.equal(undefined);
  });

  it("forgets what did not enter after all, with what came of it", () => {
    const tracer = new Tracer({ trace: "t", cookie: COOKIE });
    tracer.enter("left", 0, 1, frame);
    const second = tracer.enter("core", 0, 2, frame)!;
    tracer.enter("right", 0, 3, frame);
    tracer.withdraw(second);
    expect(tracer.result().crossings.map(({ link }) => link)).to.deep.equal(["left"]);
  });

  it("keeps room for probes where questions flood", () => {
    const tracer = new Tracer({ trace: "t", cookie: COOKIE });
    for (let i = 0; i < 5000; i++) tracer.enter("core", 0, i, { ...frame, kind: "ask" });
    expect(tracer.enter("core", 0, 5000, frame)).not.to.equal(undefined);
    expect(tracer.result().missed).to.equal(5000 - 4096);
  });
});
