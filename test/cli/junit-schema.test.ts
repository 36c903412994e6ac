/**
 * The report against the common schema of JUnit XML (Jenkins, xunit plugin: junit-10.xsd): which
 * elements stand in which, in which order, with which attributes of which form.
 */

import { expect } from "chai";
import { reportJunit } from "../../cli/render/junit.ts";
import { NOW, pair, report } from "./fakes.ts";

interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: Element[];
  text: string;
}

const NUMBER = /^\d+$/;
const SECONDS = /^\d+(\.\d+)?$/;
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/;
const ANY = /^[^<]*$/;

/** Required attributes end with `!`. Children in their order; all can occur more than once. */
const SCHEMA: Record<
  string,
  { attributes: Record<string, RegExp>; children: readonly string[]; text?: true }
> = {
  testsuites: {
    attributes: {
      ...{ name: ANY, time: SECONDS, tests: NUMBER, failures: NUMBER, disabled: NUMBER },
      errors: NUMBER,
    },
    children: ["testsuite"],
  },
  testsuite: {
    attributes: {
      ...{ "name!": ANY, "tests!": NUMBER, failures: NUMBER, errors: NUMBER, time: SECONDS },
      ...{ disabled: NUMBER, skipped: NUMBER, timestamp: TIMESTAMP, hostname: ANY, id: ANY },
      package: ANY,
    },
    children: ["properties", "testcase", "system-out", "system-err"],
  },
  testcase: {
    attributes: {
      ...{ "name!": ANY, assertions: NUMBER, time: SECONDS, classname: ANY, status: ANY },
    },
    children: ["skipped", "error", "failure", "system-out", "system-err"],
  },
  error: { attributes: { type: ANY, message: ANY }, children: [], text: true },
  failure: { attributes: { type: ANY, message: ANY }, children: [], text: true },
  "system-out": { attributes: {}, children: [], text: true },
};

function parse(xml: string): Element {
  const root: Element = { name: "", attributes: new Map(), children: [], text: "" };
  const open = [root];
  const body = xml.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, "");
  const pieces = /<(\/?)([a-z-]+)((?: [a-z]+="[^"<]*")*)(\/?)>|([^<]+)|(.)/gs;
  for (const [, close, name = "", attributes = "", self, text, wrong] of body.matchAll(pieces)) {
    expect(wrong, "something that is no XML").to.equal(undefined);
    const top = open.at(-1) as Element;
    if (text !== undefined) {
      expect(text).to.match(/^([^&]|&(amp|lt|gt|quot|#10);)*$/);
      top.text += text;
    } else if (close === "/") {
      expect(open.pop()?.name).to.equal(name);
    } else {
      const pairs = [...attributes.matchAll(/ ([a-z]+)="([^"]*)"/g)];
      const map = new Map(pairs.map(([, key, value]) => [key as string, value as string]));
      expect(map.size, `attributes of ${name} told twice`).to.equal(pairs.length);
      const element: Element = { name, attributes: map, children: [], text: "" };
      top.children.push(element);
      if (self !== "/") open.push(element);
    }
  }
  expect(open).to.have.lengthOf(1);
  expect(root.children).to.have.lengthOf(1);
  return root.children[0] as Element;
}

function check({ name, attributes, children, text }: Element): void {
  const rule = SCHEMA[name];
  if (rule === undefined) throw new Error(`unknown element ${name}`);
  const known = new Map(
    Object.entries(rule.attributes).map(([key, form]) => [key.replace("!", ""), form]),
  );
  for (const [key, value] of attributes) {
    expect(known.get(key), `${name} has no attribute ${key}`).not.to.equal(undefined);
    expect(value, `${name} ${key}`).to.match(known.get(key) as RegExp);
  }
  for (const key of Object.keys(rule.attributes).filter((one) => one.endsWith("!"))) {
    expect(attributes.has(key.slice(0, -1)), `${name} needs ${key}`).to.equal(true);
  }
  const order = children.map((child) => rule.children.indexOf(child.name));
  expect(order, `children of ${name}`).to.deep.equal([...order].sort((a, b) => a - b));
  expect(order).not.to.include(-1);
  if (!rule.text) expect(text.trim()).to.equal("");
  children.forEach(check);
}

describe("the JUnit report and the common schema", () => {
  const value = report({
    verdict: "fail",
    reachability: [
      pair({ from: "a", to: "b" }),
      pair({
        from: "b",
        to: "a",
        reachable: false,
        ok: false,
        why: 'a "reason" <&>\nin two lines',
      }),
    ],
    checks: [
      {
        name: "web",
        on: "a",
        ok: false,
        points: 0,
        of: 1,
        output: "]]> \u001b[31m\u0000\n",
        exit: 1,
      },
      { name: "dns", on: "a", ok: false, points: 0, of: 1, output: "", exit: null },
    ],
    expectations: [
      {
        ...{ kind: "routes", name: "r1 has <x>", on: "r1", ok: false, points: 0, of: 1 },
        ...{ found: "r1 has no route", why: "r1 has no route" },
      },
    ],
    timeline: {
      lengthMs: 1000,
      flows: [],
      events: [
        {
          ...{ kind: "run", name: "a: false", atMs: 500, startedMs: 500, endedMs: 700, ok: false },
          ...{ points: 0, of: 0, found: "", why: "", exit: 1 },
        },
      ],
    },
  });
  const failedGuest = { ...value.guests[0], state: "failed" as const } as (typeof value.guests)[0];
  const root = parse(reportJunit({ ...value, guests: [failedGuest] }, new Date(NOW)));

  it("agree in elements, their order and attributes", () => {
    expect(root.name).to.equal("testsuites");
    check(root);
  });

  it("counts what it holds", () => {
    const sum = (of: Element, name: string): number =>
      of.children.reduce((n, child) => n + sum(child, name) + (child.name === name ? 1 : 0), 0);
    expect(root.children.map(({ attributes }) => attributes.get("name"))).to.deep.equal(
      ["reachability", "expectations", "checks", "events", "guests"].map(
        (one) => `two-lans.${one}`,
      ),
    );
    for (const one of [root, ...root.children]) {
      expect(Number(one.attributes.get("tests"))).to.equal(sum(one, "testcase"));
      expect(Number(one.attributes.get("failures"))).to.equal(sum(one, "failure"));
      expect(Number(one.attributes.get("errors"))).to.equal(sum(one, "error"));
    }
    expect(sum(root, "failure")).to.equal(5);
    expect(sum(root, "error")).to.equal(1);
  });

  it("is refused where it is not so", () => {
    expect(() => check(parse('<testsuite tests="1"/>'))).to.throw(/needs name!/);
    expect(() =>
      check(parse('<testcase name="x"><system-out/><failure message="m"/></testcase>')),
    ).to.throw(/children of testcase/);
    expect(() => parse("<testsuites><a></testsuites>")).to.throw();
  });
});
