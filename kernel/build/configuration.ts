/** The kernel's configuration as text: our fragment, and what a source made of it. Pure. */

/** With `debug`: what a debugger wants on top. The code stays the same. */
const DEBUG = `
# --- Debugging information ----------------------------------------------------------------------

CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y
CONFIG_GDB_SCRIPTS=y
`;

/** The fragment to build with: without comments, so that rewording one makes no other kernel. */
export function fragmentFor(fragment: string, debug: boolean): string {
  const text = debug ? fragment.replace("CONFIG_DEBUG_INFO_NONE=y\n", "") + DEBUG : fragment;
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
