import { expect } from "chai";
import { kernelCommandLine } from "../../kernel/guest/command-line.ts";
import { parseList } from "../../kernel/guest/libraries.ts";
import { moduleName } from "../../kernel/initramfs/modules.ts";

const INPUT = {
  memoryBytes: 48 << 20,
  initramfs: "/initramfs",
  image: "/image",
  modulesImage: "/modules",
  fileSystem: "squashfs",
  inbox: "/inbox",
  nicSockets: ["/eth0", "/eth1"],
  lineFd: 3,
  consoleFd: 4,
  umlFolder: "/uml",
  seccomp: true,
  tickless: false,
  bootArguments: ["initcall_blacklist=x"],
} as const;

describe("kernel command line", () => {
  it("is what UML wants", () => {
    const words = kernelCommandLine(INPUT);
    expect(words).to.deep.equal([
      "mem=49152K",
      "initrd=/initramfs",
      "rdinit=/init",
      "ubd0r=/image",
      "ubd1r=/inbox",
      "lab_root=squashfs",
      "ubd2r=/modules",
      "lab_modules=squashfs",
      "con=null",
      "con0=fd:4,fd:4",
      "ssl=null",
      "ssl0=fd:3",
      "uml_dir=/uml/",
      "umid=guest",
      "virtio_uml.device=/eth0:1",
      "virtio_uml.device=/eth1:1",
      "virtio_net.napi_tx=0",
      "seccomp=on",
      "lsm=",
      "selinux=0",
      "random.trust_cpu=on",
      "nohz=off",
      "initcall_blacklist=x",
      "quiet",
    ]);
  });

  it("lets a kernel sleep that wakes for every interrupt", () => {
    expect(kernelCommandLine({ ...INPUT, tickless: true })).not.to.include("nohz=off");
  });
});

describe("module names", () => {
  it("come from file names", () => {
    expect(moduleName("kernel/net/802/8021q.ko")).to.equal("8021q");
    expect(moduleName("kernel/lib/crc-ccitt.ko.xz")).to.equal("crc_ccitt");
  });
});

describe("libraries of an executable", () => {
  it("are what the dynamic linker lists, without the kernel's own and itself", () => {
    expect(
      parseList(
        [
          "\tlinux-vdso.so.1 (0x00007f6252266000)",
          "\tlibc.so.6 => /cache/lib/libc.so.6 (0x00007f6252068000)",
          "\t/cache/lib/ld-linux-x86-64.so.2 => /lib64/ld.so (0x00007f6252268000)",
          "\t/lib64/ld-linux-x86-64.so.2 (0x00007f6252268000)",
        ].join("\n"),
      ),
    ).to.deep.equal(["/cache/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
  });
});
