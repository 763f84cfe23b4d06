// The pages in a browser: each page, each button, the keyboard, the phone, the policy; and axe-core's rules of contrast
// and labels on each page in light and dark. The server is real, and so are the deliveries.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { startBrowser } from "./browser.mjs";
import { binary, startReceiver, startServe, startServer } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = process.env.SHOTS; // a folder for pictures of each page, if anybody wants to look at them

let server, browser, good, ill, wrong;
const known = {}; // ids that the tests open
const inbox = "users/ada@example.com/messages";

before(async () => {
  [server, browser, good, ill, wrong] = await Promise.all([
    startServer(), startBrowser(), startReceiver(), startReceiver({ behave: () => 503 }), startReceiver({ echo: (t) => `"${t}"` }),
  ]);
  const folder = mkdtempSync(join(tmpdir(), "heliograph-cert-"));
  const certificate = JSON.parse(execFileSync(binary, ["cert", "--id", "first", "--out", folder, "--output", "json"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  known.key = readFileSync(join(folder, "first.key.pem"), "utf8");
  rmSync(folder, { recursive: true });
  known.mail = (await server.subscribe(inbox, good.url, { lifecycleNotificationUrl: good.url })).id;
  known.rich = (await server.subscribe("users/ada@example.com/events?$select=subject", good.url, { ...certificate, includeResourceData: true, lifecycleNotificationUrl: good.url })).id;
  known.sick = (await server.subscribe("users/bo@example.com/messages", ill.url, { changeType: "created" })).id;
  await assert.rejects(server.subscribe("users/cy@example.com/messages", wrong.url), (error) => {
    known.handshake = error.headers.get("heliograph-handshake");
    return error.status === 400;
  });
  for (let i = 1; i <= 6; i++) await server.publish(`${inbox}/m${i}`, { subject: `Hello ${i}` }, ["created", "updated", "deleted"][i % 3]);
  await server.publish("users/ada@example.com/events/e1", { id: "e1", subject: "Lunch <b>now</b>" });
  await server.publish("users/bo@example.com/messages/b1", { subject: "Hi" });
  known.unwanted = await server.publish("users/bo@example.com/messages/b1", {}, "updated");
  await good.has(7);
  await ill.has(1);
});

after(async () => {
  await browser?.stop();
  await Promise.all([good, ill, wrong].map((r) => r?.stop()));
  if (server) assert.equal(await server.stop(), 0, "the server ends well, whatever followed it");
});

/** Opens a page of the server and calls back with it; whatever goes wrong in it fails the test. */
async function on(hash, use, options) {
  const page = await browser.page(options);
  await page.goto(`${server.url}/#/${hash}`);
  await page.getByText("live", { exact: true }).waitFor();
  await use(page);
  assert.deepEqual(page.problems, []);
  await page.context().close();
}

const delivered = (id) => server.call("GET", `/control/v1/deliveries?subscription=${id}&top=1`).then((r) => r.body.value[0]);

describe("each page", () => {
  const pages = {
    overview: ["", (p) => p.getByRole("heading", { name: "Working, with trouble" })],
    subscriptions: ["subscriptions", (p) => p.getByRole("link", { name: inbox })],
    subscription: [() => `subscriptions/${known.mail}`, (p) => p.getByText("What it asks for")],
    deliveries: ["deliveries", (p) => p.getByText("503 refused").first()],
    delivery: [async () => `deliveries/${(await delivered(known.sick)).id}`, (p) => p.getByRole("heading", { name: "Attempts" })],
    changes: ["changes", (p) => p.getByText("/messages/b1").first()],
    change: [() => `changes/${known.unwanted}`, (p) => p.getByText("other change type")],
    endpoints: ["endpoints", (p) => p.getByRole("heading", { name: ill.url.slice(7) })],
    handshakes: ["handshakes", (p) => p.getByText("wrong answer")],
    handshake: [() => `handshakes/${known.handshake}`, (p) => p.getByText("a quotation mark")],
    decrypt: ["decrypt", (p) => p.getByRole("button", { name: "Open and check" })],
    workbench: ["workbench", (p) => p.getByRole("button", { name: "Trigger" })],
    nowhere: ["nowhere", (p) => p.getByRole("heading", { name: "Nothing here" })],
    gone: [`deliveries/00000000-0000-0000-0000-000000000000`, (p) => p.getByText("no longer remembered"), /404/],
  };
  for (const [name, [hash, seen, expected]] of Object.entries(pages)) {
    test(`${name}: shown without error, in light, in dark and on a phone; axe-core has nothing to say`, async () => {
      const page = await browser.page();
      await page.goto(`${server.url}/#/${typeof hash === "string" ? hash : await hash()}`);
      await seen(page).first().waitFor();
      await accessible(page, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
      await look(page, `${name}-light`);
      await page.emulateMedia({ colorScheme: "dark" });
      await accessible(page, { runOnly: { type: "rule", values: ["color-contrast"] } });
      await look(page, `${name}-dark`);
      await page.emulateMedia({ colorScheme: "light" });
      await page.setViewportSize({ width: 390, height: 844 });
      await look(page, `${name}-phone`);
      assert.deepEqual(page.problems.filter((p) => !expected || !expected.test(p)), []);
      await page.context().close();
    });
  }
});

// The page fits, and is kept as a picture for who wants to look.
async function look(page, name) {
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(sideways <= 0, `${name} is ${sideways} px too wide`);
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

async function accessible(page, options) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const found = await page.evaluate((o) => window.axe.run(o), options);
  assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join("\n")}`), []);
}

describe("buttons", () => {
  /** Presses a button and waits for what the page says then. */
  const press = async (page, name, said) => {
    await page.getByRole("button", { name, exact: true }).first().click();
    await page.locator("#toasts").getByText(said).waitFor();
  };

  test("the stream: what is sent appears, pauses, is filtered and found", () => on("deliveries", async (page) => {
    const rows = page.locator(".deliveries > li");
    await rows.first().waitFor();
    const before = await rows.count();
    await server.publish(`${inbox}/fresh1`);
    await page.getByText("/messages/fresh1").waitFor();
    await page.keyboard.press("p");
    await page.getByText("Paused.").waitFor();
    await server.publish(`${inbox}/fresh2`);
    await page.getByRole("button", { name: "Resume (1 new)" }).waitFor();
    assert.equal(await page.getByText("/messages/fresh2").count(), 0);
    await page.getByRole("button", { name: /Resume/ }).click();
    await page.getByText("/messages/fresh2").waitFor();
    assert.ok(await rows.count() >= before + 2);
    await page.getByLabel("Which deliveries").selectOption("failed");
    await page.getByText("503 refused").first().waitFor();
    assert.equal(await page.getByText("202 delivered").count(), 0);
    await page.getByLabel("Which deliveries").selectOption("");
    await page.keyboard.press("Escape");
    await page.getByLabel("Search deliveries").fill("FRESH2");
    await page.waitForFunction(() => document.querySelectorAll(".deliveries > li").length === 1);
    assert.match(page.url(), /q=FRESH2/);
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll(".deliveries > li").length === 1);
  }));

  test("a delivery shows what was said", async () => {
    const d = await delivered(known.sick);
    await on(`deliveries/${d.id}`, async (page) => {
      await page.getByRole("region", { name: "The head of the request" }).getByText("Content-Type: application/json; charset=utf-8").waitFor();
      await page.getByRole("region", { name: "The headers of the answer" }).getByText("X-Receiver: test").waitFor();
      await page.getByRole("region", { name: "The body of the answer" }).getByText("not now").waitFor();
      await page.getByText("answer began").waitFor();
    });
  });

  test("a delivery is sent again", async () => {
    const d = await delivered(known.mail);
    await on(`deliveries/${d.id}`, async (page) => {
      const got = good.received.length;
      await press(page, "Send again", "1 notification will be sent again.");
      await good.has(got + 1);
      assert.equal(good.received.at(-1).id, d.notifications[0].id);
    });
  });

  test("a subscription's past is replayed, its lifecycle provoked", () => on(`subscriptions/${known.mail}`, async (page) => {
    const got = good.received.length;
    await page.getByLabel("From when on").selectOption("60");
    await press(page, "Replay", /notifications will be sent again/);
    await good.has(got + 6);
    for (const event of ["missed", "reauthorizationRequired"]) {
      await press(page, event, `${event} is on its way.`);
      await until(() => good.received.some((n) => n.lifecycleEvent === event));
    }
    await page.getByRole("button", { name: "subscriptionRemoved" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click(); // it would be gone
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }));

  test("an endpoint is made slow and healthy again", () => on(`endpoints?focus=${encodeURIComponent(good.url)}`, async (page) => {
    await press(page, "slow", "It is slow until somebody makes it healthy.");
    await page.locator(".card.slow").waitFor();
    await press(page, "healthy", "It is taken for healthy, and what waits goes out.");
    await page.locator(".card.healthy").waitFor();
  }));

  test("a change is triggered, and leads to what it meant", () => on("workbench", async (page) => {
    await page.getByLabel("Event").selectOption("message.created");
    await page.getByLabel("user", { exact: true }).fill("ada@example.com");
    await page.getByLabel("Properties to set, as JSON").fill('{"subject":"<img src=x onerror=alert(1)>"}');
    await page.getByLabel("How many", { exact: true }).fill("3");
    const got = good.received.length;
    await press(page, "Trigger", "3 changes accepted.");
    await good.has(got + 3);
    await page.locator(".fates a").first().click();
    await page.getByText("The subscription that watches it has it.").waitFor();
  }));

  test("something goes wrong on purpose, and is taken back", () => on("workbench", async (page) => {
    await page.getByLabel("What goes wrong").selectOption("duplicate");
    await page.getByLabel("To which endpoint").fill(good.url);
    await press(page, "Add", "duplicate is in force.");
    const got = good.received.length;
    await server.publish(`${inbox}/twice`);
    await good.has(got + 2);
    assert.equal(good.received[got].id, good.received[got + 1].id);
    await page.getByText("happened 1 time of 1").waitFor();
    await page.getByLabel("What goes wrong").selectOption("throttled");
    await page.getByLabel("Below which path").fill("/v1.0/subscriptions");
    await press(page, "Add", "throttled is in force.");
    assert.equal((await server.call("GET", "/v1.0/subscriptions")).status, 429);
    await press(page, "Remove", "duplicate is taken back.");
    await press(page, "Remove all", "Nothing goes wrong on purpose any more.");
    await page.getByText("Nothing goes wrong on purpose", { exact: true }).waitFor();
    assert.equal((await server.call("GET", "/v1.0/subscriptions")).status, 200);
  }));

  test("the clock is moved, and the page goes by it", async () => {
    const own = await startServer();
    try {
      const page = await browser.page();
      await page.goto(`${own.url}/#/workbench`);
      await page.getByRole("button", { name: "+ 1 hour" }).click();
      await page.locator("#toasts").getByText(/The clock is at/).waitFor();
      await page.locator("#clock").getByText(/clock \+60 min/).waitFor();
      await page.getByLabel("or by").fill("PT30M");
      await page.getByRole("button", { name: "Advance" }).click();
      await page.locator("#clock").getByText(/clock \+2 h|clock \+90 min/).waitFor();
      await press(page, "Freeze", "Time stands still.");
      await page.getByText("frozen").waitFor();
      await press(page, "60 times as fast", "A minute is a second.");
      await press(page, "As usual", "A second is a second.");
      assert.deepEqual(page.problems, []);
      await page.context().close();
    } finally {
      await own.stop();
    }
  });

  test("resource data is opened with a key that stays here, and the token is checked", async () => {
    const d = await delivered(known.rich);
    await on(`deliveries/${d.id}`, async (page) => {
      const sent = [];
      page.on("request", (r) => sent.push(`${r.method()} ${r.url()} ${r.postData() ?? ""}`));
      await page.getByRole("link", { name: "Decrypt and check it" }).click();
      await page.getByText("It was signed with that key.").waitFor();
      const key = page.getByLabel("The private key of the subscription’s certificate");
      await key.fill(known.key);
      await page.getByRole("button", { name: "Open and check" }).click();
      await page.getByText("Lunch <b>now</b>").waitFor();
      await page.locator(".proof .ok").nth(13).waitFor();
      assert.equal(await page.locator(".proof .bad").count(), 0);
      assert.equal(sent.filter((s) => s.includes("PRIVATE") || s.includes(known.key.split("\n")[1])).length, 0);
      if (shots) await page.screenshot({ path: join(shots, "decrypted.png"), fullPage: true });
      // What was changed on the way is found out, and a key of somebody else's opens nothing.
      const body = page.getByLabel("What the receiver got");
      const read = JSON.parse(await body.inputValue());
      const data = read.value[0].encryptedContent.data;
      read.value[0].encryptedContent.data = (data[0] === "A" ? "B" : "A") + data.slice(1);
      read.validationTokens[0] = read.validationTokens[0].replace(/\.[^.]{8}/, ".eyJ4Ijox");
      await body.fill(JSON.stringify(read));
      await page.getByRole("button", { name: "Open and check" }).click();
      await page.getByText("somebody has changed it").waitFor();
      await page.locator(".proof").nth(1).locator(".bad").waitFor();
      await key.fill("nonsense");
      await page.getByRole("button", { name: "Open and check" }).click();
      await page.getByText("This is not a key in PEM").waitFor();
    });
  });

  test("a change is searched, opened by its id, explained", () => on("changes", async (page) => {
    await page.getByLabel("Search changes").fill("messages/b1");
    await page.waitForFunction(() => document.querySelectorAll(".deliveries > li").length === 2);
    await page.getByLabel("Search changes").fill(known.unwanted);
    await page.keyboard.press("Enter");
    await page.getByText("The subscription asks for other change types than this.").waitFor();
    await page.getByText("watches another path").first().waitFor();
  }));

  test("what is copied is what is shown", () => on(`subscriptions/${known.mail}`, async (page) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: /Copy id/ }).click();
    await page.getByText("Copied.").waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), known.mail);
  }));

  test("light, dark and the help", () => on("", async (page) => {
    const scheme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
    await page.getByRole("button", { name: "Switch between light and dark" }).click();
    assert.equal(await scheme(), "dark");
    await page.reload();
    assert.equal(await scheme(), "dark");
    await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
    await page.getByRole("heading", { name: "Keyboard" }).waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("heading", { name: "Keyboard" }).waitFor({ state: "hidden" });
  }));
});

