// Every page and every window in light, in dark and on a phone: it opens, nothing goes wrong in it, it does not run over
// the side, and axe finds nothing against WCAG 2.2 AA. With PARLEY_SCREENSHOTS set to a folder they are photographed there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { open, signIn } from "./browser.mjs";
import { furnish, openWindow, settled, windows } from "./pages.mjs";
import { owner } from "./server.mjs";
import { site } from "./site.mjs";

const looks = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 } },
};
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = process.env.PARLEY_SCREENSHOTS;

let pages;

const here = site({
  prepare: async (made) => {
    pages = await furnish(made, photograph);
  },
});

async function photograph(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), animations: "disabled" });
}

/** That a page does not run over the side, and that axe holds nothing against it, or against a part of it. */
async function isGood(page, name, part = "html") {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(over, 0, `${name} runs ${over} px over the side`);
  assert.deepEqual(await violations(page, part), [], `${name} is hard to use for some`);
}

/** What axe holds against a part of the page, rule by rule. */
async function violations(page, part) {
  await page.evaluate(axe); // the page's own policy allows no script from elsewhere
  return page.evaluate(async (part) => {
    const found = await globalThis.axe.run(part, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"] });
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(" ; ")}`);
  }, part);
}

for (const [look, options] of Object.entries(looks)) {
  test(`every page and window, ${look}`, { timeout: 900_000 }, async () => {
    const { page, context, problems } = await open(here.browser, { ...options, reducedMotion: "reduce" });
    await page.goto(`${here.base}/sign-in`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await photograph(page, `sign-in-${look}`);
    await signIn(page, here.base, owner);
    for (const [name, [path, heading]] of Object.entries(pages)) {
      await page.goto(here.base + path);
      await page.getByRole("heading", { name: heading }).first().waitFor();
      await settled(page);
      await isGood(page, name);
      await photograph(page, `${name}-${look}`);
    }
    for (const [name, way] of Object.entries(windows)) {
      const dialog = await openWindow(page, here.base, pages, way);
      await isGood(page, `the window of ${name}`, "[role=dialog]");
      await photograph(page, `window-${name.replaceAll(" ", "-")}-${look}`);
      await dialog.getByRole("button", { name: "Close", exact: true }).click();
      await dialog.waitFor({ state: "detached" });
    }
    assert.deepEqual(problems, []);
    await context.close();
  });
}
