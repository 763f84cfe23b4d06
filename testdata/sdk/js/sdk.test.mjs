// The official JavaScript clients, unmodified, against heliograph dev: each gets a token, creates, reads, lists through
// pages, renews, reauthorizes and deletes subscriptions. run.mjs starts the server.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { ClientSecretCredential } from "@azure/identity";
import { ConfidentialClientApplication } from "@azure/msal-node";
import { BaseBearerTokenAuthenticationProvider } from "@microsoft/kiota-abstractions";
import { Client, PageIterator } from "@microsoft/microsoft-graph-client";
import { TokenCredentialAuthenticationProvider } from "@microsoft/microsoft-graph-client/authProviders/azureTokenCredentials/index.js";
import { createGraphServiceClient, GraphRequestAdapter } from "@microsoft/msgraph-sdk";
import "@microsoft/msgraph-sdk-subscriptions";

const { HELIOGRAPH_HTTP: http, HELIOGRAPH_HTTPS: https, HELIOGRAPH_TENANT: tenant } = process.env;
const clientId = "11111111-0000-0000-0000-000000000001";
const scopes = ["https://graph.microsoft.com/.default"];
const count = 205; // subscriptions: three pages

// A receiver: it echoes the handshake's token and keeps what comes.
let notificationUrl;
const received = [];
let arrived = () => {};
const hook = createServer((request, response) => {
  const token = new URL(request.url, "http://localhost").searchParams.get("validationToken");
  if (token !== null) return response.writeHead(200, { "Content-Type": "text/plain" }).end(token);
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    received.push(...JSON.parse(body).value);
    response.writeHead(202).end();
    arrived();
  });
});
before(async () => {
  await new Promise((resolve) => hook.listen(0, "127.0.0.1", resolve));
  notificationUrl = `http://127.0.0.1:${hook.address().port}/`;
});
after(() => hook.close());

const inHours = (n) => new Date(Date.now() + n * 3600_000);
const users = (name) => Array.from({ length: count }, (_, i) => `users/${name}${i}@example.com/messages`);

async function notified(resource, token) {
  const come = new Promise((resolve) => (arrived = resolve));
  const published = await fetch(http + "/publish", {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/cloudevents+json" },
    body: JSON.stringify({ specversion: "1.0", id: resource, source: "/sdk", type: "heliograph.change.created", subject: `${resource}/1`, data: {} }),
  });
  assert.equal(published.status, 202);
  await come;
  const notification = received.pop();
  assert.equal(notification.clientState, "secretClientValue");
  return notification.resource;
}

async function msalToken() {
  const app = new ConfidentialClientApplication({
    auth: { clientId, clientSecret: "any", authority: `${https}/${tenant}`, knownAuthorities: [new URL(https).host] },
  });
  return (await app.acquireTokenByClientCredential({ scopes })).accessToken;
}

const credential = () =>
  new ClientSecretCredential(tenant, clientId, "any", { authorityHost: https, disableInstanceDiscovery: true });

test("@azure/msal-node: client credentials over https", async (t) => {
  const token = await msalToken();
  const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
  assert.equal(claims.tid, tenant);
  assert.equal(claims.appid ?? claims.azp, clientId);
  t.diagnostic(`token for ${claims.aud}, with ${claims.roles.length} permissions`);
});

test("@azure/identity: client secret over https", async (t) => {
  const token = await credential().getToken(scopes);
  assert.ok(token.expiresOnTimestamp > Date.now());
  t.diagnostic(`good until ${new Date(token.expiresOnTimestamp).toISOString()}`);
});

test("@microsoft/microsoft-graph-client over https", async (t) => {
  const client = Client.initWithMiddleware({
    baseUrl: https, // the version comes behind it
    customHosts: new Set([new URL(https).hostname]), // else no token is sent
    authProvider: new TokenCredentialAuthenticationProvider(credential(), { scopes }),
  });
  const create = (resource) =>
    client.api("/subscriptions").post({
      changeType: "created",
      notificationUrl,
      resource,
      clientState: "secretClientValue",
      expirationDateTime: inHours(1).toISOString(),
    });
  const resources = users("js");
  const made = await create("/" + resources[0]);
  assert.equal(made.resource, "/" + resources[0]);
  t.diagnostic(`create ${made.id}`);

  const one = await client.api(`/subscriptions/${made.id}`).get();
  assert.equal(one.clientState, "secretClientValue");
  t.diagnostic(`read ${one.resource}`);
  t.diagnostic(`notification ${await notified(resources[0], await msalToken())}`);

  for (const resource of resources.slice(1)) await create(resource);
  const first = await client.api("/subscriptions").get();
  const ids = [];
  await new PageIterator(client, first, (s) => ids.push(s.id)).iterate();
  assert.equal(new Set(ids).size, count);
  assert.ok(first.value.length < count);
  t.diagnostic(`list ${ids.length} subscriptions, ${first.value.length} on the first page`);

  const renewed = await client.api(`/subscriptions/${made.id}`).patch({ expirationDateTime: inHours(24).toISOString() });
  assert.ok(new Date(renewed.expirationDateTime) > new Date(made.expirationDateTime));
  t.diagnostic(`renew until ${renewed.expirationDateTime}`);

  await client.api(`/subscriptions/${made.id}/reauthorize`).post();
  t.diagnostic("reauthorize done");

  for (const id of ids) await client.api(`/subscriptions/${id}`).delete();
  await assert.rejects(client.api(`/subscriptions/${made.id}`).get(), { statusCode: 404, code: "ResourceNotFound" });
  t.diagnostic(`delete ${ids.length}, then ResourceNotFound`);

  await assert.rejects(create("users/js@example.com/nothing"), (error) => {
    assert.equal(error.statusCode, 400);
    assert.equal(error.code, "ExtensionError");
    assert.ok(error.requestId);
    t.diagnostic(`refused ${error.code}: ${error.message}`);
    return true;
  });
});

