/** Every command of uml-lab: its words, its help, and where its code is. */

import { TRACE_KINDS } from "../kernel/guest/trace/events.ts";
import type { ArgumentSpec, CommandSpec, OptionSpec } from "./command.ts";

const FILE: ArgumentSpec = { name: "FILE", kind: "topology" };
const LAB: ArgumentSpec = { name: "LAB", kind: "lab", optional: true };
const GUEST: ArgumentSpec = { name: "GUEST", kind: "guest" };
const GUESTS: ArgumentSpec = { name: "GUEST", kind: "guest", many: true };
const LINK: ArgumentSpec = { name: "LINK", kind: "link" };
const CMD: ArgumentSpec = { name: "CMD", kind: "text", many: true };

const IMAGE: ArgumentSpec = { name: "IMAGE", kind: "text" };
const IMAGE_NOTE =
  "IMAGE is what a topology's `image` says: `base`, `router`, `host`, `docker:REF`, `dir:PATH`, " +
  "`file:PATH` or `packages:[a, b]`.";

const ON_LAB: OptionSpec = {
  name: "lab",
  value: "LAB",
  kind: "lab",
  summary: "the lab, where more than one runs (or write LAB/GUEST)",
};
const JUNIT: OptionSpec = {
  name: "junit",
  value: "FILE",
  kind: "file",
  summary: "write the report as JUnit XML as well",
};
const RECORD: OptionSpec = {
  name: "record",
  value: "DIR",
  kind: "file",
  summary: "record every frame, from the first on, to DIR/LAB.pcapng",
};
const KEEP: OptionSpec = {
  name: "keep",
  summary: "the guests' disks stay when the lab goes down; the next `up` takes them again",
};
const FRESH: OptionSpec = { name: "fresh", summary: "new disks, though some were kept" };
const RESUME: OptionSpec = {
  name: "resume",
  value: "FILE",
  kind: "file",
  summary: "begin with the disks in FILE, which `uml-lab save` wrote",
};
const HTML: OptionSpec = {
  name: "html",
  value: "FILE",
  kind: "file",
  summary: "write the report as one self-contained HTML page as well",
};

const WATCH: OptionSpec = {
  name: "watch",
  short: "w",
  summary: "draw it again every second, with rates",
};

const LAB_NOTE =
  "LAB is a lab's name or its topology file. It can be left out where exactly one lab runs, or " +
  "where the current folder has a single topology file.";
const GUEST_NOTE = "GUEST is a guest's name, or LAB/GUEST where more than one lab runs.";

export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  {
    name: "format",
    value: "FORMAT",
    choices: ["text", "json"],
    summary: "text for people, json for programs (one document on standard output)",
  },
  { name: "quiet", short: "q", summary: "results and errors only, no progress" },
  { name: "verbose", short: "v", summary: "say more, one plain line a step" },
  { name: "help", short: "h", summary: "this help" },
];

