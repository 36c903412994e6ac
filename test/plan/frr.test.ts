import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { birdService } from "../../lab/plan/bird.ts";
import { frrDaemons, frrFiles, frrService } from "../../lab/plan/frr.ts";

const text = (configuration: string, path: string) =>
  Buffer.from(frrFiles(configuration).find((file) => file.path === path)?.content ?? []).toString(
    "utf8",
  );

describe("FRR's configuration", () => {
  const needs: readonly (readonly [string, readonly string[]])[] = [
    ["", []],
    ["hostname ospfd\n! router ospf\n", []],
    ["router ospf\n network 10.0.0.0/8 area 0\n", ["ospfd"]],
    ["interface eth0\n ip ospf area 0\n", ["ospfd"]],
    ["router ospf6\n", ["ospf6d"]],
    ["interface eth0\n ipv6 ospf6 area 0\n", ["ospf6d"]],
    ["ip route 10.0.0.0/8 blackhole\nrouter bgp 65000\n", ["staticd", "bgpd"]],
    ["vrf red\n ip route 10.0.0.0/8 10.1.1.1\n", ["staticd"]],
    ["router rip\nrouter ripng\n", ["ripd", "ripngd"]],
    ["router isis X\nmpls ldp\n", ["isisd", "ldpd"]],
    ["router bgp 1\n neighbor 1.1.1.1 bfd\n", ["bgpd", "bfdd"]],
    ["interface eth0\n ip ospf bfd\n", ["ospfd", "bfdd"]],
    ["interface eth0\n vrrp 5 version 3\n", ["vrrpd"]],
    ["ip prefix-list x permit any\nroute-map x permit 10\n", []],
  ];
  for (const [configuration, daemons] of needs) {
    it(`needs ${daemons.join(", ") || "zebra alone"}: ${JSON.stringify(configuration)}`, () => {
      expect(frrDaemons(configuration)).to.deep.equal(daemons);
    });
  }

  it("is written with the file that says which daemons run", () => {
    const configuration = "frr defaults datacenter\nrouter bgp 65000";
    expect(text(configuration, "/etc/frr/frr.conf")).to.equal(`${configuration}\n`);
    expect(text(configuration, "/etc/frr/daemons")).to.match(/^bgpd=yes$/m);
    expect(text(configuration, "/etc/frr/daemons")).to.match(/^frr_profile="datacenter"$/m);
    expect(frrService(configuration).start).to.include("-F datacenter");
  });

  it("comes with scripts that a shell can read", () => {
    for (const { start } of [frrService("router ospf\n"), frrService(""), birdService]) {
      execFileSync("sh", ["-n"], { input: start });
    }
  });
});
