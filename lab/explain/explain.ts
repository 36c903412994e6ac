/**
 * Explains one pair: sends probes while the fabric follows them, asks the guests that they came to,
 * and draws the conclusion. What touches the world comes in as `Instruments`.
 *
 *     trace on -> probes -> trace off -> ways -> questions to guests -> finding
 *                             again, where a firewall may have counted, a long packet may vanish,
 *                             or another protocol may get through
 */

import { randomBytes, randomInt } from "node:crypto";
import { formatIp, type IpAddress, parseIp } from "../../base/addresses.ts";
import type { Trace, TraceSpec } from "../../net/control/messages.ts";
import { Limiter } from "../limiter.ts";
import type { LabPlan } from "../plan/plan.ts";
import { type Case, ipName, type LinkState } from "./case.ts";
import { diagnose, errorText } from "./diagnose.ts";
import type { Explanation, Finding, ProbeKind } from "./explanation.ts";
import type { DropRule } from "./firewall.ts";
import {
  ADDRESS_SCRIPT,
  addressesOf,
  type GuestView,
  interfaceView,
  type Lookup,
  lookupOf,
  parseView,
  viewScript,
} from "./guest-view.ts";
import { hopsOf, lonely, vainQuestion } from "./hops.ts";
import {
  chooseJourney,
  type Journey,
  type Outcome,
  parseOutcomes,
  unanswered,
  whomToAsk,
} from "./journey.ts";
import { guestOf, type Leg, legsOf } from "./way.ts";
import { Wiring } from "./wiring.ts";

export interface ProbeRequest {
  readonly kind: ProbeKind["kind"];
  readonly address: IpAddress;
  readonly cookie: string;
  readonly count: number;
  readonly waitMs: number;
  /** Bytes of the packet; 0: as small as it can be. */
  readonly size: number;
  readonly port: number;
  readonly fromPort: number;
}

export interface Instruments {
  readonly startTrace: (spec: TraceSpec) => Promise<void>;
  readonly stopTrace: (trace: string) => Promise<Trace>;
  /** What the prober printed (kernel/agent/probe.c). */
  readonly probe: (guest: string, request: ProbeRequest) => Promise<string>;
  /** What a shell script printed in a guest; undefined where it can't be asked. */
  readonly ask: (guest: string, script: string) => Promise<string | undefined>;
  readonly linkState: (link: string) => LinkState | undefined;
  readonly obstacle: (guest: string) => string | undefined;
  readonly pause: (ms: number) => Promise<void>;
}

export interface ExplainRequest {
  readonly from: string;
  /** A guest or an address. */
  readonly to: string;
  readonly probe: ProbeKind;
}

/** brief: for a line in a report. thorough: for somebody who asked, with second looks. */
export type Depth = "brief" | "thorough";

const MOST_ADDRESSES = 8;
const WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
/** Guests on the target's wire that are asked for their addresses. */
const MOST_TWINS = 24;
const ASKED_AT_ONCE = 8;
/** Linux, net/ipv4/route.c: an error costs a second's worth, and two checks count it. */
const ERROR_RATE_MS = 2500;
/** A port that nobody listens on: a refusal shows that TCP gets through. */
const SOME_PORT = 7;

export class Explainer {
  readonly #plan: LabPlan;
  readonly #wiring: Wiring;
  readonly #instruments: Instruments;

  constructor(plan: LabPlan, instruments: Instruments) {
    this.#plan = plan;
    this.#wiring = new Wiring(plan);
    this.#instruments = instruments;
  }

  /** Explains the first address of the target that is not reached, or the first of all. */
  async explain({ from, to, probe }: ExplainRequest): Promise<Explanation> {
    const address = parseIp(to);
    if (address !== undefined) {
      const owner = this.#wiring.owner(formatIp(address))?.guest ?? null;
      return this.explainAddress({ from, to: owner, address, probe }, "thorough");
    }
    const addresses = await this.#addressesOf(to);
    let first: Explanation | undefined;
    for (const one of addresses.slice(0, MOST_ADDRESSES)) {
      const found = await this.explainAddress({ from, to, address: one, probe }, "thorough");
      if (found.cause !== null) return found;
      first ??= found;
    }
    return first ?? this.#nowhere({ from, to, probe });
  }

