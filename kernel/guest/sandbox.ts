/**
 * What a guest's host processes can see and do: nothing they were not given.
 *
 * Three levels, the first that works on this machine (docs/decisions/0401-sandbox.md):
 *   namespaces  own user, mount, pid, network, … namespaces; a root with the named files only
 *   landlock    only the named files can be opened; the network is the host's
 *   none        only on demand (UML_LAB_SANDBOX=none): a guest's root could mount the host's files
 *
 * ../agent/launcher.c does the work.
 */

import { execFile } from "node:child_process";
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { LabError } from "../../base/errors.ts";
import { COMPILER_LIBRARY_PLACE, compilerLibrary, librariesOf } from "./libraries.ts";

const run = promisify(execFile);

export const SANDBOX_LEVELS = ["namespaces", "landlock", "none"] as const;
export type SandboxLevel = (typeof SANDBOX_LEVELS)[number];

const probes = new Map<string, Promise<boolean>>();

/** Whether a level works here. Starts the launcher once a level. */
export function sandboxWorks(level: SandboxLevel, launcher: string): Promise<boolean> {
  const key = `${level} ${launcher}`;
  let probe = probes.get(key);
  if (probe === undefined) {
    const path = realpathSync(launcher);
    const inside = level === "namespaces" ? "/probe" : path;
    const arguments_ = ["--sandbox", level, "--ro", path, inside, "--", inside, "--nothing"];
    probe = run(launcher, arguments_).then(
      () => true,
      () => false,
    );
    probes.set(key, probe);
  }
  return probe;
}

/** The best level that works here, or the one UML_LAB_SANDBOX names. Throws NO_RIGHT. */
export async function chooseSandbox(
  launcher: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<SandboxLevel> {
  const wanted = env.UML_LAB_SANDBOX;
  if (wanted) {
    const level = SANDBOX_LEVELS.find((name) => name === wanted);
    if (level === undefined) {
      throw new LabError("USAGE", `UML_LAB_SANDBOX is ${wanted}`, {
        hint: `one of ${SANDBOX_LEVELS.join(", ")}`,
      });
    }
    return level;
  }
  for (const level of ["namespaces", "landlock"] as const) {
    if (await sandboxWorks(level, launcher)) return level;
  }
  throw new LabError("NO_RIGHT", "guests can't be confined on this machine", {
    hint: "allow user namespaces (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0), or set UML_LAB_SANDBOX=none if you trust what runs in the guests",
  });
}

export interface SandboxInput {
  readonly level: SandboxLevel;
  readonly launcher: string;
  readonly executable: string;
  readonly initramfs: string;
  readonly image: string;
  readonly inbox: string;
  readonly modulesImage?: string | undefined;
  /** The only file that the guest may write. */
  readonly disk?: string | undefined;
  readonly nicSockets: readonly string[];
  readonly memoryBytes: number;
  readonly cpu: number | undefined;
  /** The guest's folder on the host. */
  readonly folder: string;
  /** The kernel stands at its first instruction until it gets SIGCONT. */
  readonly held?: boolean;
  /** For the RAM file where the level has no private place for it; a private folder on a tmpfs. */
  readonly ramFolder: string;
}

/** The same files by the names they have for the guest's kernel, and how to start it. */
export interface Sandbox {
  readonly executable: string;
  readonly initramfs: string;
  readonly image: string;
  readonly inbox: string;
  readonly modulesImage: string | undefined;
  readonly disk: string | undefined;
  readonly nicSockets: readonly string[];
  readonly umlFolder: string;
  readonly env: Readonly<Record<string, string>>;
  /** The launcher's arguments up to the kernel's. */
  readonly launch: readonly string[];
}

/** RAM, and room for the kernel's own temporary files. */
const SHM_SLACK = 8 << 20;

export async function planSandbox(input: SandboxInput): Promise<Sandbox> {
  const { level } = input;
  const options = ["--sandbox", level, "--parent", String(process.pid)];
  if (input.cpu !== undefined) options.push("--cpu", String(input.cpu));
  if (input.held === true) options.push("--stop");
  const libraries = await librariesOf(input.executable);
  const extra = libraries.length === 0 ? undefined : compilerLibrary(libraries);
  if (level !== "namespaces") {
    const readable = [
      input.executable,
      ...libraries,
      ...(extra ? [extra] : []),
      input.initramfs,
      input.image,
      input.inbox,
      ...(input.modulesImage ? [input.modulesImage] : []),
    ];
    for (const path of readable) options.push("--ro", realpathSync(path), "-");
    options.push("--remove", input.ramFolder);
    const umlFolder = join(input.folder, "uml");
    const writable = [umlFolder, input.ramFolder, ...(input.disk ? [input.disk] : [])];
    for (const path of writable) options.push("--rw", realpathSync(path), "-");
    return {
      executable: input.executable,
      initramfs: input.initramfs,
      image: input.image,
      inbox: input.inbox,
      modulesImage: input.modulesImage,
      disk: input.disk,
      nicSockets: input.nicSockets,
      umlFolder,
      env: { HOME: umlFolder, TMPDIR: input.ramFolder },
      launch: [...options, "--", input.executable],
    };
  }
  const give = (from: string, to: string, how = "--ro") => {
    options.push(how, realpathSync(from), to);
    return to;
  };
  options.push("--shm", String(input.memoryBytes + SHM_SLACK));
  for (const library of libraries) give(library, library);
  if (extra !== undefined) give(extra, COMPILER_LIBRARY_PLACE);
  const executable = give(input.executable, "/linux");
  return {
    executable,
    initramfs: give(input.initramfs, "/initramfs"),
    image: give(input.image, "/image"),
    inbox: give(input.inbox, "/inbox"),
    modulesImage: input.modulesImage && give(input.modulesImage, "/modules"),
    disk: input.disk && give(input.disk, "/disk", "--rw"),
    nicSockets: input.nicSockets.map((socket, index) => give(socket, `/eth${index}`)),
    umlFolder: "/uml",
    env: { HOME: "/uml", TMPDIR: "/dev/shm" },
    launch: [...options, "--", executable],
  };
}
