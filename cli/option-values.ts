/** The values of options, as more than text. */

import { LabError } from "../base/errors.ts";
import { optionValue, type Words } from "./command.ts";

/**
 * What `parse` makes of an option's value, undefined where the option was not given. Throws USAGE
 * where `parse` answers undefined; `hint` says what a value looks like.
 */
export function parsedOption<Value>(
  words: Words,
  option: string,
  parse: (text: string) => Value | undefined,
  hint: string,
): Value | undefined {
  const text = optionValue(words, option);
  if (text === undefined) return undefined;
  const value = parse(text);
  if (value !== undefined) return value;
  throw new LabError("USAGE", `\`${text}\` is no value for --${option}`, { hint });
}

/** An option that counts something: 1 to `most`. Throws USAGE. */
export function countOption(
  words: Words,
  option: string,
  most = 9_999_999_999,
): number | undefined {
  const parse = (text: string): number | undefined => {
    const count = parseCount(text);
    return count === undefined || count > most ? undefined : count;
  };
  return parsedOption(words, option, parse, `a number from 1 to ${most}`);
}

/** A decimal number from 1 on, of at most ten digits. */
export const parseCount = (text: string): number | undefined =>
  /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
