import { expect } from "chai";
import { asksForSingles, fpingRequest, parseFping } from "../../lab/judge/fping.ts";

const result = (stderr: string, code = 1) => ({ stdout: "", stderr, code });

describe("fping", () => {
  it("is asked for all targets at once, and gets many of them over its input", () => {
    expect(fpingRequest(["10.0.0.1", "fd00::1"], 300)).to.deep.equal({
      command: ["fping", "-C", "1", "-i", "1", "-t", "300", "10.0.0.1", "fd00::1"],
      input: undefined,
    });
    const many = Array.from({ length: 500 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const { command, input } = fpingRequest(many, 300);
    expect(command.slice(-2)).to.deep.equal(["-f", "-"]);
    expect(Buffer.from(input as Uint8Array).toString()).to.equal(`${many.join("\n")}\n`);
  });

  it("is read: answers, silence, refusals, errors of the guest's own kernel", () => {
    const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::9", "10.9.9.9"];
    const probes = parseFping(
      addresses,
      result(
        [
          "ICMP Host Unreachable from 10.0.0.254 for ICMP Echo sent to 10.0.0.3",
          "10.9.9.9: error while sending ping: Network is unreachable",
          "",
          "10.0.0.1 : 0.42",
          "10.0.0.2 : -",
          "10.0.0.3 : -",
          "fd00::9  : 1.05",
          "10.9.9.9 : -",
        ].join("\n"),
      ),
    );
    expect(Object.fromEntries(probes)).to.deep.equal({
      "10.0.0.1": { rttMs: 0.42, refusal: null },
      "10.0.0.2": { rttMs: null, refusal: null },
      "10.0.0.3": {
        rttMs: null,
        refusal: { text: "ICMP Host Unreachable", from: "10.0.0.254" },
      },
      "fd00::9": { rttMs: 1.05, refusal: null },
      "10.9.9.9": { rttMs: null, refusal: { text: "Network is unreachable", from: null } },
    });
  });

  it("takes no answer from another address for one, in old versions by asking each alone", () => {
    const old = {
      stdout: "10.0.0.1 : [0], 64 bytes, 1.27 ms (1.27 avg, 0% loss)\n",
      stderr: " [<- 10.0.0.9]\n10.0.0.1 : 1.27\n",
      code: 0,
    };
    const wrong = { rttMs: null, refusal: null, otherAddress: "10.0.0.9" };
    expect(parseFping(["10.0.0.1"], old).get("10.0.0.1")).to.deep.equal(wrong);
    expect(asksForSingles(["10.0.0.1"], old)).to.equal(false);
    expect(asksForSingles(["10.0.0.1", "10.0.0.2"], old)).to.equal(true);
    expect(asksForSingles(["10.0.0.1", "10.0.0.2"], result("10.0.0.1 : 1.27\n"))).to.equal(false);
    const two = {
      stdout: "10.0.0.1 : [0], 64 bytes, 1.27 ms (1.27 avg, 0% loss) [<- 10.0.0.9]\n",
      stderr: "10.0.0.1 : 1.27\n10.0.0.2 : 0.3\n",
      code: 0,
    };
    const probes = parseFping(["10.0.0.1", "10.0.0.2"], two);
    expect(probes.get("10.0.0.1")).to.deep.equal(wrong);
    expect(probes.get("10.0.0.2")).to.deep.equal({ rttMs: 0.3, refusal: null });
  });

  it("that could not do its work says so for every target; other words change nothing", () => {
    const probes = parseFping(["10.0.0.1"], result("fping: No such file or directory\n", 127));
    expect(probes.get("10.0.0.1")).to.deep.equal({
      rttMs: null,
      refusal: { text: "fping: No such file or directory", from: null },
    });
    const other = parseFping(["10.0.0.1"], result("10.0.0.7 : 0.1\nnonsense : x\n\u0000"));
    expect([...other.keys()]).to.deep.equal(["10.0.0.1"]);
  });
});