  async explainAddress(
    target: {
      readonly from: string;
      readonly to: string | null;
      readonly address: IpAddress;
      readonly probe: ProbeKind;
    },
    depth: Depth,
  ): Promise<Explanation> {
    const thorough = depth === "thorough";
    const { from, to } = target;
    const blocked = this.#instruments.obstacle(from) ?? (to && this.#instruments.obstacle(to));
    const wanted = { ...target, count: thorough ? 3 : 2, size: 0 };
    const look =
      blocked == null
        ? await this.#look(wanted, { depth, before: undefined })
        : this.#blind(wanted);
    let { known, finding } = look;
    if (finding !== null && mayBeFirewall(known) && blocked == null) {
      // what counted its drops counts this one, too
      const again = await this.#look(
        { ...wanted, count: 1 },
        { depth, before: rulesOf(known.views) },
      );
      if (again.finding !== null) ({ known, finding } = again);
    }
    if (thorough && finding?.cause === "no-route-at-router" && known.journey.errors.length === 0) {
      // kernels send few ICMP errors a second: those before this one may have used them up
      await this.#instruments.pause(ERROR_RATE_MS);
      const again = await this.#look(wanted, { depth, before: undefined });
      if (again.finding !== null) ({ known, finding } = again);
    }
    const reached = finding === null;
    if (thorough && finding !== null) finding = await this.#tryOtherwise(known, finding);
    const notes: string[] = [];
    if (thorough && finding === null && target.probe.kind === "icmp") {
      finding = await this.#tryLong(target, known, notes);
    }
    return this.#tell(known, finding, reached || finding?.cause === "duplicate-address", notes);
  }

  // ------------------------------------------------------------------ one look

  async #look(
    target: Target,
    options: {
      readonly depth: Depth;
      readonly before: ReadonlyMap<string, readonly DropRule[]> | undefined;
    },
  ): Promise<{ readonly known: Case; readonly finding: Finding | null }> {
    const { from, address, probe } = target;
    const { outcomes, trace } = await this.#send(target);
    const legs = legsOf(trace.crossings, this.#wiring);
    const journey = chooseJourney(legs, outcomes, from);
    const healthy = journey.outcome?.word === "answer";
    const views =
      healthy && options.depth === "brief"
        ? new Map<string, GuestView>()
        : await this.#views(journey, legs, target, options.depth);
    const known: Case = {
      wiring: this.#wiring,
      from,
      to: target.to,
      address,
      probe,
      size: target.size,
      legs,
      journey,
      views,
      rulesBefore: options.before ?? new Map(),
      linkState: this.#instruments.linkState,
      obstacle: this.#instruments.obstacle,
    };
    return { known, finding: diagnose(known) };
  }

  /** Of a pair that can't be probed: one of the two does not run. */
  #blind(target: Target): { readonly known: Case; readonly finding: Finding | null } {
    const known: Case = {
      ...target,
      wiring: this.#wiring,
      legs: [],
      journey: chooseJourney([], [], target.from),
      views: new Map(),
      rulesBefore: new Map(),
      linkState: this.#instruments.linkState,
      obstacle: this.#instruments.obstacle,
    };
    return { known, finding: diagnose(known) };
  }

  async #send(target: Target): Promise<{ outcomes: Outcome[]; trace: Trace }> {
    const { from, address, probe, count, size } = target;
    const cookie = randomBytes(8).toString("hex");
    const fromPort = randomInt(33_000, 60_000);
    const port = probe.kind === "icmp" ? 0 : probe.port;
    const trace = `explain-${cookie}`;
    await this.#instruments.startTrace({
      trace,
      cookie,
      ...(probe.kind === "tcp" ? { tcp: { to: formatIp(address), port, fromPort } } : {}),
    });
    let output = "";
    let result: Trace;
    try {
      output = await this.#instruments.probe(from, {
        kind: probe.kind,
        address,
        cookie,
        count,
        waitMs: this.#waitMs(),
        size,
        port,
        fromPort,
      });
    } finally {
      result = await this.#instruments.stopTrace(trace);
    }
    return { outcomes: parseOutcomes(output), trace: result };
  }

  /** Long enough for the cables of the lab. */
  #waitMs(): number {
    const delays = this.#plan.links
      .flatMap(
        ({ link, impairments }) => this.#instruments.linkState(link)?.impairments ?? impairments,
      )
      .map(({ delayNs = 0, jitterNs = 0 }) => (delayNs + jitterNs) / 1e6)
      .sort((a, b) => b - a);
    const sum = delays.slice(0, 16).reduce((a, b) => a + b, 0);
    return Math.round(Math.min(WAIT_MS + sum, LONGEST_WAIT_MS));
  }

  async #views(
    journey: Journey,
    legs: readonly Leg[],
    { from, to, address }: Target,
    depth: Depth,
  ): Promise<Map<string, GuestView>> {
    const text = formatIp(address);
    const questions = whomToAsk(journey, from, text);
    const add = (guest: string | undefined) => {
      if (guest !== undefined && !questions.has(guest)) questions.set(guest, []);
    };
    if (to !== null) add(to);
    for (const guest of [...questions.keys()]) {
      for (const asked of unanswered(legs, guest)) add(this.#wiring.owner(asked)?.guest);
    }
    const twins = new Set<string>();
    const owner = this.#wiring.owner(text);
    if (depth === "thorough" && owner !== undefined) {
      for (const { guest } of this.#wiring.onWire(owner)) twins.add(guest);
    }
    const views = new Map<string, GuestView>();
    const limiter = new Limiter(ASKED_AT_ONCE);
    const look = (guest: string, script: string, lookups: readonly Lookup[]) =>
      limiter.run(async () => {
        if (this.#instruments.obstacle(guest) !== undefined) return;
        const output = await this.#instruments.ask(guest, script);
        if (output !== undefined) views.set(guest, parseView(guest, output, lookups));
      });
    const only = [...twins].filter((guest) => !questions.has(guest)).slice(0, MOST_TWINS);
    await Promise.all([
      ...[...questions].map(([guest, lookups]) => look(guest, viewScript(lookups), lookups)),
      ...only.map((guest) => look(guest, ADDRESS_SCRIPT, [])),
    ]);
    return views;
  }

  async #addressesOf(guest: string): Promise<IpAddress[]> {
    const planned = this.#wiring.addressesOf(guest).map(({ address }) => address.address);
    if (planned.length > 0 || this.#instruments.obstacle(guest) !== undefined) return planned;
    const output = await this.#instruments.ask(guest, ADDRESS_SCRIPT);
    const view = output === undefined ? undefined : parseView(guest, output, []);
    return ([4, 6] as const).flatMap((family) =>
      view === undefined ? [] : addressesOf(view, family).map(({ address }) => address),
    );
  }

  // ------------------------------------------------------------------ second looks

  /** Whether another protocol gets through where this one was filtered. */
  async #tryOtherwise(known: Case, finding: Finding): Promise<Finding> {
    const filtered = ["firewall-drop", "firewall-reject", "echo-ignored"].includes(finding.cause);
    if (!filtered) return finding;
    const { probe, address, from, to } = known;
    const other: ProbeKind =
      probe.kind === "icmp" ? { kind: "tcp", port: listeningPort(known) } : { kind: "icmp" };
    const { outcomes, trace } = await this.#send({
      from,
      to,
      address,
      probe: other,
      count: 2,
      size: 0,
    });
    const word = outcomes.find((one) => one.word === "answer" || one.word === "refused")?.word;
    if (word === undefined) return finding;
    if (other.kind === "icmp") {
      if (word !== "answer") return finding;
      const what = probe.kind === "icmp" ? "" : `${probe.kind.toUpperCase()} port ${probe.port}`;
      return {
        ...finding,
        cause: "port-filtered",
        sentence: `ICMP gets through, ${what} does not: ${finding.sentence}`,
      };
    }
    if (word === "refused" && !(await this.#refusedByTarget(known, trace, outcomes)))
      return finding;
    const open =
      word === "answer"
        ? `TCP port ${other.port} is open`
        : `TCP gets through (port ${other.port} is closed there)`;
    return {
      ...finding,
      cause: "icmp-filtered",
      sentence: `ICMP is filtered, but ${open}: ${finding.sentence}`,
    };
  }

  /** A refusal shows that TCP gets through only where the target itself sent it. */
  async #refusedByTarget(
    known: Case,
    trace: Trace,
    outcomes: readonly Outcome[],
  ): Promise<boolean> {
    const legs = legsOf(trace.crossings, this.#wiring);
    const [first] = chooseJourney(legs, outcomes, known.from).back;
    return first !== undefined && guestOf(first.from) === known.to;
  }

  /** Whether packets as long as the source's interface allows get through as well. */
  async #tryLong(
    target: Omit<Target, "count" | "size">,
    small: Case,
    notes: string[],
  ): Promise<Finding | null> {
    const view = small.views.get(target.from);
    const route = view && lookupOf(view, { to: formatIp(target.address) });
    const size = view && route?.interface && interfaceView(view, route.interface)?.mtu;
    if (!size || size > 65_000) return null;
    const { known, finding } = await this.#look(
      { ...target, count: 3, size },
      { depth: "brief", before: undefined },
    );
    if (finding === null) return null;
    const tooBig = known.journey.errors.find(
      ({ way }) => way[0]?.crossing.frame.icmp?.mtu !== undefined,
    );
    if (tooBig !== undefined) {
      const text = errorText(tooBig.way[0] as Leg);
      notes.push(
        `Packets of ${size} bytes are too long for the way; ${tooBig.by} says so (${text}), and ${target.from} sends shorter ones.`,
      );
      return null;
    }
    if (finding.cause === "cable-lossy") return null; // chance, and small ones get through
    if (small.journey.there.length === 0) {
      // labels or a tunnel's header, which its own kernel reckons with and the probe does not
      notes.push(
        `Packets of ${size} bytes are not answered: ${target.from} itself puts them into another form, in which they are too long for the way.`,
      );
      return null;
    }
    return {
      ...finding,
      cause: "mtu-black-hole",
      sentence: `Small packets get through, packets of ${size} bytes do not: ${finding.sentence}`,
    };
  }

  // ------------------------------------------------------------------ the answer

  #tell(
    known: Case,
    finding: Finding | null,
    reachable: boolean,
    notes: readonly string[],
  ): Explanation {
    const { journey, from, to, probe } = known;
    const address = formatIp(known.address);
    const { family } = known.address;
    const [answer] = journey.back;
    const error = answer === undefined ? journey.errors[0] : undefined;
    const arrived = journey.there.at(-1)?.crossing.leftNs ?? null;
    const last = journey.there.at(-1);
    const end = last && guestOf(last.to);
    const isAnswered = journey.outcome?.word === "answer";
    const silent = answer === undefined && error === undefined && !isAnswered;
    const there =
      last === undefined
        ? [lonely(from, vainQuestion(known.legs, from, family) ?? "sends nothing")]
        : hopsOf(journey.there, {
            last:
              silent && end !== undefined
                ? (vainQuestion(known.legs, end, family) ?? "sends nothing on")
                : null,
          });
    const way = answer === undefined ? (error?.way ?? []) : journey.back;
    const backEnd = way.at(-1);
    const lostAt = backEnd && guestOf(backEnd.to) !== from ? guestOf(backEnd.to) : undefined;
    const back = hopsOf(way, {
      sinceNs: arrived,
      first: error === undefined ? null : `ICMP "${errorText(error.way[0] as Leg)}"`,
      last:
        lostAt === undefined
          ? null
          : isAnswered
            ? ELSEWHERE
            : (vainQuestion(known.legs, lostAt, family) ?? "sends nothing on"),
    });
    const firstNs = journey.there[0]?.crossing.enteredNs;
    const jumps = answer !== undefined && end !== undefined && guestOf(answer.from) !== end;
    const unseen = isAnswered && (lostAt !== undefined || end !== to || jumps);
    const lastNs = backEnd !== undefined && lostAt === undefined ? backEnd.crossing.leftNs : null;
    const rttMs =
      answer === undefined || lastNs === null || firstNs === undefined
        ? isAnswered
          ? Math.round((journey.outcome?.value ?? 0) / 1000) / 1000
          : null
        : Math.round((lastNs - firstNs) / 1000) / 1000;
    return {
      lab: this.#plan.name,
      from,
      to: to ?? address,
      address,
      probe,
      reachable,
      rttMs,
      cause: finding?.cause ?? null,
      at: finding?.at ?? {},
      sentence: finding?.sentence ?? healthy(known, rttMs),
      hint: finding?.hint ?? null,
      there,
      back,
      notes: unseen && to !== null ? [...notes, UNSEEN] : notes,
    };
  }

  /** The target has no address at all: there is nothing to send to. */
  #nowhere({ from, to, probe }: ExplainRequest): Explanation {
    const obstacle = this.#instruments.obstacle(to);
    return {
      lab: this.#plan.name,
      from,
      to,
      address: "",
      probe,
      reachable: false,
      rttMs: null,
      cause: obstacle === undefined ? "no-address" : "guest-gone",
      at: { guest: to },
      sentence:
        obstacle === undefined
          ? `${to} has no address that ${from} could send to.`
          : `${obstacle}.`,
      hint: `uml-lab exec ${to} -- ip address`,
      there: [],
      back: [],
      notes: [],
    };
  }
}

