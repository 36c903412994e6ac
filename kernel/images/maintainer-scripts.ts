/**
 * What packages ask of an installed machine, read from their maintainer scripts and from their
 * `sysusers.d` and `tmpfiles.d`. The scripts are never run: only calls whose words are all plain
 * are understood (docs/decisions/0320-what-maintainer-scripts-would-do.md).
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Wishes {
  readonly users: readonly UserWish[];
  readonly groups: readonly string[];
  readonly members: readonly { readonly user: string; readonly group: string }[];
  readonly alternatives: readonly Alternative[];
}

export interface UserWish {
  readonly name: string;
  /** Undefined: a group of the same name. */
  readonly group: string | undefined;
  readonly home: string;
  readonly comment: string;
}

export interface Alternative {
  readonly link: string;
  readonly target: string;
  readonly priority: number;
}

export interface FolderWish {
  readonly path: string;
  readonly mode: number;
  readonly user: string;
  readonly group: string;
}

/** What a script would have done, as far as its text says it plainly. */
export function readScript(text: string): Wishes {
  const users: UserWish[] = [];
  const groups: string[] = [];
  const members: { user: string; group: string }[] = [];
  const alternatives: Alternative[] = [];
  for (const [command, ...words] of plainCommands(text)) {
    const { options, rest } = sortWords(words);
    const [name, other] = rest;
    switch (command) {
      case "adduser":
      case "useradd":
        if (name === undefined) break;
        if (other !== undefined) {
          members.push({ user: name, group: other });
          break;
        }
        users.push({
          name,
          group: options.get("--ingroup") ?? options.get("--gid") ?? undefined,
          home: options.get("--home") ?? options.get("--home-dir") ?? "/nonexistent",
          comment: (options.get("--gecos") ?? options.get("--comment") ?? "").replaceAll(":", " "),
        });
        break;
      case "addgroup":
      case "groupadd":
        if (name !== undefined && other === undefined) groups.push(name);
        else if (name !== undefined && other !== undefined) {
          members.push({ user: name, group: other });
        }
        break;
      case "usermod": {
        const added = options.get("-G") ?? options.get("--groups") ?? options.get("-aG");
        if (name === undefined || added === undefined) break;
        for (const group of added.split(",")) members.push({ user: name, group });
        break;
      }
      case "update-alternatives":
        alternatives.push(...alternativesOf(words));
        break;
    }
  }
  return { users, groups, members, alternatives };
}

const COMMANDS =
  /(?:^|[;&|(]|\bthen\b|\bdo\b|\|\|)\s*((?:\/usr)?(?:\/s?bin\/)?(adduser|useradd|addgroup|groupadd|usermod|update-alternatives)\s[^;&|()<>]*)/g;

/** The calls of a script that have no variable in them, as words. */
function plainCommands(text: string): string[][] {
  const found: string[][] = [];
  for (const line of text.replace(/\\\n/g, " ").split("\n")) {
    if (/^\s*#/.test(line)) continue;
    for (const match of line.matchAll(COMMANDS)) {
      const words = [...(match[1] as string).matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
        .map(([, double, single, bare]) => double ?? single ?? bare ?? "")
        // `2>/dev/null` lost its end to the pattern
        .filter((word, index, all) => !(index === all.length - 1 && /^\d$/.test(word)));
      if (words.some((word) => /[$`*]/.test(word))) continue;
      found.push([match[2] as string, ...words.slice(1)]);
    }
  }
  return found;
}

/** Options of the account programs that stand alone. */
const SWITCHES = new Set([
  "--system",
  "--quiet",
  "--no-create-home",
  "--disabled-login",
  "--disabled-password",
  "--group",
  "--force-badname",
  "--allow-bad-names",
  "--allow-all-names",
  "--force",
  "--append",
  "--no-user-group",
  "--user-group",
  "-a",
  "-r",
  "-f",
  "-M",
  "-N",
  "-U",
]);

function sortWords(words: readonly string[]) {
  const options = new Map<string, string>();
  const rest: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (!word.startsWith("-")) {
      rest.push(word);
      continue;
    }
    const [name, value] = word.split(/=(.*)/s) as [string, string?];
    if (SWITCHES.has(name)) continue;
    options.set(name, value ?? words[++i] ?? "");
  }
  return { options, rest };
}

/** `--install LINK NAME TARGET PRIORITY` and its `--slave LINK NAME TARGET`. */
function alternativesOf(words: readonly string[]): Alternative[] {
  const found: Alternative[] = [];
  let priority = 0;
  for (let i = 0; i < words.length; i++) {
    if (words[i] === "--install") priority = Number(words[i + 4]) || 0;
    if (words[i] !== "--install" && words[i] !== "--slave") continue;
    const [link, , target] = words.slice(i + 1);
    if (link?.startsWith("/") && target?.startsWith("/")) found.push({ link, target, priority });
  }
  return found;
}

/** The lines `u NAME …`, `g NAME …`, `m USER GROUP` of sysusers.d(5). */
export function readSysusers(text: string): Wishes {
  const users: UserWish[] = [];
  const groups: string[] = [];
  const members: { user: string; group: string }[] = [];
  for (const line of text.split("\n")) {
    const [type, name, id, comment, home] = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(
      ([, quoted, bare]) => quoted ?? bare ?? "",
    );
    if (name === undefined || /[%$]/.test(name)) continue;
    if (type?.startsWith("u")) {
      users.push({
        name,
        group: undefined,
        home: home && home !== "-" ? home : "/nonexistent",
        comment: comment && comment !== "-" ? comment.replaceAll(":", " ") : "",
      });
    } else if (type === "g") groups.push(name);
    else if (type === "m" && id !== undefined) members.push({ user: name, group: id });
  }
  return { users, groups, members, alternatives: [] };
}

/** The folders (`d`, `D`) of tmpfiles.d(5). */
export function readTmpfiles(text: string): FolderWish[] {
  return text.split("\n").flatMap((line) => {
    const [type, path, mode, user, group] = line.trim().split(/\s+/);
    if (!/^[dD][!-]?$/.test(type ?? "") || !path?.startsWith("/") || /[%*]/.test(path)) return [];
    const given = (word: string | undefined) => (word === "-" || !word ? "root" : word);
    return [
      {
        path: path.replace(/^\/var\/run\//, "/run/"),
        mode: /^[0-7]+$/.test(mode ?? "") ? Number.parseInt(mode as string, 8) : 0o755,
        user: given(user),
        group: given(group),
      },
    ];
  });
}

export function joinWishes(all: readonly Wishes[]): Wishes {
  return {
    users: all.flatMap(({ users }) => users),
    groups: all.flatMap(({ groups }) => groups),
    members: all.flatMap(({ members }) => members),
    alternatives: all.flatMap(({ alternatives }) => alternatives),
  };
}

/** What the unpacked tree itself asks for. */
export function wishesOfTree(root: string): Wishes {
  return joinWishes(textsIn(join(root, "usr/lib/sysusers.d")).map(readSysusers));
}

export function foldersOfTree(root: string): FolderWish[] {
  return textsIn(join(root, "usr/lib/tmpfiles.d")).flatMap(readTmpfiles);
}

function textsIn(folder: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith(".conf"))
    .map((name) => readFileSync(join(folder, name), "utf8"));
}
