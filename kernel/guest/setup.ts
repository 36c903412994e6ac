/**
 * Makes a guest what the topology says it is: name, sysctl, interfaces, addresses, routes, files,
 * and then its `run` commands.
 *
 * All but `run` goes to the agent as files and routing messages, in one go and without starting a
 * process in the guest: the image needs neither `ip` nor a shell for it, and it takes
 * milliseconds.
 */

import { parseInterfaceAddress, parseIp } from "../../base/addresses.ts";
import { LabError, messageOf } from "../../base/errors.ts";
import { errnoText } from "./errno.ts";
import {
  addAddress,
  addRoute,
  dumpLinks,
  type GuestLink,
  parseAcknowledgements,
  parseLinks,
  renameLink,
  sameMac,
  setLinkUp,
} from "./netlink.ts";
import type { ExecResult, GuestSetup } from "./spec.ts";

/** What setting up needs of the agent. */
export interface SetupAgent {
  writeFile(path: string, content: Uint8Array, mode: number | undefined): Promise<void>;
  netlink(messages: Uint8Array): Promise<Uint8Array>;
  run(command: string): Promise<ExecResult>;
  /** Starts the image's own command; rejects where it has none, or no such user. */
  startImage(): Promise<void>;
}

/** One routing message. */
export interface Step {
  readonly what: string;
  readonly message: Buffer;
  /** Errors that mean that it is done already. */
  readonly excused?: readonly number[];
}

/** Messages in one frame: their answers must fit the guest's socket buffer. */
const BATCH = 64;

export async function applySetup(
  guest: string,
  setup: GuestSetup,
  agent: SetupAgent,
  signal: AbortSignal,
): Promise<void> {
  const fail = (what: string) => new LabError("GUEST_SETUP", `guest ${guest}: ${what}`);
  const failing = (what: string) => (cause: unknown) => {
    throw new LabError("GUEST_SETUP", `guest ${guest}: ${what}: ${messageOf(cause)}`, { cause });
  };
  const write = (path: string, text: string, mode?: number) =>
    agent.writeFile(path, Buffer.from(text), mode);

  // Sent at once, and done in this order: the line and the agent keep it.
  const done: Promise<void>[] = [
    write("/proc/sys/kernel/hostname", setup.hostname),
    write("/etc/hostname", `${setup.hostname}\n`, 0o644),
    write("/etc/hosts", hostsFile(setup), 0o644),
    ...earlySettings(setup).map(([key, value]) =>
      // A kernel without IPv6 has none of these, and needs none.
      write(sysctlPath(key), value).catch(() => {}),
    ),
    ...Object.entries(setup.sysctl).map(([key, value]) =>
      write(sysctlPath(key), `${value}\n`).catch(failing(`sysctl ${key}=${value}`)),
    ),
  ];
  const answer = setup.interfaces.length > 0 ? agent.netlink(dumpLinks()) : undefined;
  await settle([...done, ...(answer ? [answer.then(() => {})] : [])]);
  if (answer !== undefined) {
    await takeSteps(networkSteps(setup, parseLinks(await answer), fail), agent, fail);
  }
  await settle(
    setup.files.map(({ path, content, mode }) =>
      agent.writeFile(path, content, mode).catch(failing("files")),
    ),
  );
  for (const { name, start } of setup.services) {
    signal.throwIfAborted();
    const { code, stdout, stderr } = await agent.run(start);
    if (code !== 0)
      throw fail(`${name} does not run: ${`${stdout}${stderr}`.trim() || `status ${code}`}`);
  }
  if (setup.startsImage) await agent.startImage();
  for (const command of setup.run) {
    signal.throwIfAborted();
    const { code, stdout, stderr } = await agent.run(command);
    if (code !== 0) {
      const output = `${stdout}${stderr}`.trimEnd();
      throw new LabError(
        "GUEST_SETUP",
        `guest ${guest}: \`${command}\` ended with status ${code}${output && `\n${output}`}`,
      );
    }
  }
}

