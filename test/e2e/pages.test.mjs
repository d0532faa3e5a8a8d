// Every page and every window in light, in dark and on a phone: it opens, nothing goes wrong in it, it does not run over
// the side, and axe finds nothing against WCAG 2.2 AA. With PARLEY_SCREENSHOTS set to a folder they are photographed there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { open, signIn } from "./browser.mjs";
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

const here = site({ prepare });

async function prepare({ server, session, browser }) {
  await session.api("POST", "/phones", { username: "reception", displayName: "Reception" });
  await session.api("POST", "/tokens", { name: "Nightly export" });
  await session.api("POST", "/tokens", { name: "Dashboard", scopes: ["call:read", "agent:*"], allowedIps: ["10.1.0.0/16"] });
  await session.api("POST", "/teams", { name: "Reception", description: "Day and evening desk" });
  await session.api("POST", "/roles", { name: "Auditor", description: "Reads the trail", permissions: ["audit:*", "member:read"] });
  await session.api("POST", "/invitations", { email: "bo@lakeside.example", role: "agent" });
  await session.api("POST", "/legal-holds", { scope: "person", subject: "+49 30 123456", reason: "Claim 7/26" });
  await session.api("POST", "/sso/connections", {
    name: "Entra ID",
    protocol: "oidc",
    oidc: { issuer: "https://login.example.org", clientId: "parley", scopes: [], emailClaim: "" },
    clientSecret: "not a real one",
    defaultRole: "viewer",
  });
  await session.api("POST", "/projects", { name: "City marathon", description: "Entrants' questions, spring" });
  await session.api("POST", "/consents", { subject: "+49 30 123456", scope: "recording", source: "call", proof: "Yes, go ahead" });
  await session.api("POST", "/super/plans", { name: "Small", limits: { calls: 5, minutes: 2000, seats: 10 } });
  const mine = (await session.json("/me")).organisation.id;
  await session.api("PATCH", `/super/organisations/${mine}`, { limits: { minutes: 500, seats: 2, agents: 3 } });
  const { items: agents } = await session.json("/agents");
  const agent = (slug) => agents.find((a) => a.slug === slug).id;
  const call = await typedCall(server, browser, agent("front-desk"));
  pages = {
    overview: ["/", "Overview"],
    calls: ["/calls", "Calls"],
    call: [`/calls/${call}`, "Facts"],
    latency: [`/calls/${call}?tab=latency`, "Facts"],
    events: [`/calls/${call}?tab=events`, "Facts"],
    signalling: [`/calls/${call}?tab=signals`, "Facts"],
    agents: ["/agents", "Agents"],
    flow: [`/agents/${agent("front-desk")}?talk=true`, /^Talk with/],
    knowledge: [`/agents/${agent("front-desk")}?tab=knows`, "Opening hours"],
    prompt: [`/agents/${agent("sim")}`, /./],
    voice: [`/agents/${agent("sim")}?tab=voice`, /./],
    limits: [`/agents/${agent("sim")}?tab=limits`, "Turn-taking"],
    versions: [`/agents/${agent("front-desk")}?tab=versions`, /./],
    models: ["/models", "Built in"],
    phones: ["/phones", "Phones"],
    account: ["/account", "Your account"],
    organisation: ["/settings/organisation", "Organisation"],
    people: ["/settings/people", "People"],
    teams: ["/settings/teams", "Teams"],
    roles: ["/settings/roles", "Roles"],
    security: ["/settings/security", "Security"],
    sso: ["/settings/sso", "Single sign-on"],
    tokens: ["/settings/tokens", "API tokens"],
    secrets: ["/settings/secrets", "Secrets"],
    use: ["/settings/limits", "Limits and use"],
    audit: ["/settings/audit", "Audit trail"],
    retention: ["/settings/retention", "Retention"],
    projects: ["/settings/projects", "Projects"],
    consents: ["/settings/consents", "Consents"],
    installation: ["/super", "Organisations"],
    plans: ["/super/plans", "Plans"],
    processes: ["/super/instances", "Processes"],
    admins: ["/super/admins", "Super-admins"],
    platform: ["/super/log", "Platform log"],
    tenant: [`/super/${(await session.json("/me")).organisation.id}`, "Plan and limits"],
  };
}

