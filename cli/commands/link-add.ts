/** `link add A B [KEY=VALUE…]`: one more cable in a running lab, between what is there. */

import { LabError } from "../../base/errors.ts";
import type { LinkAddition } from "../../lab/api.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { applyWords } from "../impairment-words.ts";
import { findLab } from "../targets.ts";

const VLAN = /^[1-9]\d{0,3}$/;

export async function run(context: Context, words: Words): Promise<number> {
  const [a, b, ...changes] = words.args as [string, string, ...string[]];
  const addition = additionOf(a, b, changes);
  await using lab = await findLab(context, optionValue(words, "lab"));
  const link = await lab.addLink(addition);
  await printResult(context, { lab: lab.name, link }, () => `${link}: added\n`);
  return 0;
}

function additionOf(a: string, b: string, words: readonly string[]): LinkAddition {
  const own = new Map<string, string>();
  const impairing = words.filter((word) => {
    const [, key, value] = /^(name|vlan|trunk)=(.+)$/s.exec(word) ?? [];
    if (key !== undefined) own.set(key, value as string);
    return key === undefined;
  });
  const impairment = applyWords({}, impairing);
  const name = own.get("name");
  const [vlan] = vlans("vlan", own.get("vlan"));
  const trunk = vlans("trunk", own.get("trunk"));
  return {
    ends: [a, b],
    impairments: [impairment, impairment],
    ...(name === undefined ? {} : { name }),
    ...(vlan === undefined ? {} : { vlan }),
    ...(trunk.length === 0 ? {} : { trunk }),
  };
}

function vlans(key: string, text: string | undefined): number[] {
  const parts = text?.split(",") ?? [];
  if (parts.some((part) => !VLAN.test(part) || Number(part) > 4094)) {
    throw new LabError("USAGE", `\`${key}=${text}\`: a VLAN is a number from 1 to 4094`, {
      hint: "write for example vlan=10, or trunk=10,20",
    });
  }
  return parts.map(Number);
}
