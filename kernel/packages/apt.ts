/**
 * apt, privately: own lists and cache, a dpkg status of our own, sources of our choosing. Nothing of
 * the machine's is written, no root is needed, and apt itself checks every signature and hash.
 *
 *     CACHE/packages/NAME/{sources.list.d,lists,…}   an archive: lists kept for the next fetch
 *     the builder's scratch folder                    packages, until they are unpacked
 *
 * The archive's lock is held during each apt run, and inherited by apt.
 */

import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { delimiter, join } from "node:path";
import { LabError } from "../../base/errors.ts";
import { entryFolder, hashOf, lockEntry } from "../cache/cache.ts";
import type { EnsureOptions } from "../progress.ts";
import type { RunResult } from "./child.ts";
import { type Place, thisMachine } from "./place.ts";
import { renderSources, type Source } from "./sources.ts";

/** Lists younger than this are used as they are. */
const FRESH_MS = 6 * 3600_000;

const DEB_ARCHITECTURE: Record<string, string> = { x64: "amd64", arm64: "arm64", ia32: "i386" };
export const debArchitecture: string = DEB_ARCHITECTURE[arch()] ?? arch();

export interface Archive {
  /** For messages and the folder's name: `bookworm`, `testing`. */
  readonly name: string;
  readonly sources: readonly Source[];
}

/** What apt takes for installed, and so leaves out. */
export type Installed =
  /** nothing but these, in whatever version */
  | readonly string[]
  /** what the place has installed */
  | "host";

export interface DownloadRequest {
  readonly packages: readonly string[];
  /** Where the packages go: an existing folder. */
  readonly into: string;
  /** Fetch what they need as well, but for what is `installed`; otherwise they alone. */
  readonly closure: { readonly installed: Installed } | undefined;
}

/** Looks a program up as a shell would, and in the places ordinary users' PATHs lack. */
export function findProgram(
  name: string,
  env: NodeJS.ProcessEnv = process.env,
): string | undefined {
  const folders = env.PATH === undefined ? [] : env.PATH.split(delimiter).filter(Boolean);
  return [...folders, "/usr/sbin", "/sbin"]
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        const stat = statSync(path);
        return stat.isFile() && (stat.mode & 0o111) !== 0;
      } catch {
        return false;
      }
    });
}

/** Whether packages can be fetched and unpacked here. */
export function haveApt(env: NodeJS.ProcessEnv = process.env): boolean {
  const onPath = { PATH: env.PATH };
  return ["apt-get", "apt-config", "dpkg-deb", "tar"].every((name) => findProgram(name, onPath));
}

/** Downloads packages; the paths of the `.deb` files, sorted. */
export async function downloadPackages(
  archive: Archive,
  request: DownloadRequest,
  options: EnsureOptions,
  place: Place = thisMachine,
): Promise<string[]> {
  const folder = entryFolder("packages", `${archive.name}-${hashOf(archive.sources, 8)}`);
  mkdirSync(folder, { recursive: true });
  const purpose = `fetching packages from ${archive.name}`;
  using lock = await lockEntry(`packages-${archive.name}`, { ...options, purpose });
  const apt = new Apt(place, folder, archive, lock.fd, options);
  await apt.configure(request.closure?.installed ?? []);
  await apt.refresh();
  try {
    return await apt.download(request);
  } catch (error) {
    // The mirror may have moved on since the lists were read: once more with new ones.
    if (!(error instanceof LabError) || apt.refreshed) throw error;
    await apt.refresh({ force: true });
    return await apt.download(request);
  }
}

/** Those that are asked for come though they are installed: somebody did not find them there. */
const INSTALL = ["install", "--download-only", "--reinstall"];

class Apt {
  refreshed = false;
  readonly #place: Place;
  readonly #folder: string;
  readonly #archive: Archive;
  readonly #lockFd: number;
  readonly #options: EnsureOptions;
  readonly #env: NodeJS.ProcessEnv;

