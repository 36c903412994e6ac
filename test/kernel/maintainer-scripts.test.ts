import { expect } from "chai";
import { makeAccounts } from "../../kernel/images/accounts.ts";
import {
  joinWishes,
  readScript,
  readSysusers,
  readTmpfiles,
} from "../../kernel/images/maintainer-scripts.ts";

const POSTINST = `#!/bin/sh
set -e
addgroup --system frrvty
adduser \\
	--system \\
	--ingroup frr \\
	--home /nonexistent \\
	--gecos "Routing: suite" \\
	--no-create-home \\
	frr
usermod -a -G frrvty frr
# adduser commented
if ! getent passwd bird > /dev/null; then
	adduser --quiet --system --group --no-create-home --home /run/bird bird
fi
getent group bind >/dev/null 2>&1 || addgroup --system bind
adduser --system "$USER"
if ! addgroup --quiet --system $GROUP; then exit 1; fi
update-alternatives --install /usr/bin/pager pager /usr/bin/less 77 \\
  --slave /usr/share/man/man1/pager.1.gz pager.1.gz /usr/share/man/man1/less.1.gz
rm -rf / # a script is read, never run
`;

describe("what maintainer scripts ask for", () => {
  const wishes = readScript(POSTINST);

  it("reads accounts whose words are plain, and leaves the rest", () => {
    expect(wishes.users).to.deep.equal([
      { name: "frr", group: "frr", home: "/nonexistent", comment: "Routing  suite" },
      { name: "bird", group: undefined, home: "/run/bird", comment: "" },
    ]);
    expect(wishes.groups).to.deep.equal(["frrvty", "bind"]);
    expect(wishes.members).to.deep.equal([{ user: "frr", group: "frrvty" }]);
  });

  it("reads alternatives with what hangs on them", () => {
    expect(wishes.alternatives).to.deep.equal([
      { link: "/usr/bin/pager", target: "/usr/bin/less", priority: 77 },
      {
        link: "/usr/share/man/man1/pager.1.gz",
        target: "/usr/share/man/man1/less.1.gz",
        priority: 77,
      },
    ]);
  });

  it("reads sysusers.d and tmpfiles.d", () => {
    const text = '# comment\nu polkitd - "User: daemon" /var/lib/x\ng render -\nm frr adm\n';
    const found = readSysusers(text);
    expect(found.users).to.deep.equal([
      { name: "polkitd", group: undefined, home: "/var/lib/x", comment: "User  daemon" },
    ]);
    expect(found.groups).to.deep.equal(["render"]);
    expect(found.members).to.deep.equal([{ user: "frr", group: "adm" }]);
    expect(readTmpfiles("d /var/run/frr 0755 frr frr - -\nf /x\nd /run/y - - -\n")).to.deep.equal([
      { path: "/run/frr", mode: 0o755, user: "frr", group: "frr" },
      { path: "/run/y", mode: 0o755, user: "root", group: "root" },
    ]);
  });

  it("gives the same ids whatever the order", () => {
    const other = readScript("adduser --system --group aa\n");
    const accounts = makeAccounts(joinWishes([wishes, other]));
    expect(accounts.passwd).to.equal(makeAccounts(joinWishes([wishes, other])).passwd);
    expect(accounts.userId("bird")).to.equal(
      makeAccounts(joinWishes([other, wishes])).userId("bird"),
    );
    expect(accounts.userId("aa")).to.equal(200);
    expect(accounts.group).to.match(/^frrvty:x:\d+:frr$/m);
    expect(accounts.passwd).to.match(/^root:x:0:0:/);
    expect(accounts.userId("www-data")).to.equal(33);
    expect(accounts.shadow)
      .to.match(/^bird:\*:/m)
      .and.to.match(/^root::/m);
    const ids = accounts.passwd.split("\n").flatMap((line) => line.split(":")[2] ?? []);
    expect(new Set(ids).size).to.equal(ids.length);
  });
});
