/**
 * Archives in the format the kernel unpacks as its initramfs: cpio "newc".
 * linux: Documentation/driver-api/early-userspace/buffer-format.rst
 */

export type CpioEntry =
  | { readonly path: string; readonly type: "folder"; readonly mode: number }
  | {
      readonly path: string;
      readonly type: "file";
      readonly mode: number;
      readonly content: Uint8Array;
    }
  | { readonly path: string; readonly type: "link"; readonly target: string }
  | {
      readonly path: string;
      readonly type: "character device" | "block device";
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

const MAGIC = "070701";
const TRAILER = "TRAILER!!!";
const ALIGNMENT = 4;

// linux: include/uapi/linux/stat.h
const KIND = {
  folder: 0o040000,
  file: 0o100000,
  link: 0o120000,
  "character device": 0o020000,
  "block device": 0o060000,
};

/** One archive; folders must come before what is in them. All is owned by root, times are zero. */
export function makeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  entries.forEach((entry, index) => {
    const content =
      entry.type === "file"
        ? entry.content
        : entry.type === "link"
          ? Buffer.from(entry.target)
          : new Uint8Array();
    const mode = KIND[entry.type] | (entry.type === "link" ? 0o777 : entry.mode);
    const device = "major" in entry ? [entry.major, entry.minor] : [0, 0];
    push(
      parts,
      entry.path,
      [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, ...device],
      content,
    );
  });
  push(parts, TRAILER, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], new Uint8Array());
  return Buffer.concat(parts);
}

/** Fields: inode, mode, uid, gid, links, time, size, device, and the device a node stands for. */
function push(
  parts: Uint8Array[],
  name: string,
  fields: readonly number[],
  content: Uint8Array,
): void {
  const nameBytes = Buffer.from(`${name}\0`);
  const numbers = [...fields, nameBytes.length, 0 /* checksum, unused */];
  const header = Buffer.from(
    MAGIC + numbers.map((number) => number.toString(16).toUpperCase().padStart(8, "0")).join(""),
  );
  parts.push(header, nameBytes, padding(header.length + nameBytes.length));
  parts.push(content, padding(content.length));
}

function padding(length: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}