  constructor(
    place: Place,
    folder: string,
    archive: Archive,
    lockFd: number,
    options: EnsureOptions,
  ) {
    this.#place = place;
    this.#folder = folder;
    this.#archive = archive;
    this.#lockFd = lockFd;
    this.#options = options;
    this.#env = {
      ...process.env,
      APT_CONFIG: join(folder, "apt.conf"),
      LC_ALL: "C",
      DEBIAN_FRONTEND: "noninteractive",
    };
  }

  /** Writes apt.conf, the sources and the status file. */
  async configure(installed: Installed): Promise<void> {
    const folder = this.#folder;
    for (const path of ["lists/partial", "cache/archives/partial", "etc", "none"]) {
      mkdirSync(join(folder, path), { recursive: true });
    }
    writeFileSync(
      join(folder, "etc", "uml-lab.sources"),
      renderSources(this.#archive.sources, debArchitecture),
    );
    const status = join(folder, "status");
    // a copy: apt would lock the folder it stands in
    if (installed === "host") await this.#place.run(["cp", "/var/lib/dpkg/status", status]);
    else writeFileSync(status, renderStatus(installed));
    const settings = {
      Dir: folder,
      "Dir::Etc": join(folder, "etc"),
      "Dir::Etc::main": "/dev/null",
      "Dir::Etc::parts": join(folder, "none"),
      "Dir::Etc::sourcelist": "/dev/null",
      "Dir::Etc::sourceparts": join(folder, "etc"),
      "Dir::Etc::preferences": "/dev/null",
      "Dir::Etc::preferencesparts": join(folder, "none"),
      "Dir::Etc::netrc": "/etc/apt/auth.conf",
      "Dir::Etc::netrcparts": "/etc/apt/auth.conf.d",
      "Dir::Etc::trusted": "/etc/apt/trusted.gpg",
      "Dir::Etc::trustedparts": "/etc/apt/trusted.gpg.d",
      "Dir::State": folder,
      "Dir::State::lists": join(folder, "lists"),
      "Dir::State::status": status,
      "Dir::Cache": join(folder, "cache"),
      "Dir::Log": folder,
      "APT::Architecture": debArchitecture,
      "APT::Architectures": debArchitecture,
      "APT::Install-Recommends": "false",
      "APT::Get::Assume-Yes": "true",
      // We own the folders; apt's own user (`_apt`) could not read below a private home.
      "APT::Sandbox::User": this.#place.uid === 0 ? "root" : "",
      "Acquire::Languages": "none",
      "Acquire::GzipIndexes": "true",
      "Acquire::Retries": "3",
    };
    const lines = Object.entries(settings).map(([key, value]) => `${key} "${value}";`);
    writeFileSync(
      join(folder, "apt.conf"),
      [
        ...(await this.#hostSettings()),
        ...lines,
        // whatever the machine says, an unsigned or tampered list is refused
        'Acquire::AllowInsecureRepositories "false";',
        'Acquire::AllowDowngradeToInsecureRepositories "false";',
        'Acquire::AllowWeakRepositories "false";',
        'APT::Get::AllowUnauthenticated "false";',
        "",
      ].join("\n"),
    );
  }

  /** How the machine reaches its mirrors: proxies, certificates, time checks. */
  async #hostSettings(): Promise<string[]> {
    const env = { ...process.env, LC_ALL: "C" };
    const { stdout } = await this.#place.run(["apt-config", "dump"], {
      env,
      signal: this.#options.signal,
    });
    return inheritedSettings(stdout);
  }

  /** Reads the archive's lists, unless that was done lately. */
  async refresh({ force = false } = {}): Promise<void> {
    const stamp = join(this.#folder, "lists", "fresh");
    if (!force && ageMs(stamp) < FRESH_MS) return;
    rmSync(stamp, { force: true });
    const what = `reading the package lists of ${this.#archive.name}`;
    const result = await this.#apt(["update"], what);
    // `update` forgives a list it could not read where an old one is at hand
    const said = result.stderr.split("\n").flatMap((line) => /^[EW]: (.*)$/.exec(line)?.[1] ?? []);
    const failed = said.find((line) => /GPG|signature|signed|expired|Could not/.test(line));
    if (result.code !== 0 || this.#lists().length === 0) {
      throw new LabError(
        "FETCH_FAILED",
        `${what} failed: ${failed ?? said[0] ?? result.stderr.trim()}`,
        {
          hint: "is the network up, and does `apt-get update` work on this machine?",
        },
      );
    }
    writeFileSync(stamp, "");
    this.refreshed = true;
  }

  #lists(): string[] {
    return readdirSync(join(this.#folder, "lists")).filter((name) => /_Packages/.test(name));
  }

  async download({ packages, into, closure }: DownloadRequest): Promise<string[]> {
    const what = `fetching ${packages.length > 2 ? `${packages.length} packages` : packages.join(" and ")}`;
    if (closure !== undefined) mkdirSync(join(into, "partial"), { recursive: true });
    const result =
      closure === undefined
        ? await this.#apt(["download", ...packages], what, into)
        : await this.#apt(["-o", `Dir::Cache::archives=${into}`, ...INSTALL, ...packages], what);
    if (result.code !== 0) {
      const said = result.stderr
        .split("\n")
        .filter((line) => line.startsWith("E:"))
        .map((line) => line.slice(3));
      throw new LabError("FETCH_FAILED", `${what} from ${this.#archive.name}: ${said.join("; ")}`, {
        hint: "is the network up, and does `apt-get update` work on this machine?",
      });
    }
    rmSync(join(into, "partial"), { recursive: true, force: true });
    rmSync(join(into, "lock"), { force: true });
    return readdirSync(into)
      .filter((name) => name.endsWith(".deb"))
      .sort()
      .map((name) => join(into, name));
  }

  #apt(args: readonly string[], what: string, cwd?: string): Promise<RunResult> {
    const { onProgress, signal } = this.#options;
    let totalBytes: number | undefined;
    onProgress?.({ what, done: 0, unit: "bytes" });
    return this.#place.run(["apt-get", "-o", `APT::Status-Fd=${this.#place.statusFd}`, ...args], {
      ...(cwd === undefined ? {} : { cwd }),
      env: this.#env,
      signal,
      lockFd: this.#lockFd,
      onLine: (line) => {
        totalBytes ??= parseNeedToGet(line);
      },
      onStatusLine: (line) => {
        const percent = parseStatusPercent(line);
        if (percent === undefined) return;
        onProgress?.(
          totalBytes === undefined
            ? { what, done: Math.round(percent), total: 100, unit: "items" }
            : {
                what,
                done: Math.round((totalBytes * percent) / 100),
                total: totalBytes,
                unit: "bytes",
              },
        );
      },
    });
  }
}

