// Pictures of the pages for the README and the guide: node shots.mjs FOLDER. A few minutes of everyday life are made up
// first: receivers that are well, one that is not, a handshake that fails.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { startBrowser } from "./browser.mjs";
import { startReceiver, startServer } from "./server.mjs";

const folder = process.argv[2] ?? ".";
const seconds = Number(process.argv[3] ?? 240);
const [server, browser, crm, mirror, ill, wrong] = await Promise.all([
  startServer(), startBrowser(), startReceiver(), startReceiver({ behave: (n) => (n % 41 === 0 ? 500 : 202) }), startReceiver({ behave: () => 503 }), startReceiver({ echo: (t) => `"${t}"` }),
]);
const hour = 3600_000;
const until = (ms) => ({ expirationDateTime: new Date(Date.now() + ms).toISOString() });
const [mail] = await Promise.all([
  server.subscribe("users/ada@example.com/messages", crm.url, { lifecycleNotificationUrl: crm.url, ...until(48 * hour) }),
  server.subscribe("users/bo@example.com/messages", crm.url, { changeType: "created", ...until(70 * hour) }),
  server.subscribe("users/ada@example.com/events", mirror.url, until(20 * hour)),
  server.subscribe("teams/rocket/channels/launch/messages", mirror.url, until(0.9 * hour)),
  server.subscribe("users/cy@example.com/contacts", ill.url, until(6 * hour)),
]);
await server.subscribe("users/di@example.com/messages", wrong.url).catch(() => {});
const kinds = ["created", "created", "updated", "deleted"];
for (let i = 0, end = Date.now() + seconds * 1000; Date.now() < end; i++) {
  const wave = 1 + Math.round(3 * (1 + Math.sin(i / 9)));
  for (let k = 0; k < wave; k++) {
    await server.publish(`users/${k % 2 ? "ada" : "bo"}@example.com/messages/AAMk${(i * 7 + k).toString(36)}`, { subject: "Hello" }, kinds[(i + k) % 4]);
  }
  if (i % 3 === 0) await server.publish(`users/ada@example.com/events/AAMkE${i.toString(36)}`, {}, kinds[i % 4]);
  if (i % 4 === 0) await server.publish(`teams/rocket/channels/launch/messages/16${1000 + i}`, {});
  if (i % 25 === 0) await server.publish(`users/cy@example.com/contacts/C${i}`, {});
  await sleep(700);
}
const page = await browser.page({ viewport: { width: 1240, height: 800 }, deviceScaleFactor: 1.5 });
const take = async (name, hash, seen) => {
  await page.goto(`${server.url}/#/${hash}`);
  await page.locator(seen).first().waitFor();
  await sleep(1200);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
  }
};
await take("overview", "", ".trouble li");
await take("deliveries", "deliveries", ".delivery");
await take("subscriptions", "subscriptions", "tbody tr");
await take("subscription", `subscriptions/${mail.id}`, ".delivery");
await take("endpoints", "endpoints", ".card");
await take("handshakes", "handshakes", ".delivery");
await page.locator(".delivery.bad a").first().click();
await page.locator(".bytes").waitFor();
await page.screenshot({ path: join(folder, "handshake-dark.png") });
await browser.stop();
await Promise.all([server.stop(), ...[crm, mirror, ill, wrong].map((r) => r.stop())]);
