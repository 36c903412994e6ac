/** The guest's error numbers (Linux on x86-64, as this machine's) as text. */

import { getSystemErrorMap } from "node:util";

export function errnoText(errno: number): { readonly code: string; readonly message: string } {
  const entry = getSystemErrorMap().get(-errno);
  return entry === undefined
    ? { code: `E${errno}`, message: `error ${errno}` }
    : { code: entry[0], message: entry[1] };
}
