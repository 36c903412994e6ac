/** The kernel's configuration as text: our fragment, and what a source made of it. Pure. */

/**
 * With `debug`: what a debugger wants on top, and trace events for `uml-lab trace`, which cost each guest
 * memory (docs/decisions/0411-inspect-and-trace.md). Functions can't be traced: that needs the
 * architecture's help.
 */
const DEBUG = `
# --- Debugging information ----------------------------------------------------------------------

CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y
CONFIG_GDB_SCRIPTS=y

# --- Trace events -------------------------------------------------------------------------------

CONFIG_FTRACE=y
CONFIG_ENABLE_DEFAULT_TRACERS=y
# CONFIG_TRACEFS_AUTOMOUNT_DEPRECATED is not set
`;

const TURNED_ROUND = /^(CONFIG_DEBUG_INFO_NONE=y|# CONFIG_FTRACE is not set)\n/gm;

/** The fragment to build with: without comments, so that rewording one makes no other kernel. */
export function fragmentFor(fragment: string, debug: boolean): string {
  const text = debug ? fragment.replace(TURNED_ROUND, "") + DEBUG : fragment;
  const lines = text.split("\n").filter((line) => /^(CONFIG_|# CONFIG_\w+ is not set$)/.test(line));
  return `${lines.join("\n")}\n`;
}

/** Names of options that the fragment turns on or sets, and the `.config` doesn't have so. */
export function notTaken(fragment: string, config: string): string[] {
  const written = new Set(config.split("\n"));
  return fragment
    .split("\n")
    .filter((line) => line.startsWith("CONFIG_") && !line.endsWith("=n") && !written.has(line))
    .map((line) => line.slice("CONFIG_".length, line.indexOf("=")));
}
