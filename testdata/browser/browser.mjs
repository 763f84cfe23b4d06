// The browser: Debian's Chromium, driven by playwright-core.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

const candidates = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = candidates.find((path) => path && existsSync(path));

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Starts a browser. Its pages collect what goes wrong in them: see problems. */
export async function startBrowser() {
  if (!executablePath) throw new Error("no Chromium: apt-get install chromium, or name one in CHROMIUM");
  const profile = mkdtempSync(join(tmpdir(), "heliograph-chromium-"));
  const browser = await chromium.launch({ executablePath, headless: true, args, env: { ...process.env, HOME: profile } });
  return {
    async page(options = {}) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "light", ...options });
      const page = await context.newPage();
      page.setDefaultTimeout(20_000);
      page.problems = [];
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) page.problems.push(`${message.type()}: ${message.text()} ${message.location().url}`);
      });
      page.on("pageerror", (error) => page.problems.push(`error: ${error.stack}`));
      page.on("requestfailed", (request) => {
        if (!request.failure().errorText.includes("ERR_ABORTED")) page.problems.push(`failed: ${request.url()} ${request.failure().errorText}`);
      });
      return page;
    },
    async stop() {
      await browser.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
