/** Names of links where they are spoken of, looked up with advice. */

import { closest } from "../../base/similar.ts";
import { asScalar, type Reading } from "./reading.ts";
import type { Node } from "./tree.ts";

/** Whether it names a link; what is unknown is reported. */
export function checkLink(
  reading: Reading,
  node: Node | undefined,
  links: readonly { readonly name: string }[],
): boolean {
  const scalar = asScalar(node);
  if (scalar === undefined) return false;
  if (links.some(({ name }) => name === scalar.text)) return true;
  // A link that was not understood may be the one.
  if (reading.incomplete.size > 0 || [...reading.bad].some((path) => path.startsWith("/links")))
    return false;
  const known = links.map(({ name }) => name);
  const near = closestLink(scalar.text, known);
  reading.problems.add(
    "UNKNOWN_NAME",
    scalar,
    `unknown link \`${scalar.text}\`${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
    known.length === 0
      ? "no link is declared"
      : `name links with \`name:\`; these are ${known
          .slice(0, 6)
          .map((name) => `\`${name}\``)
          .join(", ")}${known.length > 6 ? ", …" : ""}`,
  );
  return false;
}

function closestLink(text: string, known: readonly string[]): string | undefined {
  const [a, b] = text.split("--");
  const reversed = b === undefined ? undefined : known.find((name) => name === `${b}--${a}`);
  return reversed ?? closest(text, known);
}
