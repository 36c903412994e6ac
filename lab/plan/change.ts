/** A step from a running lab to what its file says now. Pure data; `apply --format json` prints it. */

export interface Change {
  readonly kind: "guest" | "switch" | "link" | "way out" | "judging";
  /**
   * add, remove; change: in place, while it runs. restart: a guest's kernel ends, and another boots.
   * start, resume: a guest that the file knows does not run. replace: a switch or a cable is taken
   * out, and another one plugged in.
   */
  readonly action: "add" | "remove" | "change" | "restart" | "start" | "resume" | "replace";
  /** The guest (of a way out, too), the switch, the link; of judging: `expect`, `events`. */
  readonly name: string;
  /** What differs, in words: `interface eth2 is new`. Empty where the action says it. */
  readonly why: readonly string[];
}

/** `restart r1 (interface eth2 is new)`. */
export function changeText({ kind, action, name, why }: Change): string {
  const what = kind === "guest" && !["add", "remove"].includes(action) ? "" : `${WORDS[kind]} `;
  const reasons = why.length === 0 ? "" : ` (${why.join("; ")})`;
  return `${action} ${what}${name}${reasons}`;
}

const WORDS: Readonly<Record<Change["kind"], string>> = {
  guest: "guest",
  switch: "switch",
  link: "link",
  "way out": "the way out of",
  judging: "what is judged:",
};
