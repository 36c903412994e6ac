/**
 * Which lab and which guest a word means. LAB is a name, a topology file, or nothing where exactly
 * one lab runs or the current folder's only topology file is running. GUEST is a name or LAB/GUEST.
 */

import { readdirSync, readFileSync } from "node:fs";
import { LabError } from "../base/errors.ts";
import type { RunningLab } from "../lab/api.ts";
import { optionValue, type Words } from "./command.ts";
import type { Context } from "./context.ts";

export const looksLikeFile = (word: string): boolean =>
  /\.ya?ml$/.test(word) || word.startsWith(".") || word.startsWith("/");

/** The topology files of a folder: YAML with guests in it. */
export function topologyFiles(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
  return names.filter((name) => {
    try {
      return /^guests:/m.test(readFileSync(`${folder}/${name}`, "utf8"));
    } catch {
      return false;
    }
  });
}

export async function findLab(context: Context, word?: string): Promise<RunningLab> {
  return context.engine.findLab(word ?? (await onlyLab(context)));
}

async function onlyLab(context: Context): Promise<string> {
  const labs = (await context.engine.listLabs()).filter((lab) => lab.state !== "crashed");
  const [only] = labs;
  if (only === undefined) {
    throw new LabError("NO_SUCH_LAB", "no lab is running", { hint: "start one: uml-lab up FILE" });
  }
  if (labs.length === 1) return only.name;
  const here = topologyFiles(".");
  if (here.length === 1) return here[0] as string;
  throw new LabError("USAGE", `${labs.length} labs are running, and none was named`, {
    hint: `name one of: ${labs.map((lab) => lab.name).join(", ")}`,
  });
}

export interface GuestTarget {
  readonly lab: RunningLab;
  readonly guest: string;
}

export async function findGuest(context: Context, words: Words): Promise<GuestTarget> {
  const { lab, guests } = await findGuests(context, words, words.args.slice(0, 1));
  return { lab, guest: guests[0] as string };
}

export async function findGuests(
  context: Context,
  words: Words,
  names: readonly string[],
): Promise<{ readonly lab: RunningLab; readonly guests: readonly string[] }> {
  const split = names.map(splitGuest);
  const labs = new Set(split.flatMap(({ lab }) => (lab === undefined ? [] : [lab])));
  const option = optionValue(words, "lab");
  if (option !== undefined) labs.add(option);
  if (labs.size > 1) {
    throw new LabError("USAGE", `more than one lab is meant: ${[...labs].join(", ")}`, {
      hint: "name guests of one lab at a time",
    });
  }
  const lab = await findLab(context, [...labs][0]);
  return { lab, guests: split.map(({ guest }) => guest) };
}

/** `two-lans/alice`, `./lab.yaml/alice` or `alice`. */
export function splitGuest(word: string): { lab: string | undefined; guest: string } {
  const slash = word.lastIndexOf("/");
  if (slash < 0) return { lab: undefined, guest: word };
  return { lab: word.slice(0, slash), guest: word.slice(slash + 1) };
}
