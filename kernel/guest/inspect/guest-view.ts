/**
 * A guest's processes as its own kernel tells of them, with the physical pages of their stacks: what
 * lets `match.ts` find the host process that holds the same pages. One shell command in the guest,
 * written for the shells of busybox and Debian; what it prints is the guest's word.
 */

export interface GuestProcess {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Its arguments; its name where it has none. */
  readonly command: string;
  readonly state: string;
  readonly kernelThread: boolean;
  /** Pages of its stack that no other process maps: virtual and physical address. */
  readonly pages: readonly { readonly virtual: number; readonly physical: number }[];
}

export interface GuestView {
  readonly processes: readonly GuestProcess[];
  /** /proc/meminfo, in bytes. */
  readonly memory: ReadonlyMap<string, number>;
}

const PAGE = 4096;
/** So many of each stack's highest pages are looked at: where a program starts. */
const PAGES = 8;

/**
 * Few processes and few system calls, because each costs in a guest: `stat` of all; the first bytes
 * of all command lines (`head` says which is whose); then for each stack its range, and the pages.
 */
export const GUEST_VIEW_SCRIPT = `exec 2>/dev/null
echo "self $$"
cat /proc/meminfo
cat /proc/[0-9]*/stat
head -c 200 /proc/[0-9]*/cmdline
echo
stacks=$(grep -F '[stack]' /proc/[0-9]*/maps | cut -d ' ' -f 1)
for stack in $stacks; do echo "stack $stack"; done
for stack in $stacks; do
  dd if=\${stack%maps*}pagemap bs=8 skip=$((0x\${stack#*-} / ${PAGE} - ${PAGES})) count=${PAGES}
done | od -An -v -tx8 -w8`;

/** linux: include/linux/sched.h, PF_KTHREAD */
const KERNEL_THREAD = 0x0020_0000;

// linux: Documentation/admin-guide/mm/pagemap.rst
const PRESENT = 1n << 63n;
const ONLY_HERE = 1n << 56n;
const FRAME_MASK = (1n << 55n) - 1n;

/** Reads what the script printed; the script's own processes are left out. */
export function parseGuestView(text: string): GuestView {
  const memory = new Map<string, number>();
  const processes = new Map<number, GuestProcess>();
  const stacks: { pid: number; end: number }[] = [];
  const entries: bigint[] = [];
  let self = 0;
  let commandOf: number | undefined;
  for (const line of text.split("\n")) {
    const [, kind, value] =
      /^(self|stack|==>) (.*)$/.exec(line) ??
      /^()( *[0-9a-f]{16})$/.exec(line) ??
      /^(\w+): +(\d+) kB$/.exec(line) ??
      [];
    if (value === undefined) {
      const process = commandOf === undefined ? parseStat(line) : processes.get(commandOf);
      if (process === undefined) continue;
      const command = printable(line.replaceAll("\0", " ").trim());
      const named = commandOf === undefined || command === "" ? process : { ...process, command };
      processes.set(process.pid, named);
    } else if (kind === "self") self = Number(value);
    else if (kind === "==>") commandOf = Number(/^\/proc\/(\d+)\//.exec(value)?.[1]);
    else if (kind === "stack") {
      const [, pid, end] = /^\/proc\/(\d+)\/maps:[0-9a-f]+-([0-9a-f]+)$/.exec(value) ?? [];
      if (end !== undefined) stacks.push({ pid: Number(pid), end: Number.parseInt(end, 16) });
      commandOf = undefined;
    } else if (kind === "") entries.push(BigInt(`0x${value.trim()}`));
    else if (kind !== undefined) memory.set(kind, Number(value) * 1024);
  }
  stacks.forEach(({ pid, end }, index) => {
    const process = processes.get(pid);
    if (process === undefined) return;
    const mine = entries.slice(index * PAGES, (index + 1) * PAGES);
    processes.set(pid, { ...process, pages: pagesOf(mine, end - PAGES * PAGE) });
  });
  return {
    processes: [...processes.values()]
      .filter(({ pid, parent }) => pid !== self && parent !== self)
      .sort((a, b) => a.pid - b.pid),
    memory,
  };
}

function pagesOf(entries: readonly bigint[], start: number): GuestProcess["pages"] {
  return entries.flatMap((entry, index) =>
    (entry & PRESENT) !== 0n && (entry & ONLY_HERE) !== 0n
      ? [{ virtual: start + index * PAGE, physical: Number(entry & FRAME_MASK) * PAGE }]
      : [],
  );
}

/** proc(5), /proc/PID/stat. Undefined where a line is none. */
function parseStat(stat: string): GuestProcess | undefined {
  const open = stat.indexOf("(");
  const close = stat.lastIndexOf(")");
  const fields = stat.slice(close + 2).split(" ");
  const pid = Number(stat.slice(0, open));
  if (open < 0 || close < 0 || !Number.isInteger(pid) || fields.length < 7) return undefined;
  const name = printable(stat.slice(open + 1, close));
  return {
    pid,
    parent: Number(fields[1]),
    name,
    command: name,
    state: fields[0] ?? "?",
    kernelThread: (Number(fields[6]) & KERNEL_THREAD) !== 0,
    pages: [],
  };
}

/** A guest's words must not move the cursor of the terminal they are shown on. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}
