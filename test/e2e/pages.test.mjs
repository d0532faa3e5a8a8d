// Every page in light, in dark and on a phone: it opens, nothing goes wrong in it, and it does not run over the
// side, and axe finds nothing against WCAG 2.2 AA. With PARLEY_SCREENSHOTS set to a folder the pages are photographed there.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, signIn } from "./browser.mjs";
import { owner, signedUp, start } from "./server.mjs";

const looks = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 } },
};
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = process.env.PARLEY_SCREENSHOTS;

let server;
let browser;
let pages;

before(async () => {
  server = await start();
  const session = await signedUp(server);
  browser = await launch();
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
  const call = await typedCall(agent("front-desk"));
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
    use: ["/settings/limits", "Limits and use"],
    audit: ["/settings/audit", "Audit trail"],
    retention: ["/settings/retention", "Retention"],
    projects: ["/settings/projects", "Projects"],
    consents: ["/settings/consents", "Consents"],
    installation: ["/super", "Organisations"],
    plans: ["/super/plans", "Plans"],
    platform: ["/super/log", "Platform log"],
    tenant: [`/super/${(await session.json("/me")).organisation.id}`, "Plan and limits"],
  };
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A short call by typing, so that there is something to see. */
async function typedCall(agentId) {
  const { page, context } = await open(browser);
  await signIn(page, server.base, owner);
  await page.goto(`${server.base}/agents/${agentId}?talk=true`);
  const panel = page.getByRole("region", { name: /^Talk with/ });
  await panel.getByRole("button", { name: "Type instead" }).click();
  await panel.getByRole("log").locator("[data-who=agent]").first().waitFor();
  await panel.getByLabel("Type to the agent").fill("opening hours");
  await panel.getByLabel("Type to the agent").press("Enter");
  await panel.getByRole("log").locator("[data-who=agent]", { hasText: /hours are/i }).last().waitFor();
  if (shots) await page.screenshot({ path: join(shots, "talk-light.png") });
  await panel.getByRole("button", { name: "Hang up" }).click();
  const href = await panel.getByRole("link", { name: "Open the call" }).getAttribute("href");
  await page.goto(server.base + href);
  await page.getByRole("slider", { name: "Place in the recording" }).waitFor();
  await context.close();
  return href.split("/").at(-1);
}

/** What axe holds against the page, rule by rule. */
async function violations(page) {
  await page.evaluate(axe); // the page's own policy allows no script from elsewhere
  return page.evaluate(async () => {
    const found = await globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"] });
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(" ; ")}`);
  });
}

for (const [look, options] of Object.entries(looks)) {
  test(`every page, ${look}`, { timeout: 240_000 }, async () => {
    const { page, context, problems } = await open(browser, options);
    await page.goto(`${server.base}/sign-in`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    if (shots) await page.screenshot({ path: join(shots, `sign-in-${look}.png`) });
    await signIn(page, server.base, owner);
    for (const [name, [path, heading]] of Object.entries(pages)) {
      await page.goto(server.base + path);
      await page.getByRole("heading", { name: heading }).first().waitFor();
      await page.waitForFunction(() => document.querySelector("[aria-busy=true]") === null);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(over, 0, `${name} runs ${over} px over the side`);
      assert.deepEqual(await violations(page), [], `${name} is hard to use for some`);
      if (shots) await page.screenshot({ path: join(shots, `${name}-${look}.png`), animations: "disabled" });
    }
    assert.deepEqual(problems, []);
    await context.close();
  });
}