describe("keyboard", () => {
  test("the first stop leads past the navigation; g, j, k, / and ? do what they say", () => on("", async (page) => {
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await page.keyboard.press("g");
    await page.keyboard.press("d");
    await page.getByRole("heading", { name: "Deliveries", level: 1 }).waitFor();
    await page.locator(".delivery-link").nth(2).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    const [focused, first] = await page.evaluate(() => [document.activeElement.getAttribute("href"), document.querySelector(".delivery-link").getAttribute("href")]);
    assert.equal(focused, first);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Attempts" }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await page.getByRole("link", { name: inbox }).waitFor();
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Search subscriptions");
    await page.keyboard.type("bo@");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keyboard" }).waitFor();
  }));
});

describe("from nothing", () => {
  test("the way to the first notification is ticked off as it is gone", async () => {
    const own = await startServer();
    const hook = await startReceiver();
    try {
      const page = await browser.page();
      await page.goto(own.url);
      await page.getByRole("heading", { name: "Ready for a first subscription" }).waitFor();
      assert.equal(await page.locator(".steps .done").count(), 0);
      if (shots) await page.screenshot({ path: join(shots, "start.png") });
      await own.subscribe("users/demo/messages", hook.url);
      await page.waitForFunction(() => document.querySelectorAll(".steps .done").length === 2);
      await own.publish("users/demo/messages/1", { subject: "Hello" });
      await page.getByRole("heading", { name: "It works" }).waitFor();
      await page.locator(".steps").waitFor({ state: "detached" });
      await page.getByText("Nothing needs you.").waitFor();
      assert.deepEqual(page.problems, []);
    } finally {
      await Promise.all([own.stop(), hook.stop()]);
    }
  });
});

