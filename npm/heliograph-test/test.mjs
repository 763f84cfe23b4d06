import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";

import { start } from "./index.mjs";

/** An application: it subscribes to a mailbox, and its endpoint keeps what comes. */
async function application(graph, resource, t) {
  const got = [];
  const server = createServer((request, response) => {
    const token = new URL(request.url, "http://x").searchParams.get("validationToken");
    let body = "";
    request.on("data", (text) => (body += text));
    request.on("end", () => {
      if (token === null) got.push(...JSON.parse(body).value);
      response.writeHead(token === null ? 202 : 200, { "Content-Type": "text/plain" }).end(token ?? "");
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const created = await fetch(`${graph.url}/v1.0/subscriptions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${await graph.token()}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      changeType: "created", resource, notificationUrl: `http://127.0.0.1:${server.address().port}/`,
      expirationDateTime: new Date(Date.now() + 3_600_000).toISOString(),
    }),
  });
  assert.equal(created.status, 201, await created.clone().text());
  return got;
}

test("a story", async (t) => {
  const graph = await start({ wait: 60_000 });
  t.after(() => graph.stop());
  const got = await application(graph, "/users/demo/messages", t);
  const subscription = await graph.waitForSubscription("users/demo/messages");
  assert.equal(subscription.state, "active");

  const [change] = await graph.trigger("message.created", { user: "demo", set: { subject: "Hi" } });
  const [delivery] = await graph.expectDelivered(change);
  assert.equal(delivery.status, 202);
  assert.equal(got.length, 1);
  assert.equal(change.data.subject, "Hi");

  const other = await graph.publish({ resource: "users/other/messages/1" });
  await graph.expectNotDelivered(other);
  await assert.rejects(graph.expectDelivered(other), /is for nobody: no subscription watches it/);
  await assert.rejects(graph.expectNotDelivered(change), /is for subscription/);

  await graph.fault({ kind: "unavailable", path: "/v1.0/subscriptions", times: 1 });
  const refused = await fetch(`${graph.url}/v1.0/subscriptions`, { headers: { Authorization: `Bearer ${await graph.token()}` } });
  assert.equal(refused.status, 503);
  await graph.clearFaults();

  await graph.advance("PT2H");
  assert.deepEqual(await graph.subscriptions(), []);
});

test("tokens of whom one likes", async (t) => {
  const graph = await start();
  t.after(() => graph.stop());
  const token = await graph.token({ user: "demo@example.org", scopes: ["Mail.Read"] });
  const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  assert.equal(claims.scp, "Mail.Read");
});

test("side by side, and nothing is left", async () => {
  const servers = await Promise.all([start(), start(), start()]);
  assert.equal(new Set(servers.map((one) => one.url)).size, 3);
  await Promise.all(servers.map((one) => one.stop()));
  await servers[0].stop();
  await assert.rejects(fetch(servers[0].url));
});

test("what cannot be started says why", async () => {
  await assert.rejects(start({ binary: "/nowhere/heliograph" }), /did not start.*ENOENT/);
  await assert.rejects(start({ args: ["--no-such-flag"] }), /did not start.*no-such-flag/s);
  assert.equal(existsSync("data"), false);
});
