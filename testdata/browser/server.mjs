// A real server, receivers that behave well and badly, and what a program of somebody's does with them.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
export const binary = process.env.HELIOGRAPH ?? join(here, "../../bin/heliograph");

/** Starts heliograph dev on a free port and returns it with what a program can do on it. */
export async function startServer(...flags) {
  const folder = mkdtempSync(join(tmpdir(), "heliograph-browser-"));
  const dev = spawn(binary, ["dev", "--http", "127.0.0.1:0", "--https", "off", "--data", join(folder, "data"), "--log-level", "warn", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => dev.once("exit", resolve));
  let url = "";
  for await (const line of createInterface({ input: dev.stdout })) {
    url ||= line.match(/(http:\/\/\S+)\/v1\.0/)?.[1] ?? "";
    if (line.includes("Data ")) break;
  }
  if (!url) throw new Error("the server did not say where it is");
  dev.stdout.resume();
  const stop = async () => {
    dev.kill("SIGINT");
    const code = await ended;
    rmSync(folder, { recursive: true, force: true });
    return code;
  };
  return program({ url, stop });
}

async function program(server) {
  const form = new URLSearchParams({ grant_type: "client_credentials", client_id: "browser-test", client_secret: "any", scope: `${server.url}/.default` });
  const answer = await fetch(`${server.url}/common/oauth2/v2.0/token`, { method: "POST", body: form });
  const token = (await answer.json()).access_token;
  const call = async (method, path, body, headers = {}) => {
    const r = await fetch(server.url + path, {
      method, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body),
    });
    const text = await r.text();
    return { status: r.status, headers: r.headers, body: text ? JSON.parse(text) : null };
  };
  let events = 0;
  return {
    ...server, token, call,
    async subscribe(resource, notificationUrl, more = {}) {
      const r = await call("POST", "/v1.0/subscriptions", {
        changeType: "created,updated,deleted", resource, notificationUrl, clientState: "secret",
        expirationDateTime: new Date(Date.now() + 3600_000).toISOString(), ...more,
      });
      if (r.status !== 201) throw Object.assign(new Error(`subscribe: ${r.status} ${JSON.stringify(r.body)}`), r);
      return r.body;
    },
    async publish(subject, data = {}, type = "created") {
      const r = await call("POST", "/publish", { specversion: "1.0", id: `e${++events}`, source: "/browser", type: `heliograph.change.${type}`, subject, data }, { "Content-Type": "application/cloudevents+json" });
      if (r.status !== 202) throw new Error(`publish: ${r.status} ${JSON.stringify(r.body)}`);
      return r.body.ids[0];
    },
  };
}

/** Starts a receiver. behave is asked for each notification: a status, or a function of the response. */
export async function startReceiver({ echo = (token) => token, behave = () => 202 } = {}) {
  const received = [];
  let waiting = [];
  const hook = createServer((request, response) => {
    const token = new URL(request.url, "http://localhost").searchParams.get("validationToken");
    if (token !== null) return response.writeHead(200, { "Content-Type": "text/plain" }).end(echo(token));
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      received.push(...JSON.parse(body).value);
      for (const wake of waiting.splice(0)) wake();
      const how = behave(received.length);
      if (typeof how === "function") how(response);
      else response.writeHead(how, { "Content-Type": "text/plain", "X-Receiver": "test" }).end(how === 202 ? "taken" : "not now");
    });
  });
  await new Promise((resolve) => hook.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${hook.address().port}/hook`, received,
    stop: () => new Promise((resolve) => { hook.close(resolve); hook.closeAllConnections(); }),
    /** Returns when so many notifications have come. */
    async has(n) {
      while (received.length < n) await new Promise((resolve) => waiting.push(resolve));
    },
  };
}
