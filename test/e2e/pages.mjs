// What there is to see: every page and every window, of an installation that is furnished so that each shows something.
// A page that is added to web/src/routes.tsx belongs into this list; canaries.test.mjs fails when it is not there.
import { open, signIn } from "./browser.mjs";
import { owner } from "./server.mjs";

/** Puts something of each kind into the installation, and gives every page: its address and a heading that it has. */
export async function furnish({ server, session, browser }, photograph = async () => {}) {
  await session.api("POST", "/phones", { username: "reception", displayName: "Reception" });
  await session.api("POST", "/trunks", { name: "Our carrier", address: "sip.example.org", username: "us", password: "not a real one" });
  await session.api("POST", "/caller-numbers", { number: "+49 30 123456", displayName: "Lakeside Clinic" });
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
  const campaign = await (
    await session.api("POST", "/campaigns", { name: "Spring check-ups", settings: { agent: "front-desk" } })
  ).json();
  await session.api("POST", `/campaigns/${campaign.id}/leads`, {
    leads: ["Mia Okafor", "Jonas Weber", "Anna Lindqvist", "Tom Baker"].map((name, i) => ({
      number: `+49 30 2345678${i}`,
      name,
      variables: { appointment: `${i + 3} March, 10:30` },
    })),
  });
  await session.api("POST", "/do-not-call/lists", { name: "Former patients", scope: "campaign" });
  const step = (id) => `/campaigns/${campaign.id}/edit?step=${id}`;
  const { items: agents } = await session.json("/agents");
  const agent = (slug) => agents.find((a) => a.slug === slug).id;
  const call = await typedCall(server, browser, agent("front-desk"), photograph);
  return {
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
    trunks: ["/trunks", "Trunks"],
    campaigns: ["/campaigns", "Campaigns"],
    cockpit: [`/campaigns/${campaign.id}`, "It has not begun"],
    "who calls": [step("who"), "What everybody hears first"],
    "whom to call": [step("whom"), "The list"],
    "from where": [step("where"), "Numbers that people see"],
    "when to call": [step("when"), "Hours of the week"],
    "how fast": [step("speed"), "How fast"],
    "call again": [step("again"), "After what"],
    machines: [step("machine"), "When a machine answers"],
    results: [step("results"), "What results are called"],
    preflight: [step("check"), "What you have set"],
    "people of a campaign": [`/campaigns/${campaign.id}/people`, "People"],
    "why called": ["/settings/why", "Why was it called?"],
    "do not call": ["/settings/do-not-call", "Public registers"],
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
async function typedCall(server, browser, agentId, photograph) {
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
export const windows = {
  "new agent": ["/agents", "New agent"],
  "new phone": ["/phones", "Add a phone"],
  "change phone": ["/phones", "Actions for reception", "Change"],
  "phone password": ["/phones", "Actions for reception", "New password"],
  "new trunk": ["/trunks", "Add a trunk"],
  "change trunk": ["/trunks", "Change Our carrier"],
  "new number": ["/trunks", "Add a number"],
  "change number": ["/trunks", "Change +4930123456"],
  "new campaign": ["/campaigns", "New campaign"],
  "duplicate campaign": ["/campaigns", "Actions for Spring check-ups", "Duplicate"],
  "add a person": ["people of a campaign", "Add a person"],
  "person of a campaign": ["people of a campaign", "Mia Okafor"],
  "register file": ["/settings/do-not-call", /^Bring a file of/],
  "do-not-call list": ["/settings/do-not-call", "New list"],
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
export async function openWindow(page, base, pages, [path, ...buttons]) {
  const url = base + (pages[path]?.[0] ?? path);
  if (page.url() !== url) await page.goto(url);
  await page.getByRole("button", { name: buttons[0], exact: true }).first().click();
  if (buttons[1]) await page.getByRole("menuitem", { name: buttons[1], exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("heading").first().waitFor();
  await settled(page);
  return dialog;
}

/** Waits until what moves has come to rest and what loads is there; half-faded text has too little contrast. */
export async function settled(page) {
  await page.waitForFunction(
    () =>
      document.querySelector("[aria-busy=true]") === null &&
      document.getAnimations().every((a) => a.playState !== "running" || a.effect.getTiming().iterations === Infinity),
  );
}
