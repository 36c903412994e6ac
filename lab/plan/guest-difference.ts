/**
 * What differs between a guest that runs and its plan, and whether its kernel can go on. Only what is
 * known to come out as after a boot is changed in place: addresses, routes, the host table, settings
 * that have a value before and after, the environment of commands, and files of a guest in which
 * nothing was started that may have read them.
 */

import { isDeepStrictEqual } from "node:util";
import { formatMemory } from "../../base/units.ts";
import type { GuestSetup } from "../../kernel/guest/spec.ts";
import { type OutletPlan, setupWithOutlet } from "./outlets.ts";
import type { GuestPlan } from "./plan.ts";

/** In words, each. All empty: the guest is what it is to be. */
export interface GuestChanges {
  /** Not empty: its kernel ends, and another boots. */
  readonly restart: readonly string[];
  readonly inPlace: readonly string[];
  /** The process behind its way out is another; the guest goes on. */
  readonly wayOut: readonly string[];
}

export function guestChanges(before: GuestPlan, after: GuestPlan): GuestChanges {
  const was = setupWithOutlet(before.setup, before.outlet);
  const is = setupWithOutlet(after.setup, after.outlet);
  const files = filesDifference(was, is);
  const settings = recordDifference(was.sysctl, is.sysctl);
  const env = recordDifference(was.env, is.env);
  const envChanges = [...env.gone, ...env.other].map((name) => `environment: ${name}`);
  const reader = whatReadsFiles(was);
  const restart = [
    ...partsDifference(before, after),
    ...interfacesDifference(was, is),
    ...outletDifference(before.outlet, after.outlet),
    ...settings.gone.map((key) => `sysctl ${key} is gone, and its default is not known`),
    ...(isDeepStrictEqual(was.services, is.services) ? [] : ["its daemons differ"]),
    ...(was.startsImage === is.startsImage
      ? []
      : [is.startsImage ? "its image's command is to run" : "its image's command is not to run"]),
    ...(isDeepStrictEqual(was.run, is.run) ? [] : ["`run` differs"]),
    ...files.gone.map((path) => `${path} is gone`),
    ...(reader === undefined
      ? []
      : [...files.other, ...envChanges].map(
          (what) => `${what} differs, and ${reader} may have read it`,
        )),
  ];
  const inPlace = [
    ...addressDifference(was, is),
    ...(isDeepStrictEqual(was.routes, is.routes) ? [] : routesDifference(was, is)),
    ...settings.other.map((key) => `sysctl ${key}`),
    ...(isDeepStrictEqual(was.hosts, is.hosts) ? [] : ["/etc/hosts"]),
    ...(reader === undefined ? [...files.other, ...envChanges] : []),
  ];
  const ports = [before.outlet?.ports, after.outlet?.ports];
  const wayOut =
    restart.length === 0 && !isDeepStrictEqual(ports[0], ports[1]) ? ["its ports differ"] : [];
  return { restart, inPlace, wayOut };
}

/** What a kernel is booted with. */
function partsDifference(before: GuestPlan, after: GuestPlan): string[] {
  const memory = (bytes: number | undefined) =>
    bytes === undefined ? "what its image needs" : formatMemory(bytes);
  return [
    ...(before.image === after.image ? [] : [`its image is ${after.image}`]),
    ...(before.kernel === after.kernel ? [] : [`its kernel is ${after.kernel}`]),
    ...(before.memoryBytes === after.memoryBytes
      ? []
      : [`its memory is ${memory(after.memoryBytes)}`]),
    ...(before.isolation === after.isolation ? [] : [`isolation is ${after.isolation}`]),
    ...diskDifference(before.diskBytes, after.diskBytes),
  ];
}

/** Disks don't shrink. */
function diskDifference(before: number | undefined, after: number | undefined): string[] {
  if (before === after) return [];
  if (after === undefined) return ["it has no disk now"];
  if (before === undefined) return ["its disk is new"];
  return after > before ? [`its disk has ${formatMemory(after)}`] : [];
}

function interfacesDifference(was: GuestSetup, is: GuestSetup): string[] {
  const before = new Map(was.interfaces.map((one) => [one.name, one]));
  const after = new Set(is.interfaces.map(({ name }) => name));
  return [
    ...was.interfaces.flatMap(({ name }) => (after.has(name) ? [] : [`interface ${name} is gone`])),
    ...is.interfaces.flatMap(({ name, mac, mtu }) => {
      const known = before.get(name);
      if (known === undefined) return [`interface ${name} is new`];
      return [
        ...(known.mac === mac ? [] : [`the MAC address of ${name} is ${mac}`]),
        ...(known.mtu === mtu ? [] : [`the MTU of ${name} is ${mtu}`]),
      ];
    }),
  ];
}

/** Its ports are another matter: they are only its process's. */
function outletDifference(before: OutletPlan | null, after: OutletPlan | null): string[] {
  // an interface that comes or goes is told as such
  if (before === null || after === null) return [];
  const rest = ({ ports: _, routes: __, mac: ___, mtu: ____, ...others }: OutletPlan) => others;
  return isDeepStrictEqual(rest(before), rest(after)) ? [] : ["its way out differs"];
}

function addressDifference(was: GuestSetup, is: GuestSetup): string[] {
  const before = new Map(was.interfaces.map((one) => [one.name, one.addresses]));
  return is.interfaces.flatMap(({ name, addresses }) => {
    const known = before.get(name);
    if (known === undefined || isDeepStrictEqual(known, addresses)) return [];
    return [`${name}: ${addresses.length === 0 ? "no address" : addresses.join(", ")}`];
  });
}

function routesDifference(was: GuestSetup, is: GuestSetup): string[] {
  const text = ({ to, via }: GuestSetup["routes"][number]) => `${to} via ${via}`;
  const before = new Set(was.routes.map(text));
  const after = new Set(is.routes.map(text));
  return [
    ...[...after].filter((route) => !before.has(route)).map((route) => `route ${route}`),
    ...[...before].filter((route) => !after.has(route)).map((route) => `no route ${route}`),
  ];
}

/** Something that was started in the guest by its plan: what it read when it started is not known. */
function whatReadsFiles({ services, startsImage, run }: GuestSetup): string | undefined {
  const [daemon] = services;
  if (daemon !== undefined) return daemon.name;
  if (startsImage) return "its image's command";
  return run.length > 0 ? "`run`" : undefined;
}

/** Later ones of a path win, as they do when they are written. */
function filesDifference(was: GuestSetup, is: GuestSetup): { gone: string[]; other: string[] } {
  const byPath = ({ files }: GuestSetup) =>
    Object.fromEntries(
      files.map(({ path, mode, content }) => [
        path,
        `${mode} ${Buffer.from(content).toString("base64")}`,
      ]),
    );
  return recordDifference(byPath(was), byPath(is));
}

/** Keys that are gone, and keys that are new or have another value. */
function recordDifference(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): { gone: string[]; other: string[] } {
  return {
    gone: Object.keys(before).filter((key) => after[key] === undefined),
    other: Object.keys(after).filter((key) => before[key] !== after[key]),
  };
}
