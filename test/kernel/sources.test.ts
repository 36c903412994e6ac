import { expect } from "chai";
import {
  debianMirror,
  distributionSources,
  parseDeb822Sources,
  parseOneLineSources,
  parseOsRelease,
  renderSources,
} from "../../kernel/packages/sources.ts";

const bookworm = { id: "debian", family: ["debian"], codename: "bookworm" };
const noble = { id: "ubuntu", family: ["ubuntu", "debian"], codename: "noble" };

const DEBIAN = `# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
# in the middle of a stanza
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://apt.vendor.example
Suites: stable-vendor
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
`;

describe("apt's sources", () => {
  it("are read from one-line files", () => {
    const sources = parseOneLineSources(
      [
        "# deb http://no.example/debian bookworm main",
        "deb-src http://no.example/debian bookworm main",
        "deb http://mirror.example/debian bookworm main contrib # comment",
        "deb [arch=amd64,arm64 signed-by=/k/x.gpg] http://m.example/ubuntu noble universe",
        "deb [ trusted=yes ] file:/srv/flat ./",
        "  deb\thttp://tab.example/debian\tsid\tmain",
        "nonsense",
      ].join("\n"),
    );
    expect(sources).to.deep.equal([
      {
        uris: ["http://mirror.example/debian"],
        suites: ["bookworm"],
        components: ["main", "contrib"],
        signedBy: undefined,
        architectures: [],
      },
      {
        uris: ["http://m.example/ubuntu"],
        suites: ["noble"],
        components: ["universe"],
        signedBy: "/k/x.gpg",
        architectures: ["amd64", "arm64"],
      },
      {
        uris: ["file:/srv/flat"],
        suites: ["./"],
        components: [],
        signedBy: undefined,
        architectures: [],
      },
      {
        uris: ["http://tab.example/debian"],
        suites: ["sid"],
        components: ["main"],
        signedBy: undefined,
        architectures: [],
      },
    ]);
  });

  it("are read from deb822 files, without sources and disabled ones", () => {
    const sources = parseDeb822Sources(DEBIAN);
    expect(sources.map(({ uris }) => uris[0])).to.deep.equal([
      "http://mirror.example/debian",
      "http://security.example/debian-security",
      "https://apt.vendor.example",
    ]);
    expect(sources[0]?.suites).to.have.length(3);
    expect(sources[2]?.signedBy).to.include("\n .\n abc\n");
  });

  it("keep the distribution's own and leave backports and vendors out", () => {
    const own = distributionSources(parseDeb822Sources(DEBIAN), bookworm);
    expect(own.map(({ suites }) => suites)).to.deep.equal([
      ["bookworm", "bookworm-updates"],
      ["bookworm-security"],
    ]);
    expect(own[0]?.components).to.deep.equal(["main"]);
  });

  it("keep universe on Ubuntu", () => {
    const own = distributionSources(
      parseOneLineSources(
        "deb http://m.example/ubuntu noble main restricted universe multiverse\n" +
          "deb http://m.example/ubuntu noble-security main universe\n" +
          "deb http://ppa.example/x jammy main\n",
      ),
      noble,
    );
    expect(own.map(({ suites, components }) => [...suites, ...components])).to.deep.equal([
      ["noble", "main", "universe"],
      ["noble-security", "main", "universe"],
    ]);
  });

  it("are all kept where none is known to be the distribution's", () => {
    const sources = parseOneLineSources("deb http://m.example/debian other main\n");
    expect(distributionSources(sources, bookworm)).to.deep.equal(sources);
  });

  it("name Debian's mirror, not its security archive, and only on Debian", () => {
    const sources = [...parseDeb822Sources(DEBIAN)].reverse();
    expect(debianMirror(sources, bookworm)).to.deep.equal({
      uri: "http://mirror.example/debian",
      signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
    });
    expect(debianMirror(sources, noble)).to.equal(undefined);
  });

  it("come out as they went in", () => {
    const sources = parseDeb822Sources(DEBIAN);
    const again = parseDeb822Sources(renderSources(sources, "amd64"));
    expect(again).to.deep.equal(sources.map((one) => ({ ...one, architectures: ["amd64"] })));
  });
});

describe("os-release", () => {
  it("is read with and without quotes", () => {
    expect(
      parseOsRelease('PRETTY_NAME="X"\nID=ubuntu\nID_LIKE="debian"\nVERSION_CODENAME=noble\n'),
    ).to.deep.equal(noble);
    expect(parseOsRelease("ID=debian\n")).to.deep.equal({ ...bookworm, codename: "" });
  });
});
