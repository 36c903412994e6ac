/**
 * Brings a running lab to another plan, in an order in which each step finds what it needs:
 *
 *     guests that go or restart end -> their cables go -> switches and cables come
 *       -> guests that go on are changed -> the others boot
 *
 * What is not in the changes is not touched. After a failure the lab is what it says of itself: the
 * next difference begins there.
 */

import { rmSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { LabError, messageOf } from "../../base/errors.ts";
import { count } from "../../base/units.ts";
import type { OnLabEvent } from "../api.ts";
import type { OpenDisks } from "../disks/open-disks.ts";
import { type Change, changeText } from "../plan/change.ts";
import { nicsOf } from "../plan/nics.ts";
import type { GuestPlan, LabPlan } from "../plan/plan.ts";
import { guestFolder } from "../run-folder.ts";
import type { GuestParts, Guests } from "./guests.ts";
import { watchesOf } from "./judging.ts";
import type { Wiring } from "./wiring.ts";
import { within } from "./within.ts";

export interface AppliedLab {
  readonly folder: string;
  readonly guests: Guests;
  readonly wiring: Wiring;
  readonly disks: OpenDisks | undefined;
  /** What a guest that boots is made of. */
  readonly partsOf: (guest: GuestPlan) => GuestParts;
  /** The passt program. */
  readonly passt: string;
  /** The lab is wired as the plan says: from now on it is the lab's. */
  readonly onWired: () => void;
}

/** A guest that takes longer to be told something hangs. */
const CHANGE_MS = 60_000;

/**
 * Throws the first failure of a guest or a way out, with what was done and what was not, once all
 * else is done; FABRIC_FAILED; the signal's reason.
 */
export async function applyChanges(
  lab: AppliedLab,
  changes: readonly Change[],
  plan: LabPlan,
  signal: AbortSignal,
  onEvent: OnLabEvent,
): Promise<void> {
  signal.throwIfAborted();
  const named = (kind: Change["kind"], ...actions: readonly Change["action"][]) =>
    changes.filter((one) => one.kind === kind && actions.includes(one.action));
  const names = (...words: Parameters<typeof named>) => named(...words).map(({ name }) => name);
  const failures = new Failures();
  onEvent({ type: "step", step: "apply", detail: count(changes.length, "change") });

  const { guests } = lab;
  const removed = names("guest", "remove");
  const restarted = names("guest", "restart");
  await Promise.all([
    ...removed.map((name) => guests.remove(name)),
    ...restarted.map((name) => guests.keeper(name).stop()),
  ]);
  await unwire(lab, changes, plan);
  for (const name of removed) {
    rmSync(guestFolder(lab.folder, name), { recursive: true, force: true });
  }
  const withDisk = new Set(
    plan.guests.filter(({ diskBytes }) => diskBytes !== undefined).map(({ name }) => name),
  );
  lab.disks?.leave([...removed, ...restarted].filter((name) => !withDisk.has(name)));
  await wire(lab, changes, plan);
  lab.onWired();
  await Promise.all(
    plan.guests.map(async ({ name, outlet }) => {
      if (outlet === null || lab.wiring.waysOut.includes(name)) return;
      const change =
        named("way out", "replace").find((one) => one.name === name) ??
        named("guest", "add", "restart").find((one) => one.name === name);
      await failures.gather(change, () => lab.wiring.openWayOut(name, outlet, lab.passt));
    }),
  );

  const added = new Set(names("guest", "add"));
  const booting = new Set([...added, ...restarted, ...names("guest", "start")]);
  await Promise.all(
    plan.guests.map(async (guest) => {
      const { name } = guest;
      if (added.has(name)) guests.add(guest, lab.partsOf(guest));
      else if (booting.has(name)) await guests.replan(guest, lab.partsOf(guest));
      else {
        const own = named("guest", "resume", "change").find((one) => one.name === name);
        await failures.gather(own, async () => {
          if (own?.action === "resume") await guests.keeper(name).resume();
          await within(guests.change(guest), CHANGE_MS, signal);
        });
      }
    }),
  );
  guests.arrange(plan.guests.map(({ name }) => name));

  if (booting.size > 0) {
    onEvent({ type: "step", step: "boot", detail: count(booting.size, "guest") });
  }
  await Promise.all(
    named("guest", "add", "restart", "start").map((change) =>
      failures.gather(change, () => guests.keeper(change.name).start(signal)),
    ),
  );
  signal.throwIfAborted();
  failures.throwIfAny(plan, changes);
}

/** Takes out what goes: cables first, then what they were plugged into. */
async function unwire(
  { wiring }: AppliedLab,
  changes: readonly Change[],
  plan: LabPlan,
): Promise<void> {
  const outlets = new Map(plan.guests.map(({ name, outlet }) => [name, outlet]));
  const replaced = changes.filter(({ kind }) => kind === "way out").map(({ name }) => name);
  const nics = new Map(plan.guests.flatMap(nicsOf).map((nic) => [nic.nic, nic]));
  const gone = wiring.nics.filter(
    ({ socketPath: _, ...nic }) => !isDeepStrictEqual(nics.get(nic.nic), nic),
  );
  const restarted = changes.filter(({ kind, action }) => kind === "guest" && action === "restart");
  const closing = new Set([
    ...replaced,
    ...wiring.waysOut.filter((name) => (outlets.get(name) ?? null) === null),
    ...restarted.map(({ name }) => name),
  ]);
  await Promise.all([...closing].map((name) => wiring.closeWayOut(name)));
  const leaving = (kind: Change["kind"]) =>
    changes.filter((one) => one.kind === kind && ["remove", "replace"].includes(one.action));
  await Promise.all(
    leaving("link")
      .filter(({ name }) => wiring.link(name) !== undefined)
      .map(({ name }) => wiring.removeLink(name)),
  );
  await Promise.all(gone.map(({ nic }) => wiring.removeNic(nic)));
  await Promise.all(leaving("switch").map(({ name }) => wiring.removeSwitch(name)));
}

async function wire(
  { wiring }: AppliedLab,
  changes: readonly Change[],
  plan: LabPlan,
): Promise<void> {
  const switches = new Set(wiring.switches.map((one) => one.switch));
  const nics = new Set(wiring.nics.map(({ nic }) => nic));
  await Promise.all([
    ...plan.switches
      .filter((one) => !switches.has(one.switch))
      .map((spec) => wiring.addSwitch(spec)),
    ...plan.guests
      .flatMap(nicsOf)
      .filter(({ nic }) => !nics.has(nic))
      .map((nic) => wiring.addNic(nic)),
  ]);
  const changed = new Set(
    changes.filter(({ kind, action }) => kind === "link" && action === "change").map(nameOf),
  );
  await Promise.all(
    plan.links.map(async (link) => {
      const known = wiring.link(link.link);
      if (known === undefined) return wiring.addLink(link);
      if (!changed.has(link.link)) return;
      if (!isDeepStrictEqual(known.impairments, link.impairments)) {
        await wiring.impair(link.link, link.impairments);
      }
      if (known.up !== link.up) await wiring.setUp(link.link, link.up);
    }),
  );
  await wiring.watch(watchesOf(plan));
}

const nameOf = ({ name }: Change): string => name;

/** What could not be done, while the rest goes on. */
class Failures {
  readonly #all: { readonly change: Change | undefined; readonly error: unknown }[] = [];

  async gather(change: Change | undefined, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#all.push({ change, error });
    }
  }

  throwIfAny({ name: lab, file }: LabPlan, changes: readonly Change[]): void {
    const [first] = this.#all;
    if (first === undefined) return;
    const failed = new Set(this.#all.map(({ change }) => change));
    const list = (all: readonly Change[]) =>
      all.length === 0 ? "nothing" : all.map(changeText).join(", ");
    const reasons = this.#all.map(({ error }) => messageOf(error));
    const message = [
      ...new Set(reasons),
      `not done: ${list(changes.filter((change) => failed.has(change)))}`,
      `done: ${list(changes.filter((change) => !failed.has(change)))}`,
    ].join("\n");
    const code = first.error instanceof LabError ? first.error.code : "GUEST_FAILED";
    throw new LabError(code, message, {
      cause: first.error,
      hint: `the lab goes on running: correct ${file} and apply it again, or uml-lab down ${lab}`,
    });
  }
}
