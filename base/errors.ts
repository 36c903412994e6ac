/**
 * Errors a person can act on.
 *
 * A `LabError` says what happened, where, and what to do. Its code decides the exit status of the
 * command line (README, "Exit status"). No stack is shown for it unless `UML_LAB_DEBUG` is set;
 * anything that is not a `LabError` is our own bug and shows its stack.
 */

/** Every code with the exit status it leads to. Tests assert codes, not messages. */
export const EXIT_STATUS = {
  // 1: the lab ran, and something expected did not hold
  EXPECTATION_FAILED: 1,
  // 2: the command or the topology file is wrong; nothing was started
  USAGE: 2,
  FILE_UNREADABLE: 2,
  YAML_SYNTAX: 2,
  SCHEMA: 2,
  UNKNOWN_KEY: 2,
  UNKNOWN_NAME: 2,
  DUPLICATE_NAME: 2,
  BAD_VALUE: 2,
  ADDRESS_CLASH: 2,
  BAD_ADDRESS: 2,
  SWITCH_LOOP: 2,
  UNDEFINED_VARIABLE: 2,
  NOT_YET: 2,
  LAB_EXISTS: 2,
  NO_SUCH_LAB: 2,
  NO_SUCH_GUEST: 2,
  NO_SUCH_LINK: 2,
  // 3: this machine lacks something
  NO_KERNEL: 3,
  NO_IMAGE: 3,
  NO_APT: 3,
  NO_DOCKER: 3,
  NO_TOOL: 3,
  NO_RIGHT: 3,
  NO_SPACE: 3,
  PORT_TAKEN: 3,
  NO_TAP: 3,
  FETCH_FAILED: 3,
  BUILD_FAILED: 3,
  // 4: a guest or the lab failed while running
  GUEST_FAILED: 4,
  GUEST_BOOT: 4,
  GUEST_SETUP: 4,
  FABRIC_FAILED: 4,
  SUPERVISOR_FAILED: 4,
  TIMEOUT: 4,
  // 130: interrupted; everything started was stopped
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof EXIT_STATUS;

/** A place in a file; lines and columns count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface LabErrorOptions {
  readonly cause?: unknown;
  /** What to do about it: one sentence, often a command. */
  readonly hint?: string;
  readonly at?: SourcePosition;
  /** The source line and a caret under the place, ready to print (two lines). */
  readonly excerpt?: string;
}

export class LabError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly at: SourcePosition | undefined;
  readonly excerpt: string | undefined;

  constructor(code: ErrorCode, message: string, options: LabErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "LabError";
    this.code = code;
    this.hint = options.hint;
    this.at = options.at;
    this.excerpt = options.excerpt;
  }

  get exitStatus(): number {
    return EXIT_STATUS[this.code];
  }
}

/** All errors of one topology file, in the order of their positions. Never empty. */
export class LabErrors extends LabError {
  readonly errors: readonly LabError[];

  constructor(errors: readonly LabError[]) {
    const first = errors[0];
    if (first === undefined) throw new Error("LabErrors needs at least one error");
    super(first.code, first.message, {
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      ...(first.at === undefined ? {} : { at: first.at }),
      ...(first.excerpt === undefined ? {} : { excerpt: first.excerpt }),
    });
    this.name = "LabErrors";
    this.errors = errors;
  }
}

/** The message of anything thrown, for a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
