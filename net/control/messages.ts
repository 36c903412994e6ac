/**
 * What the supervisor and the fabric say to each other: one JSON object a line, over the unix
 * socket that the fabric inherits as descriptor 3. Requests carry an `id`; each gets exactly one
 * reply with it. Events come unasked. End of file ends the fabric.
 *
 * Names: a *NIC* is a guest's vhost-user device and is called `guest:ethN`; a switch by its name; a
 * link by the topology's name for it. Every value that enters here was checked by the plan, and is
 * checked again where a wrong one could harm the fabric.
 */

/** The impairments of one direction of a link. All absent: the direction costs nothing. */
export interface Impairment {
  readonly delayNs?: number;
  readonly jitterNs?: number;
  /** Fractions, 0 … 1. */
  readonly loss?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  readonly reorder?: number;
  readonly rateBitsPerSec?: number;
  /** What waits before frames are dropped; bytes or frames. */
  readonly queue?: { readonly frames: number } | { readonly bytes: number };
}

/** Where a link ends. VLANs: `vlan` is the access or native VLAN, `trunk` those carried tagged. */
export type LinkEnd =
  | { readonly kind: "nic"; readonly nic: string }
  | { readonly kind: "outlet"; readonly outlet: string }
  /** A TAP interface of the host, called `device` there: open for as long as the link is there. */
  | { readonly kind: "tap"; readonly tap: string; readonly device: string }
  | {
      readonly kind: "switch";
      readonly switch: string;
      readonly vlan?: number;
      readonly trunk?: readonly number[];
    };

export interface NicSpec {
  /** `alice:eth0`. */
  readonly nic: string;
  /** The fabric listens here before it replies; the guest's kernel connects (and reconnects). */
  readonly socketPath: string;
  readonly mac: string;
  readonly mtu: number;
}

export interface SwitchSpec {
  readonly switch: string;
  readonly hub: boolean;
  readonly ageingMs: number;
}

/** A way out of the lab, to a process on the host that speaks frames over a unix stream socket. */
export interface OutletSpec {
  readonly outlet: string;
  /** The fabric listens here before it replies. */
  readonly socketPath: string;
  /** The guest in whose name it is: told to the process, which waits for frames to learn that. */
  readonly guest: { readonly mac: string; readonly address: string; readonly gateway: string };
  /** Answers only: from ports that are forwarded, and to connections from outside. */
  readonly only?: { readonly udp: readonly number[] };
}

export interface LinkSpec {
  readonly link: string;
  readonly ends: readonly [LinkEnd, LinkEnd];
  readonly up: boolean;
  /** [frames that leave the first end, frames that leave the second end]. */
  readonly impairments: readonly [Impairment, Impairment];
  /** Seed of the link's random stream. */
  readonly seed: number;
}

/** A capture: what is recorded, which of it, and where it goes. */
export interface CaptureSpec {
  /** Its name, to stop it by. */
  readonly capture: string;
  /** A link: both directions, with each frame's fate. A NIC: what its guest sends and receives. */
  readonly of:
    | { readonly kind: "all" }
    | { readonly kind: "link"; readonly link: string }
    | { readonly kind: "nic"; readonly nic: string };
  readonly output: {
    /** Absolute: a file that is made, or a FIFO that is there. */
    readonly path: string;
    readonly rotateBytes?: number;
    readonly keepFiles?: number;
  };
  readonly filter?: string;
  /** Bytes kept of each frame; all unless told. */
  readonly snapLength?: number;
}

export interface CaptureCounters {
  readonly capture: string;
  readonly recorded: number;
  readonly bytes: number;
  /** Frames that the filter let through and that are not in the capture. */
  readonly missed: number;
}

/** Counts the frames that pass somewhere, and keeps none of them. */
export interface WatchSpec {
  /** Its name, to read and to stop it by. */
  readonly watch: string;
  /** A link: the frames that enter it, at either end. NICs: what guests send and are given. */
  readonly of: { readonly kind: "nics" } | { readonly kind: "link"; readonly link: string };
  /** As a capture's; empty counts all. */
  readonly filter: string;
  /** Silences longer than this are told. */
  readonly gapMs?: number;
  /** Frames are counted in slices so long. */
  readonly sliceMs?: number;
}