interface Target {
  readonly from: string;
  readonly to: string | null;
  readonly address: IpAddress;
  readonly probe: ProbeKind;
  readonly count: number;
  readonly size: number;
}

function mayBeFirewall({ journey, views }: Case): boolean {
  const guests = [journey.there.at(-1), journey.back.at(-1), journey.back[0]].flatMap((leg) =>
    leg === undefined ? [] : [guestOf(leg.to), guestOf(leg.from)],
  );
  const all = [...guests, ...journey.errors.map(({ by }) => by), ...views.keys()];
  return all.some((guest) => (views.get(guest ?? "")?.dropRules.length ?? 0) > 0);
}

const rulesOf = (views: ReadonlyMap<string, GuestView>): Map<string, readonly DropRule[]> =>
  new Map([...views].map(([guest, { dropRules }]) => [guest, dropRules]));

/** A TCP port that something listens on at the target, for everybody. */
function listeningPort({ to, views, address }: Case): number {
  const sockets = to === null ? [] : (views.get(to)?.listening.tcp ?? []);
  const ports = sockets.flatMap((socket) => {
    const colon = socket.lastIndexOf(":");
    const host = socket.slice(0, colon).replace(/[[\]]/g, "");
    const any = ["*", "0.0.0.0", "::"].includes(host.replace(/%.*/, ""));
    return any || host === formatIp(address) ? [Number(socket.slice(colon + 1))] : [];
  });
  return ports.sort((a, b) => a - b)[0] ?? SOME_PORT;
}

/** The last thing seen of a packet that arrived all the same. */
const ELSEWHERE = "sends it on in another form";
const UNSEEN =
  "Part of the way is not shown: there the packet travels in another form, a tunnel's or with labels.";

function healthy({ journey, from, to, probe, address }: Case, rttMs: number | null): string {
  const crossed = journey.there.flatMap((leg) => (leg.to.kind === "guest" ? [leg.to.guest] : []));
  const routers = crossed.at(-1) === (to ?? crossed.at(-1)) ? crossed.slice(0, -1) : crossed;
  const who = to ?? crossed.at(-1) ?? formatIp(address);
  const by = routers.length === 0 ? "directly" : `by way of ${routers.join(", ")}`;
  const what =
    probe.kind === "icmp"
      ? ipName(address.family)
      : `${probe.kind.toUpperCase()} port ${probe.port}`;
  const time = rttMs === null ? "" : ` and back in ${rttMs} ms`;
  return `Nothing is wrong: ${from} reaches ${who} (${formatIp(address)}, ${what}) ${by}${time}.`;
}