describe("in production", () => {
  test("people sign in, see what they may, and sign out", async () => {
    const own = await startServe();
    try {
      for (const [name, operator] of [["Ada", true], ["Bob", false]]) {
        const page = await browser.page();
        await page.goto(`${own.url}/`);
        await page.getByRole("button", { name: new RegExp(name) }).click();
        await page.getByRole("heading", { name: "Ready for a first subscription" }).waitFor();
        await page.getByText("live", { exact: true }).waitFor();
        await page.locator(".person").getByText(name).waitFor();
        assert.equal(await page.locator(".tile").getByText("Endpoints").count(), operator ? 1 : 0);
        assert.equal(await page.getByRole("link", { name: "Endpoints", exact: true }).count(), operator ? 1 : 0);
        assert.equal(await page.getByRole("link", { name: "Workbench" }).count(), 0, "there is none in production");
        assert.deepEqual(page.problems.filter((p) => operator || !/403/.test(p)), []);
        assert.equal(await page.evaluate(() => document.cookie), "");
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.getByRole("heading", { name: "Ready for a first subscription" }).waitFor({ state: "detached" });
        assert.equal(await page.evaluate((url) => fetch(`${url}/control/v1/deliveries`).then((r) => r.status, () => 0), own.url) === 200, false);
        await page.context().close();
      }
    } finally {
      await own.stop();
    }
  });
});

