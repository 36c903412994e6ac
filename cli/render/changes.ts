/** The changes of `apply`, a line each; those that are the same for several are told together. */

import { type Change, changeText } from "../../lab/plan/change.ts";

export function changeLines(changes: readonly Change[]): string[] {
  const groups = new Map<string, Change[]>();
  for (const change of changes) {
    const { kind, action, why } = change;
    const key = JSON.stringify([kind, action, why]);
    groups.set(key, [...(groups.get(key) ?? []), change]);
  }
  return [...groups.values()].map(([first, ...more]) => {
    const names = [first as Change, ...more].map(({ name }) => name).join(", ");
    return changeText({ ...(first as Change), name: names });
  });
}