/** `Need to get 41.4 MB/44.1 MB of archives.` to bytes. */
export function parseNeedToGet(line: string): number | undefined {
  const match = /^Need to get ([\d.,]+) ([kMG]?)B/.exec(line);
  if (match === null) return undefined;
  const power = ["", "k", "M", "G"].indexOf(match[2] as string);
  return Math.round(Number((match[1] as string).replace(",", "")) * 1000 ** power);
}

/** `dlstatus:3:57.2:Retrieving file 3 of 9`; README.progress-reporting of apt. */
export function parseStatusPercent(line: string): number | undefined {
  const match = /^dlstatus:[^:]*:([\d.]+):/.exec(line);
  return match === null ? undefined : Number(match[1]);
}

/** The lines of `apt-config dump` that say how mirrors are reached. */
export function inheritedSettings(dump: string): string[] {
  const wanted =
    /^Acquire::(http|https|ftp|tor|socks|Retries|ForceIPv4|ForceIPv6|Check-Valid-Until|Check-Date|Max-FutureTime|Max-ValidTime|Queue-Mode|By-Hash|ProxyAutoDetect|Proxy-Auto-Detect)\b/i;
  return dump.split("\n").filter((line) => wanted.test(line) && / "[^"]*";$/.test(line));
}

function renderStatus(installed: readonly string[]): string {
  return installed
    .map(
      (name) =>
        `Package: ${name}\nStatus: install ok installed\nMaintainer: uml-lab\n` +
        `Architecture: ${debArchitecture}\nMulti-Arch: foreign\nVersion: 9999:0\n` +
        `Description: left out\n`,
    )
    .join("\n");
}

function ageMs(path: string): number {
  return existsSync(path) ? Date.now() - statSync(path).mtimeMs : Number.POSITIVE_INFINITY;
}
