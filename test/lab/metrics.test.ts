import { expect } from "chai";
import type { LabStatus } from "../../lab/api.ts";
import { metricsText } from "../../lab/metrics.ts";

const NOTHING = { frames: 0, bytes: 0, drops: {} };

const STATUS: LabStatus = {
  lab: "two",
  file: "/two.yaml",
  since: "2026-11-26T00:00:00.000Z",
  supervisorPid: 1,
  fabricPid: 2,
  guests: [
    {
      name: "a",
      state: "ready",
      pid: 3,
      image: "base",
      kernel: "7.2.7",
      memoryBytes: 67_108_864,
      residentBytes: 1000,
      cpuSeconds: null,
      bootMs: 20,
      interfaces: [],
    },
  ],
  counters: {
    nics: [
      {
        nic: "a:eth0",
        connected: true,
        fromGuest: { frames: 3, bytes: 200, drops: { malformed: 1 } },
        toGuest: NOTHING,
        ringErrors: 0,
        lastRingError: null,
      },
    ],
    links: [
      {
        link: 'the "core"',
        up: false,
        ends: [
          { kind: "nic", nic: "a:eth0" },
          { kind: "switch", switch: "lan" },
        ],
        directions: [{ frames: 2, bytes: 128, drops: { loss: 4, "queue-full": 5 } }, NOTHING],
      },
    ],
    switches: [
      { switch: "lan", flooded: 7, ports: [{ link: "x", drops: { vlan: 8 } }], addresses: [] },
    ],
  },
};

describe("metrics", () => {
  const lines = metricsText(STATUS).split("\n");

  it("tells guests, links, NICs and switches, each with its labels", () => {
    expect(lines).to.include.members([
      'uml_lab_guest_ready{lab="two",guest="a",state="ready"} 1',
      'uml_lab_guest_resident_bytes{lab="two",guest="a"} 1000',
      'uml_lab_link_up{lab="two",link="the \\"core\\""} 0',
      'uml_lab_link_frames_total{lab="two",link="the \\"core\\"",from="a:eth0"} 2',
      'uml_lab_link_dropped_frames_total{lab="two",link="the \\"core\\"",from="a:eth0",reason="queue-full"} 5',
      'uml_lab_nic_bytes_total{lab="two",nic="a:eth0",direction="from_guest"} 200',
      'uml_lab_switch_dropped_frames_total{lab="two",switch="lan",link="x",reason="vlan"} 8',
    ]);
    // what is not known is not told
    expect(lines.some((line) => line.includes("cpu_seconds"))).to.equal(false);
  });

  it("has the format: families once, each with help and type before its samples", () => {
    const seen = new Set<string>();
    let family = "";
    for (const line of lines.slice(0, -1)) {
      const help = /^# HELP (uml_lab_[a-z_]+) \S.*$/.exec(line);
      if (help !== null) {
        family = help[1] as string;
        expect(seen.has(family)).to.equal(false);
        seen.add(family);
      } else if (line.startsWith("#")) {
        expect(line).to.match(new RegExp(`^# TYPE ${family} (counter|gauge)$`));
        expect(line.endsWith("counter")).to.equal(family.endsWith("_total"));
      } else
        expect(line).to.match(
          new RegExp(`^${family}\\{([a-z_]+="([^"\\\\]|\\\\.)*",?)+\\} [0-9.e+]+$`),
        );
    }
    expect(lines.at(-1)).to.equal("");
  });
});