/** What a watch saw at one end of a link; times are milliseconds since 1970. */
export interface WatchedPlace {
  /** `alice:eth0`, or a switch's name. */
  readonly end: string;
  readonly link: string;
  /** out: frames that came from this end; in: frames that were given to it. */
  readonly way: "out" | "in";
  readonly frames: number;
  readonly bytes: number;
  /** Rank among the watch's places by their first frame, from 1; 0 where none came. */
  readonly order: number;
  readonly firstMs: number | null;
  readonly lastMs: number | null;
  readonly gaps: readonly { readonly fromMs: number; readonly toMs: number }[];
  readonly slices: readonly number[];
}

export interface WatchCounters {
  readonly watch: string;
  readonly startedMs: number;
  readonly nowMs: number;
  readonly places: readonly WatchedPlace[];
}

/**
 * A trace: probes that are followed over every link. A probe's payload begins with the cookie and
 * then, in one byte, the probe's number. The first segments of TCP carry no payload: there, probe N
 * is known by its source port, `fromPort + N`, and from the first link on by its sequence number.
 */
export interface TraceSpec {
  /** Its name, to stop it by. */
  readonly trace: string;
  /** Eight bytes in hexadecimal. */
  readonly cookie: string;
  readonly tcp?: { readonly to: string; readonly port: number; readonly fromPort: number };
}

/** A frame that has to do with a probe, as it was seen at one place. */
export interface TracedFrame {
  /**
   * request, answer: the probe and what comes back for it (a TCP reset too). error: an ICMP message
   * about the probe. ask, tell: ARP and neighbour discovery.
   */
  readonly kind: "request" | "answer" | "error" | "ask" | "tell";
  /** The probe's number; 0 for ask and tell. */
  readonly probe: number;
  readonly fromMac: string;
  readonly toMac: string;
  /** Its 802.1Q tag. */
  readonly vlan?: number;
  /** Of the packet. ask, tell: the sender's address, and the one that is asked for or told of. */
  readonly from: string;
  readonly to: string;
  readonly ttl?: number;
  readonly ports?: readonly [from: number, to: number];
  /** TCP's flags byte. */
  readonly flags?: number;
  /** Of an ICMP error: with the MTU of "too big", and where the packet it quotes was going. */
  readonly icmp?: {
    readonly type: number;
    readonly code: number;
    readonly mtu?: number;
    readonly about: string;
  };
  /** tell: whose MAC address it says the address has. */
  readonly mac?: string;
  readonly bytes: number;
}

/** One frame over one link. */
export interface Crossing {
  readonly link: string;
  /** 0: from the link's first end to its second. */
  readonly direction: 0 | 1;
  readonly enteredNs: number;
  /** When the other end had it; null where it never got there, or has not yet. */
  readonly leftNs: number | null;
  readonly drop: DropReason | null;
  readonly frame: TracedFrame;
}

export interface Trace {
  readonly trace: string;
  /** In the order they entered. */
  readonly crossings: readonly Crossing[];
  /** Crossings that were too many to keep. */
  readonly missed: number;
}

export type FabricRequest =
  | { readonly op: "add-nic"; readonly spec: NicSpec }
  | { readonly op: "add-switch"; readonly spec: SwitchSpec }
  | { readonly op: "add-outlet"; readonly spec: OutletSpec }
  | { readonly op: "add-link"; readonly spec: LinkSpec }
  | { readonly op: "remove-nic"; readonly nic: string }
  | { readonly op: "remove-switch"; readonly switch: string }
  | { readonly op: "remove-outlet"; readonly outlet: string }
  | { readonly op: "remove-link"; readonly link: string }
  | {
      readonly op: "set-link";
      readonly link: string;
      readonly impairments: LinkSpec["impairments"];
    }
  | { readonly op: "link-state"; readonly link: string; readonly up: boolean }
  | { readonly op: "capture-start"; readonly spec: CaptureSpec }
  /** Answered once all is written; without counters where it had ended by itself. */
  | { readonly op: "capture-stop"; readonly capture: string }
  | { readonly op: "watch-start"; readonly spec: WatchSpec }
  | { readonly op: "watch-stop"; readonly watch: string }
  | { readonly op: "trace-start"; readonly spec: TraceSpec }
  | { readonly op: "trace-stop"; readonly trace: string }
  | { readonly op: "counters" };