describe("what is not to be trusted", () => {
  test("hostile data stays text", async () => {
    const hostile = "<img src=x onerror=document.title=1>";
    await server.publish(`${inbox}/${encodeURIComponent(hostile)}`, { subject: hostile });
    await on("deliveries", async (page) => {
      await page.getByText("onerror").first().waitFor();
      await page.locator(".delivery-link").first().click();
      await page.getByRole("heading", { name: "Attempts" }).waitFor();
      assert.equal(await page.locator("main img").count(), 0);
      assert.notEqual(await page.title(), "1");
    });
  });

  test("the browser refuses what the pages never do", () => on("", async (page) => {
    const refused = await page.evaluate(() => {
      const tried = {};
      for (const [name, act] of Object.entries({
        html: () => { document.body.innerHTML = "<p>"; },
        script: () => { document.createElement("script").src = "/x.js"; },
      })) {
        try {
          act();
          tried[name] = "done";
        } catch {
          tried[name] = "refused";
        }
      }
      return tried;
    });
    assert.deepEqual(refused, { html: "refused", script: "refused" });
    page.problems.length = 0; // it told of what it refused
    await assert.rejects(page.evaluate(() => fetch("https://example.com/")));
    page.problems.length = 0;
  }));

  test("another site gets no token, and cannot frame the pages", async () => {
    const page = await browser.page();
    const other = await startReceiver();
    await page.route(`${other.url}`, (route) => route.fulfill({ contentType: "text/html", body: `<iframe src="${server.url}/"></iframe>` }));
    await page.goto(other.url);
    await assert.rejects(page.evaluate((url) => fetch(`${url}/session`, { method: "POST", mode: "no-cors" }).then((r) => r.type), server.url));
    await until(() => page.frames().some((f) => f.url().startsWith("chrome-error:")));
    assert.equal((await fetch(`${server.url}/session`, { method: "POST", headers: { Origin: new URL(other.url).origin } })).status, 403);
    await page.context().close();
    await other.stop();
  });
});

/** Waits for something to become true. */
async function until(isTrue) {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 1500, `${isTrue} did not come true within half a minute`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