/** The order is that of the help; groups are told apart by `GROUPS`. */
export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "up",
    summary: "check FILE, boot it, wire it, measure who reaches whom; the lab goes on running",
    arguments: [FILE],
    options: [
      KEEP,
      FRESH,
      RESUME,
      RECORD,
      JUNIT,
      HTML,
      {
        name: "debug",
        value: "GUEST",
        summary: "stop the kernel of GUEST where it begins (`start_kernel`), in gdb",
      },
    ],
    notes: [
      "The report is a matrix of guests against guests. The exit status is 0 where everything " +
        "expected held and 1 where it did not; the lab runs on in both cases. Ctrl-C stops and " +
        "removes everything that was started.",
    ],
    examples: [
      ["uml-lab up topologies/two-lans.yaml", "boot two LANs and the router between them"],
      ["uml-lab up lab.yaml --format json > report.json", "the report for a program"],
      ["uml-lab up lab.yaml --debug r1", "watch the kernel of r1 boot"],
    ],
  },
  {
    name: "down",
    summary: "stop a lab; nothing of it is left",
    arguments: [LAB],
    options: [{ name: "all", summary: "every lab that runs" }],
    notes: [LAB_NOTE],
    examples: [
      ["uml-lab down", "the lab that runs"],
      ["uml-lab down two-lans", "by its name"],
      ["uml-lab down --all", "all of them"],
    ],
  },
  {
    name: "test",
    summary: "up, judge, down: one command for continuous integration",
    arguments: [FILE],
    options: [FRESH, RESUME, RECORD, JUNIT, HTML],
    examples: [
      ["uml-lab test lab.yaml", "status 0 if everything expected held, 1 if not"],
      ["uml-lab test lab.yaml --junit report.xml --html report.html", "reports for CI"],
      ["uml-lab test lab.yaml --resume ann.save.tar.gz", "judge disks that were handed in"],
    ],
  },
  {
    name: "verify",
    summary: "measure and judge again, on the running lab",
    arguments: [LAB],
    options: [JUNIT, HTML],
    notes: [LAB_NOTE],
    examples: [["uml-lab verify", "who reaches whom now?"]],
  },
  {
    name: "apply",
    summary: "bring a running lab to what FILE says now, changing only what differs",
    arguments: [FILE],
    options: [
      {
        name: "dry-run",
        short: "n",
        summary: "say what would be changed; nothing is touched",
      },
    ],
    notes: [
      "The lab is the one of the name in FILE. Guests and cables that are the same go on " +
        "undisturbed, and keep their addresses. Addresses, routes, sysctl, the host table, files and " +
        "impairments change in place; where a guest's kernel or what was started in it would have to " +
        "be another, the guest is restarted, and the list says why. What was changed by hand (a cable " +
        "that was pulled, a guest that was stopped) becomes what FILE says, too.",
      "Then the lab is judged as by `verify`. A FILE with a mistake changes nothing (status 2). Where " +
        "a guest does not boot, all else is done and the lab runs on (status 4): correct FILE and " +
        "apply it again.",
    ],
    examples: [
      ["uml-lab apply lab.yaml --dry-run", "what would be changed, and what restarted"],
      ["uml-lab apply lab.yaml", "do it, and measure who reaches whom"],
    ],
  },
  {
    name: "grade",
    summary: "grade the submissions of an assignment, each in a lab of its own",
    arguments: [{ name: "ASSIGNMENT", kind: "file" }],
    options: [
      {
        name: "submissions",
        value: "DIR",
        kind: "file",
        summary: "holds a folder or a file for each student",
      },
      { name: "csv", value: "FILE", kind: "file", summary: "write the grades as a table" },
      { name: "json", value: "FILE", kind: "file", summary: "write them with every reason" },
      { name: "html", value: "DIR", kind: "file", summary: "write a page for each student" },
      {
        name: "jobs",
        short: "j",
        value: "N",
        summary: "labs at once; default: as many as the machine has room for",
      },
      { name: "again", summary: "grade all, also those known from an interrupted grading" },
    ],
    notes: [
      "A submission that can't be used, or that takes more than the assignment's limits, scores " +
        "nothing and is told why; it never stops the others. After Ctrl-C the same command goes on " +
        "with those that are left. The exit status is 0 when all are graded, whatever they score.",
    ],
    examples: [
      ["uml-lab grade routes.yaml --submissions handed-in", "a table of points"],
      ["uml-lab grade routes.yaml --submissions handed-in --csv g.csv --html pages", ""],
    ],
  },
  {
    name: "init",
    summary: "start a new topology file",
    arguments: [{ name: "NAME", kind: "text", optional: true }],
    options: [
      { name: "list", summary: "what there is to start from" },
      {
        name: "from",
        value: "TOPOLOGY",
        kind: "text",
        summary: "a copy of a topology that is shipped (default: two-lans)",
      },
      { name: "star", value: "N", summary: "N hosts around a switch" },
      { name: "line", value: "N", summary: "N routers in a row, a host at either end" },
      { name: "ring", value: "N", summary: "N routers in a ring, a host behind each" },
      { name: "grid", value: "WxH", summary: "routers in a grid, a host at each corner" },
      { name: "tree", value: "DEPTHxFANOUT", summary: "a tree of switches, hosts as its leaves" },
      {
        name: "fat-tree",
        value: "K",
        summary: "a data centre of routers with K ports in three layers",
      },
      {
        name: "output",
        short: "o",
        value: "FILE",
        kind: "file",
        summary: "write to FILE instead of NAME.yaml; - is standard output",
      },
    ],
    notes: [
      "The file is commented and addressed, has routes where it has routers, and can be run as it " +
        "is. Nothing is overwritten.",
    ],
    examples: [
      ["uml-lab init", "two-lans.yaml: two LANs and a router"],
      ["uml-lab init week1 --ring 6", "week1.yaml: six routers in a ring, hosts behind them"],
      ["uml-lab init --list", "what there is to start from"],
      ["uml-lab init --grid 4x4 -o - | less", "look only"],
    ],
  },
  {
    name: "check",
    summary: "read and check FILE only; starts nothing",
    arguments: [FILE],
    options: [],
    examples: [["uml-lab check lab.yaml", "every mistake with its line, its column and advice"]],
  },
  {
    name: "plan",
    summary: "what would be started: addresses, links, probes",
    arguments: [FILE],
    options: [],
    examples: [
      ["uml-lab plan lab.yaml", "for reading"],
      ["uml-lab plan lab.yaml --format json", "for a program"],
    ],
  },
  {
    name: "graph",
    summary: "draw a topology",
    arguments: [{ name: "FILE|LAB", kind: "topology", optional: true }],
    options: [
      {
        name: "format",
        value: "FORMAT",
        choices: ["svg", "mermaid", "dot", "text"],
        summary: "svg, mermaid, dot or text (default: text)",
      },
      {
        name: "output",
        short: "o",
        value: "FILE",
        kind: "file",
        summary: "write to FILE; its ending chooses the format",
      },
    ],
    examples: [
      ["uml-lab graph lab.yaml", "a drawing for the terminal"],
      ["uml-lab graph lab.yaml -o lab.svg", "a picture for a handout"],
      ["uml-lab graph two-lans", "the lab that runs: cables pulled, guests stopped, traffic"],
    ],
  },
  {
    name: "ps",
    summary: "the labs that run",
    arguments: [],
    options: [],
    examples: [["uml-lab ps", ""]],
  },
  {
    name: "status",
    summary: "a lab's guests (state, memory, CPU) and links (counters)",
    arguments: [LAB],
    options: [WATCH],
    notes: [LAB_NOTE],
    examples: [["uml-lab status --watch", "a live view; Ctrl-C ends it"]],
  },
  {
    name: "metrics",
    summary: "a lab's counters in Prometheus' text format",
    arguments: [LAB],
    options: [],
    notes: [
      LAB_NOTE,
      "The same is served over HTTP on a unix socket in the run folder: " +
        "`curl --unix-socket $XDG_RUNTIME_DIR/uml-lab/LAB/metrics http://lab/metrics`. It has " +
        "frames, bytes and drops of links, NICs and switches, and memory and CPU time of guests.",
    ],
    examples: [["uml-lab metrics", ""]],
  },
  {
    name: "exec",
    summary: "run a command in a guest: its input, output and exit status",
    arguments: [GUEST, CMD],
    options: [
      { name: "tty", short: "t", summary: "give the command a terminal" },
      {
        name: "env",
        short: "e",
        value: "NAME=VALUE",
        summary: "set a variable; can be repeated",
      },
      { name: "cwd", value: "DIR", summary: "the folder in the guest to run it in" },
      ON_LAB,
    ],
    passThrough: true,
    notes: [GUEST_NOTE, "The exit status is the command's own; 128+N where signal N ended it."],
    examples: [
      ["uml-lab exec alice -- ip route", "options after -- belong to the command"],
      ["uml-lab exec alice -- sh -c 'cat > /tmp/x' < local.txt", "standard input goes in"],
      ["uml-lab exec -t r1 -- top", "a full-screen program"],
    ],
  },
  {
    name: "shell",
    summary: "an interactive shell in a guest",
    arguments: [GUEST],
    options: [ON_LAB],
    notes: [
      GUEST_NOTE,
      "Every key goes to the guest, Ctrl-C too. The shell ends with `exit` or Ctrl-D; where a " +
        "guest hangs, press Ctrl-] three times within a second to leave it.",
    ],
    examples: [["uml-lab shell alice", ""]],
  },
  {
    name: "console",
    summary: "the kernel's console, from the boot on, with input",
    arguments: [GUEST],
    options: [ON_LAB],
    notes: [GUEST_NOTE, "Press Ctrl-] three times within a second to leave it."],
    examples: [["uml-lab console alice", ""]],
  },
  {
    name: "logs",
    summary: "what the kernel's console has said",
    arguments: [GUEST],
    options: [{ name: "follow", short: "f", summary: "go on as it comes" }, ON_LAB],
    notes: [GUEST_NOTE],
    examples: [
      ["uml-lab logs alice", ""],
      ["uml-lab logs -f alice", "go on"],
    ],
  },
  {
    name: "explain",
    summary: "why a guest does or does not reach another: the way of a probe, hop by hop",
    arguments: [
      { name: "FROM", kind: "guest" },
      { name: "TO", kind: "guest" },
    ],
    options: [
      { name: "tcp", value: "PORT", summary: "probe by opening a TCP connection" },
      { name: "udp", value: "PORT", summary: "probe with a UDP datagram" },
      ON_LAB,
    ],
    notes: [
      "FROM is a guest; TO is a guest or an address. Echo requests are sent by FROM's own kernel and " +
        "followed over every link; the guests that they come to are asked for addresses, routes and " +
        "firewalls. The status is 0 where nothing is wrong, and 1 where something is.",
    ],
    examples: [
      ["uml-lab explain alice bob", "where does it get stuck?"],
      ["uml-lab explain alice 10.0.2.10 --tcp 80", "does the firewall let HTTP through?"],
    ],
  },
  {
    name: "inspect",
    summary: "what a guest is made of: host processes beside its own, memory, devices",
    arguments: [GUEST],
    options: [ON_LAB],
    notes: [
      GUEST_NOTE,
      "A guest process and the host process that runs it are matched by their memory: the pages of " +
        "its stack are the same pages of the guest's RAM. Nothing is stopped or traced for it.",
    ],
    examples: [["uml-lab inspect r1", "what runs where"]],
  },
  {
    name: "trace",
    summary: "a guest's network path, live: packets received, routed, sent, dropped, and why",
    arguments: [GUEST],
    options: [
      {
        name: "only",
        value: "KINDS",
        choices: TRACE_KINDS,
        several: true,
        summary: `only such events: ${TRACE_KINDS.join(",")}`,
      },
      { name: "count", short: "n", value: "N", summary: "end after N events; else with Ctrl-C" },
      ON_LAB,
    ],
    notes: [
      GUEST_NOTE,
      "The guest's own kernel tells what it does with each packet, while it goes on: nothing is stopped. Lines " +
        "with the same number (#3) are about the same packet; a line with – is about something for which the kernel " +
        "names none. A dropped packet comes with the kernel's reason and the function that dropped it. Times are " +
        "seconds since the first event. With --format json, each line is a document.",
      "It needs a kernel with trace events (`uml-lab kernel build --debug`; with another the status is 3), and " +
        "a shell in the guest. The trace is one of its own in the guest's tracefs: others there, and more of ours, go on.",
    ],
    examples: [
      ["uml-lab trace r1", "what r1 does with packets, until Ctrl-C"],
      ["uml-lab trace r1 --only drop", "what it drops, and why"],
      ["uml-lab trace r1 --only receive,route,send --count 20", "twenty events of forwarding"],
      ["uml-lab trace r1 --format json | jq .reason", "for a program"],
    ],
  },
  {
    name: "debug",
    summary: "gdb at a guest's kernel: breakpoints, back traces, variables",
    arguments: [GUEST, { name: "GDB-OPTION", kind: "text", optional: true, many: true }],
    options: [
      {
        name: "freeze",
        summary: "while the kernel stands still in gdb, the other guests do too",
      },
      ON_LAB,
    ],
    passThrough: true,
    notes: [
      GUEST_NOTE,
      "What follows -- is gdb's: -x FILE, -ex COMMAND, -batch. The lab goes on meanwhile: who waits for the " +
        "guest waits, unless --freeze. When gdb ends, however it does, the kernel goes on without breakpoints.",
      "Any kernel has the names of its functions. `uml-lab kernel build --debug` makes one with source lines, " +
        "types and helpers (lx-ps, lx-dmesg). docs/kernel-debugging.md follows a packet through a router.",
    ],
    examples: [
      ["uml-lab debug r1", ""],
      ["uml-lab debug r1 -- -ex 'break ip_forward' -ex continue", "stop at the next packet"],
      ["uml-lab debug r1 -- -batch -ex backtrace", "for a script"],
    ],
  },
  {
    name: "cp",
    summary: "copy files into a guest or out of it",
    arguments: [
      { name: "FROM", kind: "file" },
      { name: "TO", kind: "file" },
    ],
    options: [{ name: "recursive", short: "r", summary: "folders, with all they hold" }, ON_LAB],
    notes: ["One of the two is GUEST:/PATH (or LAB/GUEST:/PATH). `-` is standard input or output."],
    examples: [
      ["uml-lab cp frr.conf r1:/etc/frr/frr.conf", "in"],
      ["uml-lab cp r1:/var/log/messages .", "out"],
      ["uml-lab cp -r www alice:/srv", "a folder"],
    ],
  },
  ...(
    [
      ["restart", "stop guests and boot them again"],
      ["stop", "power guests off; the lab goes on"],
      ["start", "boot guests that were stopped"],
      ["pause", "freeze guests where they are"],
      ["resume", "let paused guests go on"],
    ] as const
  ).map(
    ([name, summary]): CommandSpec => ({
      name,
      summary,
      arguments: [GUESTS],
      options: [ON_LAB],
      notes: [GUEST_NOTE],
      examples: [[`uml-lab ${name} r1`, ""]],
    }),
  ),
  {
    name: "save",
    summary: "write a lab's disks into a file, to take along or to hand in",
    arguments: [LAB, { name: "FILE", kind: "file", optional: true }],
    options: [],
    notes: [
      LAB_NOTE,
      "FILE is LAB.save.tar.gz in the current folder unless told. The guests write out what they " +
        "have and stand still while their disks are read. `up FILE --resume SAVE` begins with them, on " +
        "any machine; with `test` they are judged and thrown away. A lab that is down is saved from its " +
        "kept disks.",
    ],
    examples: [
      ["uml-lab save", "the lab that runs"],
      ["uml-lab save coursework alice.save.tar.gz", "to hand in"],
    ],
  },
  {
    name: "disk list",
    summary: "the disks that labs have kept",
    arguments: [],
    options: [],
    examples: [["uml-lab disk list", ""]],
  },
  {
    name: "disk remove",
    summary: "throw kept disks away",
    arguments: [
      { name: "LAB", kind: "text" },
      { name: "GUEST", kind: "text", optional: true, many: true },
    ],
    options: [],
    notes: [
      "Without a GUEST, all disks of the lab. They are not asked for again: save them first.",
    ],
    examples: [
      ["uml-lab disk remove coursework", "the next `up` begins with new ones"],
      ["uml-lab disk remove coursework r1", "one guest's"],
    ],
  },
  {
    name: "link show",
    summary: "a lab's links with what passed and what did not",
    arguments: [{ ...LINK, optional: true }],
    options: [WATCH, ON_LAB],
    examples: [
      ["uml-lab link show", ""],
      ["uml-lab link show core --watch", "frames and bytes a second"],
    ],
  },
  {
    name: "link set",
    summary: "change a cable while the lab runs",
    arguments: [LINK, { name: "KEY=VALUE", kind: "text", many: true }],
    options: [
      {
        name: "from",
        value: "END",
        summary: "only frames that leave this end (a guest or a switch)",
      },
      ON_LAB,
    ],
    notes: [
      "Keys: delay, jitter (10ms), loss, duplicate, corrupt, reorder (1%), rate (10Mbit), queue " +
        "(100 for frames, 64K for bytes). KEY=none takes one away; `none` alone takes all away.",
    ],
    examples: [
      ["uml-lab link set core delay=10ms loss=1%", "both ways"],
      ["uml-lab link set core rate=1Mbit --from r1", "one way"],
      ["uml-lab link set core none", "a perfect cable again"],
    ],
  },
  {
    name: "capture",
    summary: "record the frames of a link, of a guest's interface or of the whole lab",
    arguments: [{ name: "LINK|GUEST:ethN", kind: "link", optional: true }],
    options: [
      { name: "all", summary: "every link of the lab" },
      {
        name: "write",
        short: "w",
        value: "FILE",
        kind: "file",
        summary: "where to; - is standard output, and what there is without it in a pipe",
      },
      { name: "filter", value: "EXPR", summary: "only such frames: `tcp port 80`, `arp or icmp`" },
      { name: "snaplen", value: "BYTES", summary: "keep so much of each frame" },
      { name: "rotate", value: "SIZE", summary: "a new file after so much (10M)" },
      { name: "keep", value: "N", summary: "with --rotate: keep the newest N files" },
      { name: "for", value: "TIME", summary: "stop after this long (10s); else with Ctrl-C" },
      ON_LAB,
    ],
    notes: [
      "Writes pcapng with one interface for each port, times in nanoseconds, and comments that " +
        "tell what became of each frame: delivered, lost, corrupted, queue full. It can be read " +
        "while it grows. A slow reader never slows the lab: what it misses is counted.",
      "A filter is made of ip, ip6, arp, icmp, icmp6, igmp, tcp, udp, vlan N, broadcast, multicast, " +
        "host A, net A/N, port N, portrange N-M, less N, greater N, ether host MAC, with src or dst " +
        "before them, and and, or, not and parentheses between them, as tcpdump has them.",
    ],
    examples: [
      ["uml-lab capture core -w core.pcapng", "both ways, until Ctrl-C"],
      ["uml-lab capture alice:eth0 | wireshark -k -i -", "look while it runs"],
      ["uml-lab capture --all -w lab.pcapng --filter arp --for 10s", ""],
    ],
  },
  {
    name: "link up",
    summary: "plug a cable in",
    arguments: [LINK],
    options: [ON_LAB],
    examples: [["uml-lab link up core", ""]],
  },
  {
    name: "link down",
    summary: "pull a cable: the guests see their carrier go",
    arguments: [LINK],
    options: [ON_LAB],
    examples: [["uml-lab link down core", ""]],
  },
  {
    name: "link add",
    summary: "plug one more cable in while the lab runs",
    arguments: [
      { name: "A", kind: "text" },
      { name: "B", kind: "text" },
      { name: "KEY=VALUE", kind: "text", optional: true, many: true },
    ],
    options: [ON_LAB],
    notes: [
      "A and B are GUEST:ethN, GUEST (its first interface without a cable) or a switch. An interface is " +
        "free where the file has it without a link, or where its cable was removed. Keys: name, vlan " +
        "and trunk (10,20) of ports at switches, and those of `link set`. A loop of switches is " +
        "refused unless the file says `allow_loops: true`.",
    ],
    examples: [
      ["uml-lab link add alice:eth1 lan2 name=spare delay=5ms", ""],
      ["uml-lab link add r1:eth0 r2:eth0", "where cables were removed before"],
    ],
  },
  {
    name: "link remove",
    summary: "take a cable out for good: its interfaces are free for another",
    arguments: [LINK],
    options: [ON_LAB],
    examples: [["uml-lab link remove core", ""]],
  },
  {
    name: "kernel list",
    summary: "the kernels at hand",
    arguments: [],
    options: [],
    examples: [["uml-lab kernel list", ""]],
  },
  {
    name: "kernel fetch",
    summary: "fetch the kernel that labs use by default",
    arguments: [{ name: "KERNEL", kind: "text", optional: true }],
    options: [],
    notes: ["KERNEL is `auto`, `debian`, `lean` or a path; default `auto`."],
    examples: [["uml-lab kernel fetch", "before going offline"]],
  },
  {
    name: "kernel build",
    summary: "build the lean kernel: boots fastest, takes some minutes once",
    arguments: [],
    options: [
      {
        name: "source",
        value: "SOURCE",
        kind: "file",
        summary: "a release that Debian has (7.3, 6.12), a folder or a tarball; default 7.3",
      },
      { name: "debug", summary: "with debugging information and trace events: `debug`, `trace`" },
      {
        name: "jobs",
        short: "j",
        value: "N",
        summary: "processes at once; default: all processors",
      },
    ],
    notes: [
      "Needs gcc and the C library's development files; the other tools are fetched where they are missing. An interrupted build goes on where it was.",
    ],
    examples: [
      ["uml-lab kernel build", "labs use it from then on"],
      ["uml-lab kernel build --source ~/linux", "a kernel of your own"],
    ],
  },
  {
    name: "image list",
    summary: "the images at hand",
    arguments: [],
    options: [],
    examples: [["uml-lab image list", ""]],
  },
  {
    name: "image show",
    summary: "what an image is made of: packages, size, memory, its command",
    arguments: [IMAGE],
    options: [],
    examples: [["uml-lab image show router", ""]],
  },
  {
    name: "image build",
    summary: "make images before a lab needs them",
    arguments: [{ ...IMAGE, many: true }],
    options: [],
    notes: [IMAGE_NOTE],
    examples: [
      ["uml-lab image build base router", "before going offline"],
      ["uml-lab image build 'packages:[tshark]'", "base, and Debian packages"],
    ],
  },
  {
    name: "image import",
    summary: "read a tar archive of `docker save` or `docker export`; no engine is needed",
    arguments: [
      { name: "FILE", kind: "file" },
      { name: "NAME", kind: "text", optional: true },
    ],
    options: [],
    notes: ["Topologies then name it `docker:NAME`; without NAME, the file's name is taken."],
    examples: [["uml-lab image import alpine.tar alpine", "image: docker:alpine"]],
  },
  {
    name: "image remove",
    summary: "remove images from the cache",
    arguments: [{ ...IMAGE, many: true }],
    options: [],
    notes: ["IMAGE is a reference (`router`) or an id of `uml-lab image list`."],
    examples: [["uml-lab image remove router", "the next lab that needs it makes it again"]],
  },
  {
    name: "ssh-config",
    summary: "an OpenSSH configuration by which ssh, scp and Ansible reach the guests",
    arguments: [LAB],
    options: [],
    notes: [
      "No network lies between: ssh runs this program as its ProxyCommand, which starts an SSH " +
        "server in the guest over the control channel.",
    ],
    examples: [
      ["uml-lab ssh-config > ssh.conf && ssh -F ssh.conf alice", ""],
      ["uml-lab ssh-config >> ~/.ssh/config", "for every program that uses ssh"],
    ],
  },
  {
    name: "ssh-proxy",
    summary: "the ProxyCommand of ssh-config",
    arguments: [GUEST],
    options: [ON_LAB],
    examples: [],
    hidden: true,
  },
  {
    name: "clean",
    summary: "remove what crashed labs left",
    arguments: [],
    options: [{ name: "cache", summary: "fetched kernels and images as well" }],
    examples: [
      ["uml-lab clean", "labs that run are left alone"],
      ["uml-lab clean --cache", "the next `up` fetches again"],
    ],
  },
  {
    name: "doctor",
    summary: "what this machine has and lacks, and the command that mends each",
    arguments: [],
    options: [],
    examples: [["uml-lab doctor", "status 3 if something required is missing"]],
  },
  {
    name: "completion",
    summary: "completion for your shell: commands, options, labs, guests, links",
    arguments: [{ name: "SHELL", kind: "text" }],
    options: [],
    examples: [
      ["source <(uml-lab completion bash)", "in ~/.bashrc"],
      ["uml-lab completion zsh > ~/.zfunc/_uml-lab", "in a folder of $fpath"],
      ["uml-lab completion fish > ~/.config/fish/completions/uml-lab.fish", ""],
    ],
  },
  {
    name: "complete-words",
    summary: "the words that could come next, for completion scripts",
    arguments: [{ name: "WORD", kind: "text", optional: true, many: true }],
    options: [],
    examples: [],
    passThrough: true,
    hidden: true,
  },
  {
    name: "help",
    summary: "this help, or a command's",
    arguments: [{ name: "COMMAND", kind: "text", optional: true, many: true }],
    options: [],
    examples: [["uml-lab help up", ""]],
  },
];

/** The headings of the help, in order, with the first command of each. */
export const GROUPS: readonly (readonly [heading: string, first: string])[] = [
  ["Labs", "up"],
  ["Topology files", "init"],
  ["Running labs", "ps"],
  ["Guests", "exec"],
  ["Disks", "save"],
  ["Links", "link show"],
  ["This machine", "kernel list"],
];

export const visibleCommands = (): readonly CommandSpec[] =>
  COMMANDS.filter((command) => command.hidden !== true);

export const findCommand = (name: string): CommandSpec | undefined =>
  COMMANDS.find((command) => command.name === name);
