/**
 * The command line: words to a command, the command's result to an exit status.
 *
 * Start-up counts (completion runs this program at every Tab), so nothing is imported before it is
 * needed: the version needs nothing at all.
 */

const startedAt = Date.now();
const argv = process.argv.slice(2);

if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
  const { readFileSync } = await import("node:fs");
  const { version } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as { version: string };
  process.stdout.write(`uml-lab ${version}\n`);
} else {
  const { runProcess } = await import("./process.ts");
  await runProcess(argv, startedAt);
}