test("@microsoft/microsoft-graph-client: a notification, what it is about, and what else has changed", async (t) => {
  const client = Client.initWithMiddleware({
    baseUrl: https,
    customHosts: new Set([new URL(https).hostname]),
    authProvider: new TokenCredentialAuthenticationProvider(credential(), { scopes }),
  });
  const trigger = async (event, parameters) => {
    const answer = await fetch(http + "/control/v1/trigger", {
      method: "POST",
      headers: { Authorization: `Bearer ${await msalToken()}`, "Content-Type": "application/json" },
      body: JSON.stringify({ event, parameters }),
    });
    assert.equal(answer.status, 202);
  };
  const made = await client.api("/subscriptions").post({
    changeType: "created", notificationUrl, resource: "users/reader@example.com/messages", clientState: "s", expirationDateTime: inHours(1).toISOString(),
  });
  const user = "reader@example.com";
  for (const message of ["m1", "m2", "m3"]) {
    const come = new Promise((resolve) => (arrived = resolve));
    await trigger("message.created", { user, message });
    await come;
  }
  const notification = received.pop();
  const message = await client.api(notification.resource).get();
  assert.equal(message.id, "m3");
  assert.ok(message.subject && message["@odata.etag"]);
  t.diagnostic(`${notification.resource} is "${message.subject}"`);

  const first = await client.api(`/users/${user}/messages`).top(2).select("subject").orderby("id desc").get();
  const ids = [];
  await new PageIterator(client, first, (m) => ids.push(m.id)).iterate();
  assert.deepEqual(ids, ["m3", "m2", "m1"]);

  const all = [];
  const round = new PageIterator(client, await client.api(`/users/${user}/messages/delta`).top(2).get(), (m) => all.push(m.id));
  await round.iterate();
  assert.deepEqual(all, ["m1", "m2", "m3"]);
  await trigger("message.deleted", { user, message: "m2" });
  const changed = await client.api(round.getDeltaLink()).get();
  assert.deepEqual(changed.value, [{ id: "m2", "@removed": { reason: "deleted" } }]);
  t.diagnostic(`delta: ${JSON.stringify(changed.value)}`);

  await assert.rejects(client.api(`/users/${user}/messages/m2`).get(), { statusCode: 404, code: "ErrorItemNotFound" });
  const forgotten = await fetch(http + "/control/v1/objects/forget", { method: "POST", headers: { Authorization: `Bearer ${await msalToken()}` } });
  assert.equal(forgotten.status, 204);
  await assert.rejects(client.api(round.getDeltaLink()).get(), { statusCode: 410, code: "syncStateNotFound" });
  await client.api(`/subscriptions/${made.id}`).delete();
});

for (const [scheme, base] of [["http", http], ["https", https]]) {
  test(`@microsoft/msgraph-sdk (Kiota) over ${scheme}`, async (t) => {
    const adapter = new GraphRequestAdapter(
      new BaseBearerTokenAuthenticationProvider({
        getAuthorizationToken: async () => (await credential().getToken(scopes)).token,
        getAllowedHostsValidator: () => ({ isUrlHostValid: () => true }),
      }),
    );
    adapter.baseUrl = base + "/v1.0";
    const client = createGraphServiceClient(adapter);
    const create = (resource) =>
      client.subscriptions.post({
        changeType: "created",
        notificationUrl,
        resource,
        clientState: "secretClientValue",
        expirationDateTime: inHours(1),
      });
    const resources = users("kiota-" + scheme);
    const made = await create(resources[0]);
    const byId = client.subscriptions.bySubscriptionId(made.id);
    t.diagnostic(`create ${made.id}`);

    const one = await byId.get();
    assert.equal(one.clientState, "secretClientValue");
    t.diagnostic(`read ${one.resource}`);
    t.diagnostic(`notification ${await notified(resources[0], await msalToken())}`);

    for (const resource of resources.slice(1)) await create(resource);
    let page = await client.subscriptions.get();
    const onFirst = page.value.length;
    const ids = page.value.map((s) => s.id);
    while (page.odataNextLink) {
      page = await client.subscriptions.withUrl(page.odataNextLink).get();
      ids.push(...page.value.map((s) => s.id));
    }
    assert.equal(new Set(ids).size, count);
    assert.ok(onFirst < count);
    t.diagnostic(`list ${ids.length} subscriptions, ${onFirst} on the first page`);

    const renewed = await byId.patch({ expirationDateTime: inHours(24) });
    assert.ok(renewed.expirationDateTime > made.expirationDateTime);
    t.diagnostic(`renew until ${renewed.expirationDateTime.toISOString()}`);

    await byId.reauthorize.post();
    t.diagnostic("reauthorize done");

    for (const id of ids) await client.subscriptions.bySubscriptionId(id).delete();
    await assert.rejects(byId.get(), { responseStatusCode: 404 });
    t.diagnostic(`delete ${ids.length}, then 404`);
  });
}
