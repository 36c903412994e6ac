/**
 * What was done to the terminal and must be undone on any exit: raw mode, a hidden cursor, the
 * other screen of a program in a guest. One place, because `process.on("exit")` needs one.
 */

const undo = new Set<() => void>();

/** Registers an undoing; call the answer to run it (once) earlier. */
export function whenLeavingTerminal(run: () => void): () => void {
  const once = () => {
    if (undo.delete(once)) run();
  };
  undo.add(once);
  return once;
}

/** Runs all that is left, last first. Harmless at any time. */
export function restoreTerminal(): void {
  for (const run of [...undo].reverse()) {
    try {
      run();
    } catch {
      // The terminal itself may be gone (SIGHUP).
    }
  }
}
