/**
 * Whom an image's own command runs as: USER of a container image, `name` or `uid`, with `:group` or
 * without, looked up in the guest's /etc/passwd and /etc/group. As container engines do it: a number
 * needs no entry; supplementary groups are the user's, unless USER names a group.
 */

import type { Identity } from "../agent/protocol.ts";

export interface ImageUser extends Identity {
  /** The number where it has no name. */
  readonly name: string;
  readonly home: string;
}

const LARGEST_ID = 2 ** 31 - 1;

/**
 * @param user USER as the image has it, not empty
 * @param passwd the text of passwd(5), empty where there is none
 * @param group the text of group(5)
 * Throws an Error that names what isn't there.
 */
export function resolveUser(user: string, passwd: string, group: string): ImageUser {
  const [given = "", givenGroup = ""] = user.split(/:(.*)/s);
  const who = given || "0";
  const uid = idOf(who);
  const account = fieldsOf(passwd).find(([name, , id]) =>
    uid === undefined ? name === who : idOf(id) === uid,
  );
  if (account === undefined && uid === undefined) {
    throw new Error(`the image's /etc/passwd has no user \`${who}\``);
  }
  const [name = who, , ownId, ownGroup, , home] = account ?? [];
  const groups = fieldsOf(group);
  const member = groups.filter(([, , , members]) => members?.split(",").includes(name));
  return {
    name,
    uid: uid ?? checkedId(ownId, `user \`${name}\` of /etc/passwd`),
    gid: givenGroup === "" ? (idOf(ownGroup) ?? 0) : groupId(givenGroup, groups),
    groups:
      givenGroup !== "" || account === undefined
        ? []
        : member.map(([, , id]) => idOf(id)).filter((id) => id !== undefined),
    home: home || "/",
  };
}

function groupId(given: string, groups: readonly string[][]): number {
  const number = idOf(given);
  if (number !== undefined) return number;
  const found = groups.find(([name]) => name === given);
  if (found === undefined) throw new Error(`the image's /etc/group has no group \`${given}\``);
  return checkedId(found[2], `group \`${given}\` of /etc/group`);
}

function checkedId(text: string | undefined, whose: string): number {
  const id = idOf(text);
  if (id === undefined) throw new Error(`${whose} has no valid number`);
  return id;
}

function idOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= LARGEST_ID
    ? Number(text)
    : undefined;
}

function fieldsOf(text: string): string[][] {
  return text.split("\n").map((line) => line.trim().split(":"));
}
