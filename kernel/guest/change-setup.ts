/**
 * Makes a running guest what another setup says, as far as it needs no boot: the host table, sysctl,
 * addresses, routes and files. What is the same is not touched. As at its boot, no process is
 * started in the guest for it.
 */

import { isDeepStrictEqual } from "node:util";
import {
  type InterfaceAddress,
  type IpAddress,
  parseInterfaceAddress,
  parseIp,
} from "../../base/addresses.ts";
import { LabError, messageOf } from "../../base/errors.ts";
import {
  addAddress,
  addRoute,
  dumpLinks,
  type GuestLink,
  parseLinks,
  removeAddress,
  removeRoute,
  sameMac,
} from "./netlink.ts";
import { hostsFile, type SetupAgent, type Step, settle, sysctlPath, takeSteps } from "./setup.ts";
import type { GuestSetup } from "./spec.ts";

type Network = Pick<GuestSetup, "interfaces" | "routes">;
type Route = GuestSetup["routes"][number];

/** linux: include/uapi/asm-generic/errno{-base,}.h */
const ESRCH = 3;
const EADDRNOTAVAIL = 99;

/** Throws GUEST_SETUP with what could not be done. */
export async function changeSetup(
  guest: string,
  before: GuestSetup,
  after: GuestSetup,
  agent: Pick<SetupAgent, "writeFile" | "netlink">,
): Promise<void> {
  const fail = (what: string) => new LabError("GUEST_SETUP", `guest ${guest}: ${what}`);
  const write = (path: string, content: Uint8Array, mode: number | undefined, what: string) =>
    agent.writeFile(path, content, mode).catch((cause: unknown) => {
      throw new LabError("GUEST_SETUP", `guest ${guest}: ${what}: ${messageOf(cause)}`, { cause });
    });
  const done: Promise<void>[] = [];
  if (!isDeepStrictEqual(before.hosts, after.hosts)) {
    done.push(write("/etc/hosts", Buffer.from(hostsFile(after)), 0o644, "/etc/hosts"));
  }
  for (const [key, value] of Object.entries(after.sysctl)) {
    if (before.sysctl[key] === value) continue;
    const text = Buffer.from(`${value}\n`);
    done.push(write(sysctlPath(key), text, undefined, `sysctl ${key}=${value}`));
  }
  await settle(done);
  if (networkDiffers(before, after)) {
    const links = parseLinks(await agent.netlink(dumpLinks()));
    await takeSteps(changeSteps(before, after, links, fail), agent, fail);
  }
  const had = new Map(before.files.map((file) => [file.path, file]));
  await settle(
    after.files
      .filter(({ path, mode, content }) => {
        const known = had.get(path);
        return known?.mode !== mode || Buffer.compare(known.content, content) !== 0;
      })
      .map(({ path, content, mode }) => write(path, content, mode, "files")),
  );
}

function networkDiffers(before: Network, after: Network): boolean {
  const addresses = ({ interfaces }: Network) =>
    interfaces.map(({ name, addresses }) => ({ name, addresses }));
  return (
    !isDeepStrictEqual(addresses(before), addresses(after)) ||
    !isDeepStrictEqual(before.routes, after.routes)
  );
}

/**
 * What is new comes before what is old goes. The kernel takes other addresses and routes along with
 * an address that goes (the secondaries of its subnet, routes through it), so all are given again
 * then.
 */
export function changeSteps(
  before: Network,
  after: Network,
  links: readonly GuestLink[],
  fail: (what: string) => Error,
): Step[] {
  const steps: Step[] = [];
  let sequence = 0;
  const step = (what: string, make: (sequence: number) => Buffer, excused: number[] = []) =>
    steps.push({ what, message: make(++sequence), excused });
  const addressOf = (text: string): InterfaceAddress => {
    const address = parseInterfaceAddress(text);
    if (address === undefined) throw fail(`${text} is not an address`);
    return address;
  };
  const giveRoute = (route: Route) => {
    const { to, via } = routeOf(route, fail);
    step(`route ${route.to} via ${route.via}`, (n) => addRoute(n, to, via));
  };

  const had = new Map(before.interfaces.map(({ name, addresses }) => [name, addresses]));
  const changed = after.interfaces.flatMap(({ name, mac, addresses }) => {
    const known = had.get(name) ?? [];
    if (isDeepStrictEqual(known, addresses)) return [];
    const link = links.find((one) => sameMac(one.mac, mac));
    if (link === undefined) throw fail(`${name} (${mac}) is not there`);
    const gone = known.filter((one) => !addresses.includes(one));
    return [{ name, index: link.index, addresses, gone }];
  });
  const giveAddresses = () => {
    for (const { name, index, addresses } of changed) {
      for (const text of addresses) {
        const address = addressOf(text);
        step(`${name}: address ${text}`, (n) => addAddress(n, index, address));
      }
    }
  };

  giveAddresses();
  const known = new Set(before.routes.map(textOf));
  for (const route of after.routes) if (!known.has(textOf(route))) giveRoute(route);
  const served = new Set(after.routes.map(destinationOf));
  const wanted = new Set(after.routes.map(textOf));
  for (const route of before.routes) {
    // one with the same destination was put in its place
    if (wanted.has(textOf(route)) || served.has(destinationOf(route))) continue;
    const { to, via } = routeOf(route, fail);
    step(`no route ${textOf(route)}`, (n) => removeRoute(n, to, via), [ESRCH]);
  }
  let taken = false;
  for (const { name, index, gone } of changed) {
    for (const text of gone) {
      const address = addressOf(text);
      const gone = (n: number) => removeAddress(n, index, address);
      step(`${name}: no address ${text}`, gone, [EADDRNOTAVAIL]);
      taken = true;
    }
  }
  if (taken) {
    giveAddresses();
    for (const route of after.routes) giveRoute(route);
  }
  return steps;
}

function routeOf(
  { to, via }: Route,
  fail: (what: string) => Error,
): { readonly to: InterfaceAddress | undefined; readonly via: IpAddress } {
  const gateway = parseIp(via);
  const network = to === "default" ? undefined : parseInterfaceAddress(to);
  if (gateway === undefined || (network === undefined && to !== "default")) {
    throw fail(`${to} via ${via} is not a route`);
  }
  return { to: network, via: gateway };
}

const textOf = ({ to, via }: Route): string => `${to} via ${via}`;
const destinationOf = ({ to, via }: Route): string => `${to} ${via.includes(":") ? 6 : 4}`;
