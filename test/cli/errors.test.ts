import { expect } from "chai";
import { LabError, LabErrors } from "../../base/errors.ts";
import { errorJson, errorText, statusOf } from "../../cli/render/errors.ts";
import { makeStyle } from "../../cli/render/style.ts";
import { cli, fakeEngine } from "./fakes.ts";

const plain = { style: makeStyle({ color: false, ascii: false }), cwd: "/labs", debug: false };

const unknownSwitch = new LabError("UNKNOWN_NAME", "unknown switch `lna1`", {
  at: { file: "/labs/lab.yaml", line: 12, column: 13 },
  excerpt: "  - [alice, lna1]\n            ^^^^",
  hint: "did you mean `lan1`?",
});
const badDelay = new LabError("BAD_VALUE", "`5` is not a duration", {
  at: { file: "/elsewhere/lab.yaml", line: 3, column: 1 },
});

describe("errors as text", () => {
  it("show message, position, the line with a caret, and what to do", () => {
    expect(errorText(unknownSwitch, plain)).to.equal(
      [
        "error: unknown switch `lna1`",
        "  --> lab.yaml:12:13",
        "   |",
        "12 |   - [alice, lna1]",
        "   |             ^^^^",
        "   = did you mean `lan1`?",
        "",
      ].join("\n"),
    );
  });

  it("show every error of a file, and how many there are", () => {
    const text = errorText(new LabErrors([unknownSwitch, badDelay]), plain);
    expect(text).to.include("unknown switch").and.include("/elsewhere/lab.yaml:3:1");
    expect(text).to.match(/\n2 errors; nothing was started\n$/);
  });

  it("show no stack for a person's error, unless it is asked for", () => {
    expect(errorText(badDelay, plain)).not.to.include("    at ");
    expect(errorText(badDelay, { ...plain, debug: true })).to.include("    at ");
  });

  it("apologize for our own bugs and show their stack and causes", () => {
    const bug = new TypeError("x is undefined", { cause: new Error("because") });
    const text = errorText(bug, plain);
    expect(text)
      .to.include("sorry")
      .and.include("    at ")
      .and.include("caused by: Error: because");
    expect(statusOf(bug)).to.equal(4);
  });
});

describe("errors as JSON", () => {
  it("have the first error's fields, and every error in `errors`", () => {
    const { error } = JSON.parse(errorJson(new LabErrors([unknownSwitch, badDelay])));
    expect(error).to.include({
      code: "UNKNOWN_NAME",
      message: "unknown switch `lna1`",
      file: "/labs/lab.yaml",
      line: 12,
      column: 13,
      hint: "did you mean `lan1`?",
    });
    expect(error.errors.map((one: { code: string }) => one.code)).to.deep.equal([
      "UNKNOWN_NAME",
      "BAD_VALUE",
    ]);
    expect(error.errors[1].hint).to.equal(null);
  });

  it("are the one document on standard output, for wrong words too", async () => {
    for (const argv of [
      ["up", "--format", "json"],
      ["nonsense", "--format=json"],
    ]) {
      const { status, stdout, stderr } = await cli(argv);
      expect(status).to.equal(2);
      expect(JSON.parse(stdout).error.code).to.equal("USAGE");
      expect(stderr).to.equal("");
    }
  });
});

describe("exit statuses", () => {
  for (const [code, expected] of [
    ["ADDRESS_CLASH", 2],
    ["NO_KERNEL", 3],
    ["GUEST_BOOT", 4],
    ["INTERRUPTED", 130],
  ] as const) {
    it(`is ${expected} for ${code}`, async () => {
      const planFile = async () => {
        throw new LabError(code, "so it is");
      };
      const { status, stdout, stderr } = await cli(["check", "x.yaml"], fakeEngine({ planFile }));
      expect({ status, stdout }).to.deep.equal({ status: expected, stdout: "" });
      expect(stderr).to.include("error: so it is");
    });
  }

  it("is 130 for whatever an interruption broke", async () => {
    const abort = new AbortController();
    const planFile = async () => {
      abort.abort();
      throw new Error("the operation was aborted");
    };
    const engine = fakeEngine({ planFile });
    const { status } = await cli(["check", "x.yaml"], engine, { signal: abort.signal });
    expect(status).to.equal(130);
  });
});
