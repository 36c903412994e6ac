import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { eventsFor, TRACE_KINDS } from "../../kernel/guest/trace/events.ts";
import { fieldsOf, parseTraceLine } from "../../kernel/guest/trace/line.ts";
import { PacketStory, type TraceEvent } from "../../kernel/guest/trace/packets.ts";
import { traceScript } from "../../kernel/guest/trace/script.ts";

/** From Linux 7.3.4: r1 and bob of two-lans, pings, a TTL of 1, no route, a connection, a closed port. */
const RECORDED = readFileSync(join(packageRoot, "test/kernel/trace/recorded.txt"), "utf8");

function told(text: string): TraceEvent[] {
  const story = new PacketStory();
  return text.split("\n").flatMap((line) => {
    const parsed = parseTraceLine(line);
    const event = parsed && story.tell(parsed);
    return event === undefined ? [] : [event];
  });
}

describe("a line of trace_pipe", () => {
  it("is a time, a task, an event and its text", () => {
    const line = `          <idle>-0       [000] ..s1.    74.675097: net_dev_queue: dev=eth1 len=98`;
    expect(parseTraceLine(line)).to.deep.equal({
      timeUs: 74675097,
      task: "<idle>",
      name: "net_dev_queue",
      text: "dev=eth1 len=98",
    });
    expect(parseTraceLine(line.replace(" ..s1.", ""))).to.deep.equal(parseTraceLine(line));
  });

  it("tells of events that were lost, and is nothing else", () => {
    expect(parseTraceLine("CPU:0 [LOST 12 EVENTS]")).to.deep.equal({ lost: 12 });
    for (const line of ["", "uml-lab: ready", "# tracer: nop", "x-1 [000] 1.2: a: b"]) {
      expect(parseTraceLine(line)).to.equal(undefined);
    }
  });

  it("moves no cursor", () => {
    const line = `          \x1b[31mx-1       [000]    74.675097: net_dev_queue: dev=\x1b]0;x`;
    const parsed = parseTraceLine(line);
    expect(JSON.stringify(parsed)).not.to.include("\\u001b");
  });

  it("has fields", () => {
    expect([...fieldsOf("dev=eth0 type=3, code=1 From x")]).to.deep.equal([
      ["dev", "eth0"],
      ["type", "3"],
      ["code", "1"],
    ]);
  });
});

describe("the events of a kernel", () => {
  const events = told(RECORDED);

  it("follow a packet through a router under one number", () => {
    const route = events.find(({ what, out }) => what === "routed" && out === "eth1");
    expect(route).to.include({ from: "10.0.1.10", to: "10.0.2.10", interface: "eth0" });
    const life = events.filter(({ packet }) => packet === route?.packet);
    expect(life.map((event) => [event.what, event.interface])).to.deep.equal([
      ["received", "eth0"],
      ["routed", "eth0"],
      ["queued", "eth1"],
      ["sent", "eth1"],
    ]);
  });

  it("tell drops with reason and function, and ICMP errors of the same packet", () => {
    const drops = events.filter(({ kind }) => kind === "drop");
    const of = (reason: string) => drops.find((drop) => drop.reason === reason);
    expect(of("IP_INHDR")).to.include({ function: "ip_forward", protocol: "IPv4" });
    expect(of("IP_INNOROUTES")).to.include({ function: "ip_error", to: "192.168.7.7" });
    expect(of("NO_SOCKET")).to.include({ function: "tcp_v4_rcv" });
    const expired = events.find(({ type }) => type === 11);
    expect(expired).to.include({ from: "10.0.1.10", to: "10.0.2.10", code: 0 });
    expect(expired?.packet).to.equal(of("IP_INHDR")?.packet);
  });

  it("tell where no table has a route, and nothing of addresses that are looked up", () => {
    const none = events.filter(({ what }) => what === "no route");
    expect(none[0]).to.include({ to: "192.168.7.7", table: 254, interface: "eth0" });
    const looked = events.filter(({ table, protocol }) => table === 255 && protocol !== "ICMPv6");
    expect(looked).to.deep.equal([]);
  });

  it("tell TCP's states, and who read", () => {
    const states = events.filter(({ what }) => what === "state");
    expect(states.map(({ before, after }) => `${before} ${after}`)).to.include.members([
      "LISTEN SYN_RECV",
      "SYN_RECV ESTABLISHED",
    ]);
    expect(states.some(({ from }) => from === "10.0.2.10:80")).to.equal(true);
    expect(events.find(({ what }) => what === "read")).to.include({ program: "nc", bytes: 6 });
  });

  it("know nothing of packets after some were lost", () => {
    const [first] = told(RECORDED);
    const story = told(`${RECORDED}\nCPU:0 [LOST 3 EVENTS]\n${RECORDED}`);
    const lost = story.findIndex(({ what }) => what === "lost");
    expect(story[lost]).to.include({ kind: "lost", count: 3, packet: null });
    expect(story[lost + 1]?.what).to.equal(first?.what);
    expect(story[lost + 1]?.packet).to.be.greaterThan(first?.packet as number);
  });
});

describe("the events that are turned on", () => {
  it("are those that tell what is asked for, each once", () => {
    const all = eventsFor(TRACE_KINDS).map(({ event }) => event);
    expect(new Set(all).size).to.equal(all.length);
    expect(eventsFor(["drop"]).map(({ event }) => event)).to.deep.equal(["skb/kfree_skb"]);
    expect(traceScript(eventsFor(["deliver"]))).to.include(
      "on sock/sk_data_ready 'family == 2 || family == 10'\n",
    );
  });
});
