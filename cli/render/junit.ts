/**
 * The report as JUnit XML, in the dialect that Jenkins (junit-10.xsd), GitLab and GitHub actions read:
 * a suite for reachability, one for other expectations, one for checks, and one for guests that are
 * not ready, which are errors. A pair and address that is only measured is no test case.
 */

import type {
  CheckResult,
  ExpectationResult,
  ReachabilityResult,
  Report,
  TimelineEvent,
} from "../../lab/api.ts";

interface Case {
  readonly classname: string;
  readonly name: string;
  readonly seconds: number;
  readonly failure?: { readonly message: string; readonly text: string };
  /** What kept it from being judged. */
  readonly error?: { readonly message: string; readonly text: string };
  readonly output?: string;
}

export function reportJunit(report: Report, at: Date): string {
  const unready = report.guests.filter(({ state }) => state !== "ready");
  const groups: readonly (readonly [name: string, cases: readonly Case[]])[] = [
    ["reachability", report.reachability.flatMap((one) => pairCase(report, one))],
    ["expectations", report.expectations.map((one) => expectationCase(report, one))],
    ["checks", report.checks.map((one) => checkCase(report, one))],
    ["events", (report.timeline?.events ?? []).map((one) => eventCase(report, one))],
    ["guests", unready.map((one) => guestCase(report, one))],
  ];
  const suites = groups
    .filter(([name, cases]) => cases.length > 0 || name === "reachability")
    .map(([name, cases]) => suite(report, name, cases, at));
  const sum = (what: "tests" | "failures" | "errors") =>
    suites.reduce((total, one) => total + one[what], 0);
  const head = attributes({
    name: report.lab,
    tests: sum("tests"),
    failures: sum("failures"),
    errors: sum("errors"),
    time: (report.timing.totalMs / 1000).toFixed(3),
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites${head}>\n${suites
    .map((one) => one.xml)
    .join("")}</testsuites>\n`;
}

function pairCase(report: Report, result: ReachabilityResult): Case[] {
  if (result.expected === null) return [];
  const relation = result.expected === "reach" ? "reaches" : "does not reach";
  const happened = result.reachable ? "it was reached" : "it was not reached";
  return [
    {
      classname: `${report.lab}.reachability`,
      name: `${result.from} ${relation} ${result.to} at ${result.address}`,
      seconds: (result.rttMs ?? 0) / 1000,
      ...(result.ok ? {} : { failure: { message: result.why ?? happened, text: happened } }),
    },
  ];
}

function expectationCase(report: Report, one: ExpectationResult): Case {
  return {
    classname: `${report.lab}.expectations.${one.kind}`,
    name: one.name,
    seconds: 0,
    output: one.found,
    ...(one.ok ? {} : { failure: { message: one.why ?? "it did not hold", text: one.found } }),
  };
}

function eventCase(report: Report, one: TimelineEvent): Case {
  return {
    classname: `${report.lab}.events.${one.kind}`,
    name: `at ${one.atMs / 1000} s: ${one.name}`,
    seconds: (one.endedMs - one.startedMs) / 1000,
    output: one.found,
    ...(one.ok ? {} : { failure: { message: one.why ?? "it did not hold", text: one.found } }),
  };
}

function guestCase(report: Report, guest: Report["guests"][number]): Case {
  const message = `${guest.name} is ${guest.state}`;
  return {
    classname: `${report.lab}.guests`,
    name: guest.name,
    seconds: 0,
    error: { message, text: message },
  };
}

function checkCase(report: Report, check: CheckResult): Case {
  const message =
    check.exit === null ? "it did not end in time" : `it ended with status ${check.exit}`;
  return {
    classname: `${report.lab}.checks.${check.on}`,
    name: check.name,
    seconds: 0,
    output: check.output,
    ...(check.ok ? {} : { failure: { message, text: check.output } }),
  };
}

function suite(report: Report, name: string, cases: readonly Case[], at: Date) {
  const failures = cases.filter((one) => one.failure !== undefined).length;
  const errors = cases.filter((one) => one.error !== undefined).length;
  const head = attributes({
    name: `${report.lab}.${name}`,
    tests: cases.length,
    failures,
    errors,
    skipped: 0,
    time: (report.timing.verifyMs / 1000).toFixed(3),
    timestamp: at.toISOString().slice(0, 19),
  });
  const xml = `  <testsuite${head}>\n${cases.map(caseXml).join("")}  </testsuite>\n`;
  return { xml, tests: cases.length, failures, errors };
}

function caseXml({ classname, name, seconds, failure, error, output }: Case): string {
  const head = `    <testcase${attributes({ classname, name, time: seconds.toFixed(6) })}`;
  const inner: string[] = [];
  for (const [element, type, what] of [
    ["error", "guest", error],
    ["failure", "expectation", failure],
  ] as const) {
    if (what === undefined) continue;
    const head = attributes({ message: what.message, type });
    inner.push(`      <${element}${head}>${xmlText(what.text)}</${element}>`);
  }
  if (output) inner.push(`      <system-out>${xmlText(output)}</system-out>`);
  if (inner.length === 0) return `${head}/>\n`;
  return `${head}>\n${inner.join("\n")}\n    </testcase>\n`;
}

const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => ` ${name}="${xmlText(String(value))}"`)
    .join("");

/** XML 1.0 §2.2: most control characters may not occur at all, not even escaped. */
function xmlText(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
      .replaceAll("\n", "&#10;")
  );
}