/** In their order. Throws what `fail` makes of the first that went wrong. */
export async function takeSteps(
  steps: readonly Step[],
  agent: Pick<SetupAgent, "netlink">,
  fail: (what: string) => Error,
): Promise<void> {
  await settle(
    chunksOf(steps, BATCH).map(async (batch) => {
      const errors = parseAcknowledgements(
        await agent.netlink(Buffer.concat(batch.map(({ message }) => message))),
      );
      for (const { what, message, excused = [] } of batch) {
        const error = errors.get(message.readUInt32LE(8));
        if (error === undefined) throw fail(`${what}: no answer`);
        if (error === 0 || excused.includes(error)) continue;
        throw fail(`${what}: ${errnoText(error).message}`);
      }
    }),
  );
}

/** All of them to their end, then the first error: no rejection is left alone. */
export async function settle(promises: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) {
    if (result.status === "rejected") throw result.reason;
  }
}

/** Before an interface is up: its link-local address must be usable at once too. */
function earlySettings(setup: GuestSetup): [key: string, value: string][] {
  return ["default", ...setup.interfaces.map(({ name }) => name)].flatMap((name) => [
    [`net/ipv6/conf/${name}/accept_dad`, "0\n"],
    [`net/ipv6/conf/${name}/dad_transmits`, "0\n"],
  ]);
}

/** `net.ipv4.ip_forward`, or with slashes where a name holds a dot (`net/ipv4/conf/eth0.5/…`). */
export function sysctlPath(key: string): string {
  const slash = key.indexOf("/");
  const dot = key.indexOf(".");
  const dotted = slash < 0 || (dot >= 0 && dot < slash);
  // sysctl(8): the first separator decides; in dotted keys a slash stands for a dot.
  const path = dotted ? key.replace(/[./]/g, (c) => (c === "." ? "/" : ".")) : key;
  return `/proc/sys/${path}`;
}

export function hostsFile(setup: Pick<GuestSetup, "hostname" | "hosts">): string {
  const lines = [
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
    ...setup.hosts.map(({ address, names }) => `${address} ${names.join(" ")}`),
  ];
  if (!setup.hosts.some(({ names }) => names.includes(setup.hostname))) {
    lines.push(`127.0.1.1 ${setup.hostname}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Interfaces up, then addresses, then routes, whose neighbours must be on a link. */
export function networkSteps(
  setup: Pick<GuestSetup, "interfaces" | "routes">,
  links: readonly GuestLink[],
  fail: (what: string) => Error,
): Step[] {
  const steps: Step[] = [];
  let sequence = 0;
  const step = (what: string, make: (sequence: number) => Buffer) =>
    steps.push({ what, message: make(++sequence) });

  const found = setup.interfaces.map((wanted) => {
    const link = links.find(({ mac }) => sameMac(mac, wanted.mac));
    if (link === undefined) throw fail(`${wanted.name} (${wanted.mac}) is not there`);
    return { wanted, link };
  });
  // Names follow the order of the devices; should one differ, all make way first.
  if (found.some(({ wanted, link }) => wanted.name !== link.name)) {
    for (const { link } of found) {
      step(link.name, (n) => renameLink(n, link.index, `lab${link.index}`));
    }
    for (const { wanted, link } of found) {
      step(wanted.name, (n) => renameLink(n, link.index, wanted.name));
    }
  }
  for (const { wanted, link } of found) {
    step(`${wanted.name}, MTU ${wanted.mtu}`, (n) => setLinkUp(n, link.index, wanted.mtu));
  }
  for (const { wanted, link } of found) {
    for (const text of wanted.addresses) {
      const address = parseInterfaceAddress(text);
      if (address === undefined) throw fail(`${wanted.name}: ${text} is not an address`);
      step(`${wanted.name}: address ${text}`, (n) => addAddress(n, link.index, address));
    }
  }
  for (const { to, via } of setup.routes) {
    const gateway = parseIp(via);
    const network = to === "default" ? undefined : parseInterfaceAddress(to);
    if (gateway === undefined || (network === undefined && to !== "default")) {
      throw fail(`${to} via ${via} is not a route`);
    }
    step(`route ${to} via ${via}`, (n) => addRoute(n, network, gateway));
  }
  return steps;
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}