/** What a reply carries, besides that it was done. */
export interface FabricAnswers {
  readonly counters?: FabricCounters;
  readonly trace?: Trace;
  readonly recorded?: CaptureCounters;
}

/** What a request is answered with. */
export type AnswerTo<Request extends FabricRequest> = Request extends { readonly op: "trace-stop" }
  ? Trace
  : Request extends { readonly op: "capture-stop" }
    ? CaptureCounters | undefined
    : FabricCounters | undefined;

/** Why the fabric did not pass a frame on; counted where it happened. */
export type DropReason =
  | "link-down"
  | "no-peer" // nothing connected at the other end, or it is down
  | "stalled" // the receiver has not taken frames for long
  | "no-buffer" // the receiver's ring was full
  | "too-long" // more than the receiver's buffers or the MTU allow
  | "malformed" // shorter than an Ethernet header, or a bad virtio-net header
  | "loss"
  | "queue-full"
  | "vlan"
  | "reserved-group" // 802.1D group address at a switch
  | "storm"
  | "not-allowed"; // more than answers, where only ports are forwarded

/** One direction at one place: what passed and what did not. */
export interface DirectionCounters {
  readonly frames: number;
  readonly bytes: number;
  readonly drops: Partial<Record<DropReason, number>>;
}

export interface NicCounters {
  readonly nic: string;
  readonly connected: boolean;
  /** From the guest, and to the guest. Wire frames: a GSO frame counts as its segments. */
  readonly fromGuest: DirectionCounters;
  readonly toGuest: DirectionCounters;
  /** Ring errors that made the fabric disconnect the guest, since the start. */
  readonly ringErrors: number;
  readonly lastRingError: string | null;
}

export interface OutletCounters {
  /** `alice:outside`; `lan:tap0` of a TAP. */
  readonly outlet: string;
  readonly connected: boolean;
  readonly fromLab: DirectionCounters;
}

export interface LinkCounters {
  readonly link: string;
  readonly up: boolean;
  readonly ends?: LinkSpec["ends"];
  /** As they are now. */
  readonly impairments?: LinkSpec["impairments"];
  readonly directions: readonly [DirectionCounters, DirectionCounters];
}

export interface SwitchCounters {
  readonly switch: string;
  /** Frames that went to every other port. */
  readonly flooded: number;
  /** What was dropped where it came in, by the link it came by. */
  readonly ports: readonly { readonly link: string; readonly drops: DirectionCounters["drops"] }[];
  readonly addresses: readonly {
    readonly mac: string;
    readonly vlan: number;
    readonly link: string;
    readonly ageMs: number;
  }[];
}

export interface FabricCounters {
  readonly nics: readonly NicCounters[];
  readonly links: readonly LinkCounters[];
  readonly switches: readonly SwitchCounters[];
  readonly outlets?: readonly OutletCounters[];
  readonly captures?: readonly CaptureCounters[];
  readonly watches?: readonly WatchCounters[];
}

export type FabricReply =
  | ({ readonly id: number; readonly ok: true } & FabricAnswers)
  | { readonly id: number; readonly ok: false; readonly message: string };

export type FabricEvent =
  | { readonly event: "ready" }
  | { readonly event: "nic-connected"; readonly nic: string }
  | { readonly event: "nic-disconnected"; readonly nic: string; readonly reason: string }
  | { readonly event: "log"; readonly level: "info" | "warn"; readonly message: string };

/** `alice:eth0`, or the name of a switch, a way out or a TAP. */
export function endName(end: LinkEnd): string {
  switch (end.kind) {
    case "nic":
      return end.nic;
    case "outlet":
      return end.outlet;
    case "tap":
      return end.tap;
    case "switch":
      return end.switch;
  }
}
