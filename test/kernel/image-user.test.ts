import { expect } from "chai";
import { resolveUser } from "../../kernel/guest/image-user.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/sh
app:x:1000:1001::/home/app:/bin/sh
bare:x:1002:1002:::
broken:x:many:1:::
7:x:1007:1007::/home/seven:
`;
const GROUP = `root:x:0:root
app:x:1001:
team:x:2000:bare,app
web:x:2001:app
void:x::
`;
const resolve = (user: string) => resolveUser(user, PASSWD, GROUP);
const app = { name: "app", uid: 1000, gid: 1001, groups: [2000, 2001], home: "/home/app" };

describe("an image's user", () => {
  it("is found by its name or number, with its groups", () => {
    expect(resolve("app")).to.deep.equal(app);
    expect(resolve("1000")).to.deep.equal(app);
    expect(resolve("bare")).to.deep.equal({
      ...{ name: "bare", uid: 1002, gid: 1002, groups: [2000], home: "/" },
    });
    expect(resolve("root")).to.include({ uid: 0, gid: 0, home: "/root" });
  });

  it("has the group it names, and then no others", () => {
    const given = (gid: number) => ({ ...app, gid, groups: [] });
    expect(resolve("app:team")).to.deep.equal(given(2000));
    expect(resolve("app:2001")).to.deep.equal(given(2001));
    expect(resolve("1000:33")).to.deep.equal(given(33));
    expect(resolve(":team")).to.include({ name: "root", uid: 0, gid: 2000 });
  });

  it("may be a number that nobody has; a number is never a name", () => {
    const unknown = { name: "65532", uid: 65532, gid: 0, groups: [], home: "/" };
    expect(resolve("65532")).to.deep.equal(unknown);
    expect(resolveUser("65532", "", "")).to.deep.equal(unknown);
    expect(resolveUser("65532:65532", "", "")).to.deep.equal({ ...unknown, gid: 65532 });
    expect(resolve("7")).to.include({ uid: 7, home: "/" });
  });

  it("is told to be missing by name", () => {
    expect(() => resolve("wep")).to.throw("/etc/passwd has no user `wep`");
    expect(() => resolveUser("root", "", "")).to.throw("/etc/passwd has no user `root`");
    expect(() => resolve("app:wep")).to.throw("/etc/group has no group `wep`");
    expect(() => resolve("broken")).to.throw("user `broken` of /etc/passwd has no valid number");
    expect(() => resolve("app:void")).to.throw("group `void` of /etc/group has no valid number");
    expect(() => resolve("4294967295")).to.throw("no user `4294967295`");
  });
});
