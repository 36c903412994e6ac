import { expect } from "chai";
import { LeaveKeys, ScreenWatch } from "../../cli/attach.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const LEAVE = "\x1d";

describe("leaving a guest's terminal", () => {
  it("takes Ctrl-] three times within a second", () => {
    const keys = new LeaveKeys();
    expect(keys.take(bytes(LEAVE), 0).leave).to.equal(false);
    expect(keys.take(bytes(LEAVE), 300).leave).to.equal(false);
    expect(keys.take(bytes(LEAVE), 600).leave).to.equal(true);
  });

  it("takes them in one read, and passes what came before", () => {
    const { pass, leave } = new LeaveKeys().take(bytes(`ls${LEAVE}${LEAVE}${LEAVE}`), 0);
    expect(leave).to.equal(true);
    expect(Buffer.from(pass).toString("latin1")).to.equal(`ls${LEAVE}${LEAVE}`);
  });

  it("stays where they are slow, or another key is between", () => {
    const slow = new LeaveKeys();
    for (const at of [0, 900, 1800, 2700])
      expect(slow.take(bytes(LEAVE), at).leave).to.equal(false);
    const between = new LeaveKeys();
    expect(between.take(bytes(`${LEAVE}${LEAVE}a${LEAVE}`), 0).leave).to.equal(false);
  });

  it("passes every key, Ctrl-C and Ctrl-] too", () => {
    const keys = bytes(`\x03\x04${LEAVE}`);
    expect(new LeaveKeys().take(keys, 0).pass).to.deep.equal(keys);
  });
});

describe("the terminal after a program that was cut off", () => {
  it("is put back: other screen, mouse, hidden cursor", () => {
    const screen = new ScreenWatch();
    screen.see(bytes("\x1b[?1049h\x1b[?25l\x1b[?1000;1006h text"));
    expect(screen.undo()).to.equal("\x1b[?1000l\x1b[?1006l\x1b[?1049l\x1b[?25h\x1b[0m");
  });

  it("is left alone where the program did so itself", () => {
    const screen = new ScreenWatch();
    screen.see(bytes("\x1b[?1049h\x1b[?25l"));
    screen.see(bytes("\x1b[?25h\x1b[?1049l"));
    expect(screen.undo()).to.equal("");
  });
});