/** A short call by typing, so that there is something to see. */
async function typedCall(server, browser, agentId) {
  const { page, context } = await open(browser);
  await signIn(page, server.base, owner);
  await page.goto(`${server.base}/agents/${agentId}?talk=true`);
  const panel = page.getByRole("region", { name: /^Talk with/ });
  await panel.getByRole("button", { name: "Type instead" }).click();
  await panel.getByRole("log").locator("[data-who=agent]").first().waitFor();
  await panel.getByLabel("Type to the agent").fill("opening hours");
  await panel.getByLabel("Type to the agent").press("Enter");
  await panel.getByRole("log").locator("[data-who=agent]", { hasText: /hours are/i }).last().waitFor();
  await photograph(page, "talk-light");
  await panel.getByRole("button", { name: "Hang up" }).click();
  const href = await panel.getByRole("link", { name: "Open the call" }).getAttribute("href");
  await page.goto(server.base + href);
  await page.getByRole("slider", { name: "Place in the recording" }).waitFor();
  await context.close();
  return href.split("/").at(-1);
}

/** What opens in a window, from which page and by which button: a name, or two where a menu comes first. */
const windows = {
  "new agent": ["/agents", "New agent"],
  "new phone": ["/phones", "Add a phone"],
  "change phone": ["/phones", "Actions for reception", "Change"],
  "phone password": ["/phones", "Actions for reception", "New password"],
  "model server": ["/models", "Add a server"],
  authenticator: ["/account", "Set up the app"],
  invite: ["/settings/people", "Invite"],
  "new team": ["/settings/teams", "New team"],
  "change team": ["/settings/teams", "Change Reception"],
  "new project": ["/settings/projects", "New project"],
  "new role": ["/settings/roles", "New role"],
  "change role": ["/settings/roles", "Change Auditor"],
  "new connection": ["/settings/sso", "New connection"],
  "change connection": ["/settings/sso", "Change Entra ID"],
  "new token": ["/settings/tokens", "New token"],
  "take out": ["/settings/organisation", "Make the file"],
  hold: ["/settings/retention", "New hold"],
  release: ["/settings/retention", "Release: Claim 7/26"],
  consent: ["/settings/consents", "Record a consent"],
  "new organisation": ["/super", "New organisation"],
  "new plan": ["/super/plans", "New plan"],
  "new super-admin": ["/super/admins", "Add a super-admin"],
  move: ["tenant", "Move it"],
  suspend: ["tenant", "Suspend"],
};

/** Opens the window of an entry of that list. */
async function openWindow(page, [path, ...buttons]) {
  const url = here.base + (pages[path]?.[0] ?? path);
  if (page.url() !== url) await page.goto(url);
  await page.getByRole("button", { name: buttons[0], exact: true }).first().click();
  if (buttons[1]) await page.getByRole("menuitem", { name: buttons[1], exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("heading").first().waitFor();
  await settled(page);
  return dialog;
}

/** Waits until what moves has come to rest and what loads is there; half-faded text has too little contrast. */
async function settled(page) {
  await page.waitForFunction(
    () =>
      document.querySelector("[aria-busy=true]") === null &&
      document.getAnimations().every((a) => a.playState !== "running" || a.effect.getTiming().iterations === Infinity),
  );
}

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
      const dialog = await openWindow(page, way);
      await isGood(page, `the window of ${name}`, "[role=dialog]");
      await photograph(page, `window-${name.replaceAll(" ", "-")}-${look}`);
      await dialog.getByRole("button", { name: "Close", exact: true }).click();
      await dialog.waitFor({ state: "detached" });
    }
    assert.deepEqual(problems, []);
    await context.close();
  });
}
