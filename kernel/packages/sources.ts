/**
 * Where packages come from: the machine's own apt configuration, read here so that only what a lab
 * needs is asked of it (third-party sources are left out) and so that another suite of the same
 * mirror can be added. Formats: sources.list(5), one line a source and deb822.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Source {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** A keyring's path, a fingerprint, or an armoured key (deb822, its lines joined by "\n "). */
  readonly signedBy: string | undefined;
  readonly architectures: readonly string[];
}

/** `deb [signed-by=/usr/share/keyrings/x.gpg] URI suite main contrib`; other lines are skipped. */
export function parseOneLineSources(text: string): Source[] {
  const sources: Source[] = [];
  for (const raw of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(raw);
    if (match === null) continue;
    const options = new Map<string, string>();
    for (const option of (match[1] ?? "").split(/\s+/)) {
      const [key, value] = option.split(/\+?=/);
      if (key && value) options.set(key.toLowerCase(), value);
    }
    sources.push({
      uris: [match[2] as string],
      suites: [match[3] as string],
      components: words(match[4] ?? ""),
      signedBy: options.get("signed-by"),
      architectures: (options.get("arch") ?? "").split(",").filter(Boolean),
    });
  }
  return sources;
}

/** Stanzas of `Types:`, `URIs:`, `Suites:` … as in `*.sources`. */
export function parseDeb822Sources(text: string): Source[] {
  const sources: Source[] = [];
  const withoutComments = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n");
  for (const stanza of withoutComments.split(/\n(?:[ \t]*\n)+/)) {
    const fields = new Map<string, string>();
    let last: string | undefined;
    for (const line of stanza.split("\n")) {
      const field = /^([A-Za-z][A-Za-z0-9-]*):\s*(.*)$/.exec(line);
      if (field !== null) {
        last = (field[1] as string).toLowerCase();
        fields.set(last, (field[2] as string).trim());
      } else if (/^\s/.test(line) && last !== undefined) {
        fields.set(last, `${fields.get(last)}\n ${line.trim()}`);
      }
    }
    if (!words(fields.get("types")).includes("deb")) continue;
    if (/^(no|false|0|off|disable)$/i.test(fields.get("enabled") ?? "yes")) continue;
    sources.push({
      uris: words(fields.get("uris")),
      suites: words(fields.get("suites")),
      components: words(fields.get("components")),
      signedBy: fields.get("signed-by") || undefined,
      architectures: words(fields.get("architectures")),
    });
  }
  return sources;
}

/** All sources of an apt configuration folder; what can't be read is left out. */
export function readSources(etcApt = "/etc/apt"): Source[] {
  const parts = join(etcApt, "sources.list.d");
  let names: string[] = [];
  try {
    names = readdirSync(parts).sort();
  } catch {
    // many machines have one file only
  }
  const files = [
    join(etcApt, "sources.list"),
    ...names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(parts, name)),
  ];
  return files.flatMap((file) => {
    try {
      const text = readFileSync(file, "utf8");
      return file.endsWith(".sources") ? parseDeb822Sources(text) : parseOneLineSources(text);
    } catch {
      return [];
    }
  });
}

export interface Distribution {
  /** `debian`, `ubuntu`, `linuxmint`, … */
  readonly id: string;
  /** What it is like, itself included. */
  readonly family: readonly string[];
  /** `bookworm`, `noble`; empty on Debian's testing and sid. */
  readonly codename: string;
}

/** os-release(5). */
export function parseOsRelease(text: string): Distribution {
  const value = (key: string) =>
    (new RegExp(`^${key}=(.*)$`, "m").exec(text)?.[1] ?? "").replace(/^["']|["']$/g, "");
  const id = value("ID") || "unknown";
  return {
    id,
    family: [id, ...words(value("ID_LIKE"))],
    codename: value("VERSION_CODENAME"),
  };
}

const MOVING_SUITES = /^(stable|oldstable|testing|unstable|sid)(-updates|-security|\/updates)?$/;

/**
 * The distribution's own sources: `main` of its suites, with updates and security, without
 * backports and without other people's archives. All of them where that leaves nothing.
 */
export function distributionSources(
  sources: readonly Source[],
  distribution: Distribution,
): Source[] {
  const { codename } = distribution;
  const isOwn = (suite: string) =>
    !/backports|proposed|debug/.test(suite) &&
    (MOVING_SUITES.test(suite) ||
      (codename !== "" && (suite === codename || suite.startsWith(`${codename}-`))) ||
      suite.startsWith(`${codename}/`));
  const own = sources
    .map((source) => ({
      ...source,
      suites: source.suites.filter(isOwn),
      components: source.components.filter((name) => name === "main" || name === "universe"),
    }))
    .filter((source) => source.suites.length > 0 && source.components.length > 0);
  return own.length > 0 ? own : [...sources];
}

/** Debian's archive as this machine knows it: where and signed by whom. */
export interface Mirror {
  readonly uri: string;
  readonly signedBy: string | undefined;
}

/** The mirror that carries a Debian's main suite (not its security archive). */
export function debianMirror(
  sources: readonly Source[],
  distribution: Distribution,
): Mirror | undefined {
  if (distribution.id !== "debian") return undefined;
  const isMainSuite = (suite: string) =>
    suite === distribution.codename || /^(stable|oldstable|testing|unstable|sid)$/.test(suite);
  const source = sources.find(
    ({ suites, components, uris }) =>
      components.includes("main") &&
      suites.some(isMainSuite) &&
      uris.some((uri) => !/security/.test(uri)),
  );
  const uri = source?.uris.find((one) => !/security/.test(one));
  return uri === undefined ? undefined : { uri, signedBy: source?.signedBy };
}

/** One deb822 file for apt. */
export function renderSources(sources: readonly Source[], architecture: string): string {
  return sources
    .map((source) =>
      [
        "Types: deb",
        `URIs: ${source.uris.join(" ")}`,
        `Suites: ${source.suites.join(" ")}`,
        // a flat archive (its suite ends in a slash) has no components
        ...(source.components.length > 0 ? [`Components: ${source.components.join(" ")}`] : []),
        `Architectures: ${architecture}`,
        ...(source.signedBy ? [`Signed-By: ${source.signedBy}`] : []),
      ]
        .join("\n")
        .concat("\n"),
    )
    .join("\n");
}

function words(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter(Boolean);
}
