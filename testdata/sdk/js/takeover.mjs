// Runs applications with Microsoft's hosts written into them under heliograph takeover, unmodified, and publishes the change
// that one of them waits for. HELIOGRAPH names a binary that is built already.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "heliograph-takeover-test-"));
const binary = process.env.HELIOGRAPH;
assert.ok(binary, "HELIOGRAPH names the binary");
const limit = setTimeout(() => {
  console.error("takeover: nothing happens");
  process.exit(1);
}, 120_000);

// under runs an application and calls on for each of its lines, with how other commands reach the server.
async function under(application, on) {
  const run = spawn(binary, ["takeover", "--http", "127.0.0.1:0", "--local-ca", join(folder, "ca"), "--", process.execPath, join(here, application)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => run.once("exit", resolve));
  let server;
  const told = new Promise((resolve) => {
    createInterface({ input: run.stderr }).on("line", (line) => {
      console.error(line);
      const at = line.match(/HELIOGRAPH_SERVER=(\S+)/);
      if (at) resolve((server = at[1]));
    });
  });
  const lines = [];
  for await (const line of createInterface({ input: run.stdout })) {
    console.log(line);
    lines.push(line);
    await told;
    on?.(line, server);
  }
  assert.equal(await ended, 0, `${application} ended otherwise`);
  return lines;
}

const lines = await under("hardcoded.mjs", (line, server) => {
  if (!line.startsWith("subscribed")) return;
  const published = spawnSync(binary, ["publish", "users/ada@example.com/messages/1", "--tenant", "11111111-aaaa-4aaa-8aaa-111111111111", "--data", '{"subject":"Hello"}'], {
    env: { ...process.env, HELIOGRAPH_SERVER: server },
    encoding: "utf8",
  });
  assert.equal(published.status, 0, published.stderr);
});
assert.match(lines.join("\n"), /received Users\/ada@example.com\/Messages\/1 a secret/);
assert.deepEqual(await under("signin.mjs"), ["signed in with a code", "signed in with a device", "a code works once"]);
clearTimeout(limit);
rmSync(folder, { recursive: true, force: true });
