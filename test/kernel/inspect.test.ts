import { expect } from "chai";
import { devicesOf } from "../../kernel/guest/inspect/devices.ts";
import { parseGuestView } from "../../kernel/guest/inspect/guest-view.ts";
import { parseMaps } from "../../kernel/guest/inspect/host-view.ts";
import { matchProcesses } from "../../kernel/guest/inspect/match.ts";
import { emptySetup } from "../e2e/guests.ts";

/** As a guest printed it: a shell with a child, a kernel thread, and the script's own processes. */
const TOLD = `self 40
MemTotal:          51768 kB
MemFree:           31684 kB
1 (init) S 0 1 1 0 -1 4194560 10 0
2 (kthreadd) S 0 0 0 0 -1 2129984 0 0
30 (a) b\x1b[2J) R 1 30 30 0 -1 4194304 0 0
40 (sh) S 1 40 40 0 -1 4194304 0 0
41 (cat) R 40 40 40 0 -1 4194304 0 0
==> /proc/1/cmdline <==
/init\0
==> /proc/2/cmdline <==

==> /proc/30/cmdline <==
sleep\0\x071000\0
==> /proc/40/cmdline <==
sh\0-c\0
stack /proc/1/maps:7f7fffa6f000-7f7fffa90000
stack /proc/30/maps:7f7fff000000-7f7fff021000
${" 0000000000000000\n".repeat(7)} 8100000000000c4f
${" 0000000000000000\n".repeat(6)} 8100000000000001
 8000000000000002
`;

describe("inspecting a guest", () => {
  const { processes, memory } = parseGuestView(TOLD);

  it("reads what the guest tells of its processes", () => {
    expect(processes.map(({ pid }) => pid)).to.deep.equal([1, 2, 30]);
    expect(processes[0]).to.deep.equal({
      pid: 1,
      parent: 0,
      name: "init",
      command: "/init",
      state: "S",
      kernelThread: false,
      pages: [{ virtual: 0x7f7fffa8f000, physical: 0xc4f000 }],
    });
    expect(processes[1]).to.include({ command: "kthreadd", kernelThread: true });
    expect(memory.get("MemFree")).to.equal(31684 * 1024);
  });

  it("takes the control characters out of a guest's words", () => {
    expect(processes[2]).to.include({ name: "a) b?[2J", command: "sleep ?1000" });
  });

  it("leaves out pages that others map as well", () => {
    expect(processes[2]?.pages).to.deep.equal([{ virtual: 0x7f7fff01f000, physical: 0x1000 }]);
  });

  it("makes nothing of nonsense", () => {
    expect(parseGuestView("stack x\n==> y\n(\n 00000000000000zz\n").processes).to.deep.equal([]);
  });

  it("reads the pieces of RAM in an address space", () => {
    const maps = `00400000-00403000 r-xs 01a3b000 00:30 3      /dev/shm/#3 (deleted)
7f7fffa8f000-7f7fffa90000 rwxs 00c4f000 00:30 3      /dev/shm/#3 (deleted)
7fff00000000-7fff00021000 rw-p 00000000 00:00 0      [stack]
7fff10000000-7fff10001000 rw-s 00000000 00:00 0
`;
    expect(parseMaps(maps)).to.deep.equal([
      { start: 0x400000, end: 0x403000, physical: 0x1a3b000, file: "00:30 3" },
      { start: 0x7f7fffa8f000, end: 0x7f7fffa90000, physical: 0xc4f000, file: "00:30 3" },
    ]);
  });

  it("matches by pages that agree, and by none that differs", () => {
    const mapping = (start: number, physical: number) => ({ start, end: start + 0x2000, physical });
    const hosts = new Map([
      [100, [mapping(0x1000, 0x8000)]],
      [101, [mapping(0x1000, 0x9000), mapping(0x5000, 0x20000)]],
      [102, []],
    ]);
    const guest = (pid: number, ...pages: [number, number][]) => ({
      pid,
      pages: pages.map(([virtual, physical]) => ({ virtual, physical })),
    });
    const found = matchProcesses(
      [
        guest(1, [0x2000, 0x9000]), // the second page of 100's mapping
        guest(2, [0x1000, 0x9000], [0x5000, 0x20000]),
        guest(3, [0x1000, 0x9000], [0x5000, 0x21000]), // one page differs
        guest(4, [0x7000, 0x9000]), // nobody maps it
        guest(5),
      ],
      hosts,
    );
    expect([...found]).to.deep.equal([
      [1, 100],
      [2, 101],
    ]);
  });

  it("matches nothing where two address spaces agree", () => {
    const same = [{ start: 0x1000, end: 0x2000, physical: 0x3000 }];
    const hosts = new Map([
      [100, same],
      [101, same],
    ]);
    const pages = [{ virtual: 0x1000, physical: 0x3000 }];
    expect(matchProcesses([{ pid: 1, pages }], hosts)).to.have.lengthOf(0);
  });

  it("reads devices off the kernel's command line", () => {
    const words = [
      "mem=64M",
      "ubd0r=/image",
      "ubd1r=/inbox",
      "con=null",
      "con0=fd:4,fd:4",
      "ssl0=fd:3",
    ];
    const devices = devicesOf(words, new Map([[4, "socket:[7]"]]), {
      folder: "/run/lab/g/a",
      image: {
        id: "base-1",
        reference: "base",
        file: "/cache/root.squashfs",
        fileSystem: "squashfs",
        minimumMemoryBytes: 1,
        defaultMemoryBytes: 1,
      },
      kernel: {
        id: "k",
        release: "7.2.7",
        executable: "/k",
        modules: undefined,
        features: { seccomp: true, timeTravel: false },
      },
      nicSockets: ["/run/lab/n0"],
      setup: {
        ...emptySetup("a"),
        interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", mtu: 1500, addresses: [] }],
      },
    });
    expect(devices.consoles.map(({ name, host }) => [name, host])).to.deep.equal([
      ["tty0", "socket:[7]"],
      ["ttyS0", "fd:3"],
    ]);
    expect(devices.blocks.map(({ name, readOnly, file }) => [name, readOnly, file])).to.deep.equal([
      ["ubda", true, "/cache/root.squashfs"],
      ["ubdb", true, "/run/lab/g/a/inbox"],
    ]);
    expect(devices.nics).to.deep.equal([
      { name: "eth0", mac: "02:00:00:00:00:01", socket: "/run/lab/n0" },
    ]);
  });
});
