import { expect } from "chai";
import { kernelCommandLine } from "../../kernel/guest/command-line.ts";
import { parseDisksRecord } from "../../lab/disks/places.ts";

const RECORD = {
  lab: "course",
  file: "/home/ann/course.yaml",
  usedAt: "2026-01-02T03:04:05.000Z",
  disks: { a: { bytes: 1 << 30, image: "base" } },
};

describe("disks", () => {
  it("reads a record", () => {
    expect(parseDisksRecord(JSON.stringify({ ...RECORD, more: 1 }))).to.deep.equal(RECORD);
  });

  it("refuses records whose names would lead out of their folder, and nonsense", () => {
    const disk = { bytes: 1, image: "base" };
    for (const wrong of [
      { lab: "../x" },
      { disks: { "../../home/ann/.profile": disk } },
      { disks: { "a/b": disk } },
      { disks: { a: { bytes: "1", image: "base" } } },
      { disks: { a: { bytes: -1, image: "base" } } },
      { disks: { a: { bytes: 1 } } },
      { usedAt: "yesterday" },
      { file: 7 },
    ]) {
      const text = JSON.stringify({ ...RECORD, ...wrong });
      expect(() => parseDisksRecord(text), text).to.throw();
    }
    expect(() => parseDisksRecord("{")).to.throw();
  });

  it("gives a disk to the kernel as data, never as a file that names another", () => {
    const words = kernelCommandLine({
      memoryBytes: 64 << 20,
      initramfs: "/initramfs",
      image: "/image",
      fileSystem: "squashfs",
      inbox: "/inbox",
      disk: "/disk",
      nicSockets: [],
      lineFd: 3,
      consoleFd: 4,
      umlFolder: "/uml",
      seccomp: false,
      tickless: false,
    });
    expect(words).to.include.members(["ubd3d=/disk", "lab_disk=ext4"]);
    expect(words.filter((word) => /^ubd\d[a-z]*=\/disk/.test(word))).to.deep.equal(["ubd3d=/disk"]);
  });
});
