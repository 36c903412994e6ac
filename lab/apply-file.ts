/** Bringing a running lab to what a file says: reads it, asks what differs, sees to what that needs. */

import { LabError, LabErrors } from "../base/errors.ts";
import type { AppliedPlan, ApplyOptions, RunningLab } from "./api.ts";
import { checkPorts } from "./free-ports.ts";
import { checkHostTaps } from "./host-taps.ts";
import { ensureParts } from "./parts.ts";
import type { LabPlan } from "./plan/plan.ts";
import { planFile } from "./plan/plan-file.ts";

/**
 * Judges the lab as `verify` does once it is what the file says. Addresses that the file leaves to us
 * stay those that interfaces have. Throws LabErrors of the file, USAGE, PORT_TAKEN, NO_TAP, NO_RIGHT and
 * what kernels and images throw while nothing is touched; then what `RunningLab.apply` throws.
 * @param lab its lab, found by the name in the file where none is given.
 */
export async function applyFile(
  { file, dryRun, signal, onEvent, startedAt }: ApplyOptions,
  find: (plan: LabPlan) => Promise<RunningLab>,
): Promise<AppliedPlan> {
  onEvent({ type: "step", step: "check", detail: file });
  const alone = await planFile(file, process.env, { toRun: true });
  await using lab = await find(alone);
  const before = await lab.plan();
  const plan = await keepingAddresses(alone, before);
  const options = { signal, onEvent };
  if (dryRun) return await lab.apply({ plan, startedAt, checkMs: Date.now() - startedAt }, options);
  await checkPorts({ guests: withNewPorts(plan, before) });
  await checkHostTaps(plan, before);
  const checkMs = Date.now() - startedAt;
  const parts = await ensureParts(plan, options);
  signal.throwIfAborted();
  return await lab.apply({ plan, parts, startedAt, checkMs }, options);
}

/** Where other lines rely on addresses as the file alone gives them, they are given so. */
async function keepingAddresses(alone: LabPlan, { guests }: LabPlan): Promise<LabPlan> {
  const given = new Map(
    guests.flatMap(({ name: guest, setup }) =>
      setup.interfaces.map(({ name, addresses }) => [`${guest}:${name}`, addresses] as const),
    ),
  );
  try {
    return await planFile(alone.file, process.env, { toRun: true, given });
  } catch (error) {
    if (error instanceof LabErrors) return alone;
    throw error;
  }
}

/** Its own ports are taken, by itself. */
function withNewPorts({ guests }: LabPlan, before: LabPlan): LabPlan["guests"] {
  const key = ({ protocol, host }: { protocol: string; host: number }) => `${protocol} ${host}`;
  const own = new Set(before.guests.flatMap(({ outlet }) => outlet?.ports ?? []).map(key));
  return guests.map((guest) =>
    guest.outlet === null
      ? guest
      : {
          ...guest,
          outlet: {
            ...guest.outlet,
            ports: guest.outlet.ports.filter((port) => !own.has(key(port))),
          },
        },
  );
}

/** Throws where the file is another lab's. */
export function refuseOther(lab: string, { name, file }: LabPlan): void {
  if (name === lab) return;
  throw new LabError("USAGE", `${file} is a lab ${name}, and this one is ${lab}`, {
    hint: `write \`name: ${lab}\` in the file, or apply it to its own lab`,
  });
}
