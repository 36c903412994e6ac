import { expect } from "chai";
import { featuresOf } from "../../kernel/kernel-manifest.ts";
import {
  findProgram,
  haveApt,
  inheritedSettings,
  parseNeedToGet,
  parseStatusPercent,
} from "../../kernel/packages/apt.ts";
import { packageInfoOf } from "../../kernel/packages/unpack.ts";

describe("what apt says", () => {
  it("how much there is to fetch", () => {
    expect(parseNeedToGet("Need to get 41.4 MB of archives.")).to.equal(41_400_000);
    expect(parseNeedToGet("Need to get 2,032 kB/2,100 kB of archives.")).to.equal(2_032_000);
    expect(parseNeedToGet("Need to get 0 B of archives.")).to.equal(0);
    expect(parseNeedToGet("Get:1 http://x y 12 kB")).to.equal(undefined);
  });

  it("how far it is", () => {
    expect(parseStatusPercent("dlstatus:3:57.2449:Retrieving file 3 of 9")).to.equal(57.2449);
    expect(parseStatusPercent("pmstatus:bash:10.0:Unpacking")).to.equal(undefined);
  });

  it("how the machine reaches its mirrors, and nothing that lowers its guard", () => {
    const dump = `APT "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CaInfo "/etc/ssl/x.pem";
Acquire::Check-Valid-Until "false";
Acquire::AllowInsecureRepositories "1";
Acquire::Retries "5";
Acquire::IndexTargets::deb::Packages::MetaKey "x";
APT::Update::Post-Invoke:: "rm -f /var/cache/apt/*.bin";
APT::Get::AllowUnauthenticated "1";`;
    expect(inheritedSettings(dump)).to.deep.equal([
      'Acquire::http::Proxy "http://proxy.example:3128";',
      'Acquire::https::CaInfo "/etc/ssl/x.pem";',
      'Acquire::Check-Valid-Until "false";',
      'Acquire::Retries "5";',
    ]);
  });

  it("which version a file is of", () => {
    expect(packageInfoOf("/x/busybox-static_1%3a1.35.0-4+b1_amd64.deb")).to.deep.equal({
      name: "busybox-static",
      version: "1:1.35.0-4+b1",
    });
  });
});

describe("programs", () => {
  it("are looked up on the PATH", () => {
    expect(findProgram("sh", { PATH: "/nowhere:/bin" })).to.equal("/bin/sh");
    expect(findProgram("no-such-program", { PATH: "/bin" })).to.equal(undefined);
    expect(haveApt({ PATH: "/nowhere" })).to.equal(false);
  });
});

describe("a kernel's help", () => {
  it("tells what it can do", () => {
    expect(featuresOf("con[0-9]*=<x>\nseccomp=<on/auto/off>\n    Configure\n")).to.deep.equal({
      seccomp: true,
      timeTravel: false,
    });
    expect(featuresOf("time-travel\n    text about seccomp=on\n")).to.deep.equal({
      seccomp: false,
      timeTravel: true,
    });
  });
});
