// Starts heliograph dev on free ports and runs sdk.test.mjs against it, in a process that trusts the local authority:
// Node reads NODE_EXTRA_CA_CERTS at its start only. HELIOGRAPH names a binary that is built already.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "heliograph-sdk-"));
const binary = process.env.HELIOGRAPH ?? join(folder, "heliograph");
if (!process.env.HELIOGRAPH) {
  const built = spawnSync("go", ["build", "-o", binary, "./cmd/heliograph"], { cwd: join(here, "../../.."), stdio: "inherit" });
  if (built.status !== 0) process.exit(1);
}

const dev = spawn(
  binary,
  ["dev", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--local-ca", join(folder, "ca"), "--data", join(folder, "data"), "--log-level", "warn"],
  { stdio: ["ignore", "pipe", "inherit"] },
);
const ended = new Promise((resolve) => dev.once("exit", resolve));
const env = { ...process.env };
for await (const line of createInterface({ input: dev.stdout })) {
  const graph = line.match(/(https?)(:\/\/\S+)\/v1\.0/);
  if (graph) env[graph[1] === "https" ? "HELIOGRAPH_HTTPS" : "HELIOGRAPH_HTTP"] = graph[1] + graph[2];
  env.NODE_EXTRA_CA_CERTS = line.match(/trust (\S+)/)?.[1] ?? env.NODE_EXTRA_CA_CERTS;
  env.HELIOGRAPH_TENANT = line.match(/Tokens\s+\S+\/([0-9a-f-]{36})\/oauth2/)?.[1] ?? env.HELIOGRAPH_TENANT;
  if (line.includes("Data ")) break;
}
dev.stdout.resume();

const tests = spawnSync(process.execPath, ["--test", "--test-reporter=spec", join(here, "sdk.test.mjs")], { env, stdio: "inherit" });
dev.kill("SIGINT");
await ended;
rmSync(folder, { recursive: true, force: true });
process.exit(tests.status ?? 1);
