import { expect } from "chai";
import { FRAME, INPUT_WINDOW, OUTPUT_WINDOW, STREAM } from "../../kernel/agent/protocol.ts";
import { ChannelInput, ChannelOutput } from "../../kernel/guest/channel-streams.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

interface Sent {
  readonly type: number;
  readonly stream: number;
  readonly bytes: number;
}

function recorder() {
  const sent: Sent[] = [];
  const send = (type: number, stream: number, payload: Uint8Array, done?: () => void) => {
    const credit = type === FRAME.CREDIT ? Buffer.from(payload).readUInt32LE() : payload.length;
    sent.push({ type, stream, bytes: credit });
    done?.();
  };
  const total = (type: number) =>
    sent.filter((s) => s.type === type).reduce((sum, { bytes }) => sum + bytes, 0);
  return { sent, send, total };
}

describe("channel streams", () => {
  it("input sends what was granted and no more, then the end of file", async () => {
    const { sent, send, total } = recorder();
    const input = new ChannelInput(send);
    let done = false;
    input.end(Buffer.alloc(INPUT_WINDOW + 1000), () => {
      done = true;
    });
    await turn();
    expect(sent).to.deep.equal([]);
    input.begin();
    await turn();
    expect(total(FRAME.DATA)).to.equal(INPUT_WINDOW);
    input.grant(400);
    await turn();
    expect(total(FRAME.DATA)).to.equal(INPUT_WINDOW + 400);
    expect(done).to.equal(false);
    input.grant(5000);
    await turn();
    expect(total(FRAME.DATA)).to.equal(INPUT_WINDOW + 1000);
    expect(sent.at(-1)).to.deep.equal({ type: FRAME.CLOSE, stream: STREAM.INPUT, bytes: 0 });
    expect(done).to.equal(true);
  });

  it("input drops what nobody reads any more", async () => {
    const { send } = recorder();
    const input = new ChannelInput(send);
    let done = false;
    input.end(Buffer.alloc(10), () => {
      done = true;
    });
    input.finish();
    await turn();
    expect(done).to.equal(true);
  });

  it("output grants as it is read, and not while nobody reads", async () => {
    const { send, total } = recorder();
    const output = new ChannelOutput(send, STREAM.OUTPUT);
    for (let i = 0; i < 16; i++) output.receive(Buffer.alloc(OUTPUT_WINDOW / 16));
    await turn();
    expect(total(FRAME.CREDIT)).to.equal(0);
    expect(output.read()).to.have.length(OUTPUT_WINDOW);
    expect(total(FRAME.CREDIT)).to.equal(OUTPUT_WINDOW);
    let seen = 0;
    output.on("data", (chunk: Buffer) => {
      seen += chunk.length;
    });
    await turn();
    for (let i = 0; i < 16; i++) output.receive(Buffer.alloc(OUTPUT_WINDOW / 16));
    await turn();
    expect(seen).to.equal(OUTPUT_WINDOW);
    expect(total(FRAME.CREDIT)).to.equal(2 * OUTPUT_WINDOW);
  });

  it("output refuses more than was granted", () => {
    const { send } = recorder();
    const output = new ChannelOutput(send, STREAM.OUTPUT);
    output.receive(Buffer.alloc(OUTPUT_WINDOW));
    expect(() => output.receive(Buffer.alloc(1))).to.throw("more than it was granted");
  });

  it("output that its reader gave up is closed at the other end", async () => {
    const { sent, send } = recorder();
    const output = new ChannelOutput(send, STREAM.ERROR);
    output.destroy();
    await turn();
    expect(sent).to.deep.equal([{ type: FRAME.CLOSE, stream: STREAM.ERROR, bytes: 0 }]);
    output.receive(Buffer.from("late"));
    output.finish();
  });
});
