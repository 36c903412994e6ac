import { expect } from "chai";
import { LabError } from "../../base/errors.ts";
import { LOADERS } from "../../cli/loaders.ts";
import { parseWords } from "../../cli/parse.ts";
import { COMMANDS, GROUPS } from "../../cli/table.ts";

function refusal(...argv: string[]): LabError {
  try {
    parseWords(argv);
  } catch (error) {
    if (error instanceof LabError) return error;
    throw error;
  }
  throw new Error(`${argv.join(" ")} was accepted`);
}

describe("words to commands", () => {
  it("finds a command, its arguments and its options, in any order", () => {
    const { command, words } = parseWords(["up", "--junit", "r.xml", "lab.yaml", "-q"]);
    expect(command.name).to.equal("up");
    expect(words.args).to.deep.equal(["lab.yaml"]);
    expect(words.options).to.deep.equal({ junit: "r.xml", quiet: true });
  });

  it("takes global options before the command", () => {
    const { command, words } = parseWords(["--format", "json", "-v", "ps"]);
    expect(command.name).to.equal("ps");
    expect(words.options).to.deep.equal({ format: "json", verbose: true });
  });

  it("finds commands of two words", () => {
    const { command, words } = parseWords(["link", "set", "core", "delay=1ms", "loss=1%"]);
    expect(command.name).to.equal("link set");
    expect(words.args).to.deep.equal(["core", "delay=1ms", "loss=1%"]);
  });

  it("leaves every word after -- to the guest's command", () => {
    const { words } = parseWords(["exec", "-t", "alice", "--", "ls", "-l", "--format", "x"]);
    expect(words.args).to.deep.equal(["alice", "ls", "-l", "--format", "x"]);
    expect(words.options).to.deep.equal({ tty: true });
  });

  it("ends its own options at the first word of the guest's command, without --", () => {
    const { words } = parseWords([
      "exec",
      "--lab",
      "a",
      "-e",
      "A=1",
      "-e",
      "B=2",
      "h1",
      "ls",
      "-t",
    ]);
    expect(words.args).to.deep.equal(["h1", "ls", "-t"]);
    expect(words.options.tty).to.equal(undefined);
    expect(words.repeated.env).to.deep.equal(["A=1", "B=2"]);
  });

  it("lets a command redefine a global option", () => {
    expect(parseWords(["graph", "x.yaml", "--format", "svg"]).words.options.format).to.equal("svg");
    expect(refusal("up", "x.yaml", "--format", "svg").hint).to.include("text, json");
  });

  it("asks for nothing else where help is asked for", () => {
    expect(parseWords(["up", "--help"]).words.options.help).to.equal(true);
  });

  const refused: readonly (readonly [words: string, message: RegExp, hint: RegExp])[] = [
    ["chek lab.yaml", /unknown command `chek`/, /did you mean `uml-lab check`/],
    ["frobnicate", /unknown command/, /uml-lab help/],
    ["link", /needs one more word/, /uml-lab link show/],
    ["link shwo", /unknown command `link shwo`/, /did you mean `uml-lab link show`/],
    ["up", /needs FILE/, /uml-lab up topologies/],
    ["exec alice", /needs CMD/, /uml-lab exec alice -- ip route/],
    ["up a.yaml b.yaml", /`b.yaml`/, /uml-lab up \[options\] FILE/],
    ["up --jnuit x a.yaml", /no option --jnuit/, /did you mean --junit/],
    ["up -x a.yaml", /no option -x/, /uml-lab help up/],
    ["up a.yaml --junit", /--junit needs a value/, /--junit FILE/],
    ["up --junit --html a.yaml", /--junit needs a value/, /--junit FILE/],
    ["ps --quiet=yes", /--quiet takes no value/, /uml-lab help ps/],
    ["ps --format jsn", /--format jsn/, /did you mean `--format json`/],
  ];
  for (const [words, message, hint] of refused) {
    it(`refuses \`${words}\` and says what to write`, () => {
      const error = refusal(...words.split(" "));
      expect(error.code).to.equal("USAGE");
      expect(error.exitStatus).to.equal(2);
      expect(error.message).to.match(message);
      expect(error.hint).to.match(hint);
    });
  }
});

describe("the table of commands", () => {
  it("has code for each command, and no code without a command", () => {
    expect(Object.keys(LOADERS).sort()).to.deep.equal(
      COMMANDS.map((command) => command.name).sort(),
    );
  });

  it("loads each command's code", async () => {
    for (const load of Object.values(LOADERS)) expect((await load()).run).to.be.a("function");
  });

  it("gives examples that its own parser accepts", () => {
    for (const command of COMMANDS) {
      for (const [example] of command.examples) {
        const own = /uml-lab ([^|&<>)]*)/.exec(example)?.[1]?.trim() ?? "";
        const call = parseWords(own.split(/ +/));
        expect(call.command.name, example).to.equal(command.name);
      }
    }
  });

  it("puts a heading above commands that exist", () => {
    const names = COMMANDS.map((command) => command.name);
    for (const [, first] of GROUPS) expect(names).to.include(first);
  });
});
