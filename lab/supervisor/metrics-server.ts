/** GET /metrics over HTTP on a unix socket in the lab's folder: for Prometheus' agents and curl. */

import { createServer, type Server } from "node:http";
import { messageOf } from "../../base/errors.ts";
import type { LabStatus } from "../api.ts";
import { METRICS_TYPE, metricsText } from "../metrics.ts";

/** Resolves once it listens. */
export async function serveMetrics(
  path: string,
  status: () => Promise<LabStatus>,
): Promise<Server> {
  const server = createServer((request, response) => {
    const answer = (code: number, type: string, text: string) => {
      response.writeHead(code, { "content-type": type, "content-length": Buffer.byteLength(text) });
      response.end(request.method === "HEAD" ? undefined : text);
    };
    if (request.method !== "GET" && request.method !== "HEAD") {
      answer(405, "text/plain", "GET only\n");
    } else if (request.url?.split("?")[0] !== "/metrics") {
      answer(404, "text/plain", "there is /metrics and nothing else\n");
    } else {
      status().then(
        (now) => answer(200, METRICS_TYPE, metricsText(now)),
        (error) => answer(503, "text/plain", `${messageOf(error)}\n`),
      );
    }
  });
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return server;
}
