// A Heliograph server for one test: start() runs the binary on a free port with a folder of its own, and stop() ends it and
// leaves nothing behind. The application under test speaks with it as with Microsoft Graph.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const every = 10; // ms between two looks

/**
 * Starts a server. binary is the heliograph command: left out, HELIOGRAPH names it, or it is looked for in the path.
 * wait is how long methods wait for what should happen, in ms. args are further flags of heliograph dev.
 */
export async function start({ binary = process.env.HELIOGRAPH ?? "heliograph", wait = 10_000, args = [] } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "heliograph-test-"));
  const child = spawn(
    binary,
    ["dev", "--output", "json", "--http", "127.0.0.1:0", "--https", "off", "--data", join(folder, "data"), "--log-level", "warn", ...args],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (complaints = (complaints + text).slice(-4096)));
  const ended = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", (error) => {
      complaints += error.message;
      resolve();
    });
  });
  const first = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once("line", resolve)),
    ended.then(() => undefined),
    pause(30_000).then(() => undefined),
  ]);
  if (first === undefined) {
    child.kill("SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
    throw new Error(`heliograph did not start: ${complaints.trim() || binary}`);
  }
  return new Server(JSON.parse(first), { child, ended, folder, wait });
}

/** A running server. */
export class Server {
  #process;
  #token;

  constructor(welcome, process) {
    /** The address: the Graph API is below it, at /v1.0 and /beta. */
    this.url = welcome.url;
    /** Where any client id gets a token with any secret. */
    this.tokenUrl = welcome.tokenUrl;
    /** The tenant of those tokens. */
    this.tenant = welcome.tenant;
    this.#process = process;
  }

  /** An access token with every permission, or of whom the request names: {app, user, scopes, roles, tenant, lifetime}. */
  async token(request = undefined) {
    if (request === undefined) return this.#own();
    return (await this.#call("POST", "/control/v1/tokens", request)).access_token;
  }

  /** Waits until somebody has subscribed to a resource, and returns how the subscription is. */
  async waitForSubscription(resource) {
    const plain = (text) => text.replace(/^\//, "").toLowerCase();
    let all = [];
    return this.#await(
      async () => {
        all = await this.subscriptions();
        return all.find((one) => plain(one.resource) === plain(resource));
      },
      () => `nobody has subscribed to ${resource}. There are: ${all.map((one) => one.resource).join(", ") || "none"}`,
    );
  }

  /** How all subscriptions of the tenant are. */
  async subscriptions() {
    const all = [];
    for (let next = "/control/v1/subscriptions"; next; ) {
      const page = await this.#call("GET", next);
      all.push(...page.value);
      next = page.next;
    }
    return all;
  }

  /** Tells the server of a change: {resource, type = "created", paths, data}. */
  async publish({ resource, type = "created", paths = [], data = undefined }) {
    const event = {
      specversion: "1.0", id: crypto.randomUUID(), source: "/heliograph-test", type: `heliograph.change.${type}`, subject: resource, data,
      ...(paths.length > 0 && { paths: paths.join(" ") }),
    };
    const receipt = await this.#call("POST", "/publish", event, "application/cloudevents+json");
    return { id: receipt.ids[0], resource, type };
  }

  /** Makes realistic changes up, such as message.created: {user, set, parameters, seed, count}. Returns them. */
  async trigger(event, request = {}) {
    const done = await this.#call("POST", "/control/v1/trigger", { event, ...request });
    return done.changes.map((one) => ({ id: one.id, resource: one.resource, type: one.changeType, data: one.data }));
  }

  /** Waits until every subscription that the change is for has it, and returns the deliveries. Says why when it is for nobody. */
  async expectDelivered(change) {
    let why = "";
    return this.#await(
      async () => {
        const { subscriptions = [] } = await this.#explain(change);
        const wanted = subscriptions.filter((one) => !one.withheld);
        if (wanted.length === 0) {
          const reasons = subscriptions.map((one) => `subscription ${one.subscriptionId} does not get it: ${one.withheld}`);
          throw new Error(`${change.type} ${change.resource} is for nobody: ${reasons.join("; ") || "no subscription watches it"}`);
        }
        const deliveries = wanted.map((one) => (one.deliveries ?? []).find((d) => d.reason === "delivered" && !d.givenUp));
        const missing = wanted.filter((_, i) => !deliveries[i]);
        why = missing.map((one) => `${one.endpoint}: ${one.deliveries?.[0]?.status ?? one.deliveries?.[0]?.reason ?? "not sent yet"}`).join("; ");
        return missing.length === 0 && deliveries;
      },
      () => `${change.type} ${change.resource} was not delivered: ${why}`,
    );
  }

  /** Throws when the change is for any subscription that there is. */
  async expectNotDelivered(change) {
    const { subscriptions = [] } = await this.#explain(change);
    const wanted = subscriptions.filter((one) => !one.withheld);
    if (wanted.length > 0) throw new Error(`${change.type} ${change.resource} is for subscription ${wanted[0].subscriptionId}`);
  }

  /** Moves the clock, by an ISO 8601 duration such as PT70H. All that waits for a moment on the way has happened then. */
  async advance(by) {
    let body = { advance: by };
    for (;;) {
      const moved = await this.#call("POST", "/control/v1/clock", body);
      if (moved.arrived) return moved;
      body = { set: moved.to };
    }
  }

  /** Makes something go wrong: {kind, endpoint, path, times, share, seed, …}; see heliograph faults add --help. */
  async fault(fault) {
    return this.#call("POST", "/control/v1/faults", fault);
  }

  /** Takes back everything that goes wrong on purpose. */
  async clearFaults() {
    await this.#call("DELETE", "/control/v1/faults");
  }

  /** Ends the server. It may be called more than once. */
  async stop() {
    const { child, ended, folder } = this.#process;
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 15_000);
    await ended;
    clearTimeout(late);
    await rm(folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose")]() {
    await this.stop();
  }

  #explain(change) {
    return this.#call("GET", `/control/v1/changes/${change.id}`);
  }

  async #own() {
    if (this.#token === undefined || this.#token.ends < Date.now()) {
      const form = new URLSearchParams({
        grant_type: "client_credentials", client_id: "heliograph-test", client_secret: "any", scope: `${this.url}/.default`,
      });
      const answer = await fetch(this.tokenUrl, { method: "POST", body: form });
      if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
      const { access_token: text, expires_in: seconds } = await answer.json();
      this.#token = { text, ends: Date.now() + (seconds - 60) * 1000 };
    }
    return this.#token.text;
  }

  async #call(method, path, body = undefined, media = "application/json") {
    const send = async () =>
      fetch(new URL(path, this.url), {
        method, body: body && JSON.stringify(body),
        headers: { Authorization: `Bearer ${await this.#own()}`, ...(body && { "Content-Type": media }) },
      });
    let answer = await send();
    if (answer.status === 401) { // the clock was moved beyond the token's end
      this.#token = undefined;
      answer = await send();
    }
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }

  async #await(look, why) {
    for (const late = Date.now() + this.#process.wait; ; await pause(every)) {
      const found = await look();
      if (found) return found;
      if (Date.now() > late) throw new Error(`after ${this.#process.wait} ms: ${why()}`);
    }
  }
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
