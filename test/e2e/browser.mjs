// Chromium, as a person has it: no flags that change what a page may do, besides what a machine without a screen needs.
import { chromium } from "playwright-core";

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Without a network of its own, a page's address may be hidden behind a name that only mDNS can resolve.
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

export function launch(...more) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...flags, ...more],
  });
}

/** A page that collects what went wrong in it. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  page.on("pageerror", (e) => problems.push(e.message));
  page.on("console", (m) => {
    // The browser itself reports an answer of 401 as an error; that is how a page learns that it is signed out.
    if (m.type() === "error" && !/status of 401/.test(m.text())) problems.push(`${m.text()} ${m.location().url}`);
  });
  return { context, page, problems };
}

/** Fills in the form for signing in, which is open. */
export async function enter(page, { email, password }) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password", { exact: false }).first().fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

export async function signIn(page, base, owner) {
  await page.goto(`${base}/sign-in`);
  await enter(page, owner);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}
