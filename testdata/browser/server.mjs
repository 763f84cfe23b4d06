// A real server, receivers that behave well and badly, and what a program of somebody's does with them.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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
  let tenant = "";
  for await (const line of createInterface({ input: dev.stdout })) {
    url ||= line.match(/(http:\/\/\S+)\/v1\.0/)?.[1] ?? "";
    tenant ||= line.match(/Tokens\s+\S+\/([0-9a-f-]{36})\/oauth2/)?.[1] ?? "";
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
  return program({ url, tenant, stop });
}

/** Starts heliograph serve whose people sign in at another server's development issuer: ada, an operator, and bob. */
export async function startServe() {
  const folder = mkdtempSync(join(tmpdir(), "heliograph-browser-"));
  const users = join(folder, "users.yaml");
  writeFileSync(users, "identity:\n  users:\n    - {upn: ada@example.com, name: Ada, roles: [Heliograph.Control]}\n    - {upn: bob@example.com, name: Bob}\n");
  const provider = await startServer("--config", users);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const serve = spawn(binary, ["serve", "--http", `127.0.0.1:${port}`, "--https", "off", "--data", join(folder, "data"), "--log-level", "error", "--public-url", url,
    "--issuer", `${provider.url}/${provider.tenant}/v2.0`, "--pages-client-id", "pages"], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, HELIOGRAPH_PAGES_CLIENT_SECRET: "any" } });
  const ended = new Promise((resolve) => serve.once("exit", resolve));
  let ready = false;
  for await (const line of createInterface({ input: serve.stdout })) if ((ready = line.includes("is ready"))) break;
  if (!ready) throw new Error("serve did not start");
  serve.stdout.resume();
  return { url, provider, async stop() {
    serve.kill("SIGINT");
    await ended;
    await provider.stop();
    rmSync(folder, { recursive: true, force: true });
  } };
}

async function freePort() {
  const taken = createServer();
  await new Promise((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address();
  await new Promise((resolve) => taken.close(resolve));
  return port;
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
