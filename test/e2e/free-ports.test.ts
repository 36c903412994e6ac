import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import { expect } from "chai";
import type { LabError } from "../../base/errors.ts";
import { checkPorts } from "../../lab/free-ports.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { parseTopology } from "../../lab/topology/read.ts";

describe("forwarded ports, before anything starts", () => {
  const check = (host: number, protocol: "tcp" | "udp") => {
    const text = `name: x\nguests: { a: { ports: ["${host}:80/${protocol}"] } }`;
    return checkPorts(makePlan(parseTopology("/lab/x.yaml", Buffer.from(text), {}))).then(
      () => undefined,
      (error: LabError) => error,
    );
  };

  it("are refused where another program has them, TCP and UDP alike", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    const tcp = (server.address() as AddressInfo).port;
    const udp = socket.address().port;
    const errors = [await check(tcp, "tcp"), await check(udp, "udp")];
    server.close();
    socket.close();
    expect(errors.map((error) => error?.code)).to.deep.equal(["PORT_TAKEN", "PORT_TAKEN"]);
    expect(errors[0]?.message).to.include(`127.0.0.1:${tcp}, which is forwarded to a`);
    expect(errors[1]?.message).to.include(`127.0.0.1:${udp}/udp`);
  });

  it("are free again once they were looked at", async () => {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    const { port } = socket.address();
    await new Promise<void>((resolve) => socket.close(resolve));
    expect(await check(port, "udp")).to.equal(undefined);
    expect(await check(port, "udp")).to.equal(undefined);
  });
});
