/**
 * A guest's users and groups: the fixed ones, and those that packages ask for, with ids by name so
 * that the same packages give the same ids. Passwords are locked; root has none.
 */

import type { Wishes } from "./maintainer-scripts.ts";

export interface Accounts {
  readonly passwd: string;
  readonly group: string;
  readonly shadow: string;
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;
}

const NOLOGIN = "/usr/sbin/nologin";

/** name, id, group, home, shell */
const USERS: readonly (readonly [string, number, number, string, string])[] = [
  ["root", 0, 0, "/root", "/bin/bash"],
  ["daemon", 1, 1, "/usr/sbin", NOLOGIN],
  ["bin", 2, 2, "/bin", NOLOGIN],
  ["sys", 3, 3, "/dev", NOLOGIN],
  ["mail", 8, 8, "/var/mail", NOLOGIN],
  ["proxy", 13, 13, "/bin", NOLOGIN],
  ["www-data", 33, 33, "/var/www", NOLOGIN],
  ["backup", 34, 34, "/var/backups", NOLOGIN],
  ["sshd", 101, 65534, "/run/sshd", NOLOGIN],
  ["tcpdump", 102, 102, "/nonexistent", NOLOGIN],
  ["nobody", 65534, 65534, "/nonexistent", NOLOGIN],
];

const GROUPS: readonly (readonly [string, number])[] = [
  ["root", 0],
  ["daemon", 1],
  ["bin", 2],
  ["sys", 3],
  ["adm", 4],
  ["tty", 5],
  ["disk", 6],
  ["mail", 8],
  ["kmem", 15],
  ["proxy", 13],
  ["www-data", 33],
  ["backup", 34],
  ["shadow", 42],
  ["utmp", 43],
  ["staff", 50],
  ["users", 100],
  ["tcpdump", 102],
  ["input", 104],
  ["nogroup", 65534],
];

/** Debian's system accounts end at 999. */
const FIRST_GIVEN = 200;

export function makeAccounts(wishes: Wishes): Accounts {
  const groups = new Map(GROUPS);
  const users = new Map(
    USERS.map(([name, id, group, home, shell]) => [
      name,
      { id, group, home, shell, comment: name },
    ]),
  );
  const members = new Map<string, Set<string>>();
  const wanted = wishes.users.filter(
    ({ name }, index, all) =>
      !users.has(name) && all.findIndex((other) => other.name === name) === index,
  );
  const names = new Set([
    ...wishes.groups,
    ...wanted.map(({ name, group }) => group ?? name),
    ...wanted.map(({ name }) => name),
    ...wishes.members.map(({ group }) => group),
  ]);
  const ids = new Map(
    [...names]
      .filter((name) => !groups.has(name))
      .sort()
      .map((name, index) => [name, FIRST_GIVEN + index]),
  );
  const ownGroups = new Set([
    ...wishes.groups,
    ...wanted.map(({ name, group }) => group ?? name),
    ...wishes.members.map(({ group }) => group),
  ]);
  for (const name of ownGroups) {
    const id = ids.get(name);
    if (id !== undefined) groups.set(name, id);
  }
  for (const { name, group, home, comment } of wanted) {
    const id = ids.get(name) ?? groups.get(name);
    const groupId = groups.get(group ?? name);
    if (id === undefined || groupId === undefined) continue;
    users.set(name, { id, group: groupId, home, shell: NOLOGIN, comment: comment || name });
  }
  for (const { user, group } of wishes.members) {
    if (!users.has(user) || !groups.has(group)) continue;
    members.set(group, (members.get(group) ?? new Set()).add(user));
  }
  const lines = (all: readonly string[]) => all.map((line) => `${line}\n`).join("");
  return {
    passwd: lines(
      [...users].map(
        ([name, { id, group, home, shell, comment }]) =>
          `${name}:x:${id}:${group}:${comment}:${home}:${shell}`,
      ),
    ),
    group: lines(
      [...groups].map(
        ([name, id]) => `${name}:x:${id}:${[...(members.get(name) ?? [])].join(",")}`,
      ),
    ),
    // root has no password: whoever reaches a guest's console is its owner
    shadow: lines(
      [...users.keys()].map((name) => `${name}:${name === "root" ? "" : "*"}:19000::::::`),
    ),
    userId: (name) => users.get(name)?.id,
    groupId: (name) => groups.get(name),
  };
}
