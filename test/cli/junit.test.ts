import { expect } from "chai";
import { reportJunit } from "../../cli/render/junit.ts";
import { expectGolden, NOW, pair, report } from "./fakes.ts";

describe("the report as JUnit XML", () => {
  const value = report({
    verdict: "fail",
    reachability: [
      pair({ from: "alice", to: "bob" }),
      pair({
        from: "bob",
        to: "alice",
        reachable: false,
        ok: false,
        why: 'no "way" <back> & forth',
      }),
      pair({ from: "carol", to: "alice", expected: null }),
    ],
    checks: [
      { name: "web", on: "alice", ok: true, points: 1, of: 1, output: "hello\n", exit: 0 },
      {
        name: "dns",
        on: "bob",
        ok: false,
        points: 0,
        of: 1,
        output: "\u001b[31mno\u0000",
        exit: 1,
      },
    ],
  });
  const xml = reportJunit(value, new Date(NOW));

  it("has a case for each judged address and each check", () => {
    expectGolden("junit.xml", xml);
    expect(xml.match(/<testcase /g)).to.have.length(4);
    expect(xml).to.include('<testsuites name="two-lans" tests="4" failures="2"');
  });

  it("holds only characters that XML allows", () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
    expect(xml).not.to.match(/[\u0000-\u0008\u000b-\u001f]/);
  });

  it("opens and closes its elements in order", () => {
    const open: string[] = [];
    for (const [, close, name, , self] of xml.matchAll(
      /<(\/?)([a-z-]+)((?:\s+[a-z]+="[^"<]*")*)(\/?)>/g,
    )) {
      if (close === "/") expect(open.pop()).to.equal(name);
      else if (self !== "/") open.push(name as string);
    }
    expect(open).to.deep.equal([]);
  });
});
