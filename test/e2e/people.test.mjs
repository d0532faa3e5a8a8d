// People come in by invitation, see what their role opens, and work in more than one organisation; what they do is in
// the audit trail; who runs the installation can act as them, and everybody sees it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, signIn } from "./browser.mjs";
import { owner } from "./server.mjs";
import { nothingWentWrong, site } from "./site.mjs";

const viewer = { name: "Bo Lind", email: "bo@lakeside.example", password: "seven quiet herons wading" };

const here = site();

test("an invitation's link lets a person in, once", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/people`);
  await page.getByRole("button", { name: "Invite" }).click();
  const dialog = page.getByRole("dialog", { name: "Invite somebody" });
  await dialog.getByLabel("E-mail").fill(viewer.email);
  await dialog.getByRole("radio", { name: /^Viewer/ }).check();
  await dialog.getByRole("button", { name: "Invite" }).click();
  const shown = page.getByRole("dialog", { name: "The invitation's link" });
  const link = await shown.getByText("/invitation#token=").textContent();
  await shown.getByRole("button", { name: "I have it" }).click();
  await page.getByRole("cell", { name: viewer.email, exact: true }).waitFor();

  const guest = await open(here.browser);
  await guest.page.goto(link);
  await guest.page.getByRole("heading", { name: `Join ${owner.organisationName}` }).waitFor();
  assert.doesNotMatch(guest.page.url(), /token/, "the token stays in the address bar");
  await guest.page.getByLabel("Your name").fill(viewer.name);
  await guest.page.getByLabel("Password", { exact: false }).first().fill(viewer.password);
  await guest.page.getByRole("button", { name: "Accept the invitation" }).click();
  await guest.page.getByRole("heading", { name: "Overview" }).waitFor();
  assert.deepEqual(guest.problems, []);
  await guest.context.close();

  const again = await open(here.browser);
  await again.page.goto(link);
  await again.page.getByRole("heading", { name: "This invitation does not work" }).waitFor();
  await again.context.close();
});

test("a viewer sees no settings to change, and the API refuses them", async () => {
  const { page, context } = await open(here.browser);
  await signIn(page, here.base, viewer);
  const side = page.getByRole("navigation", { name: "Main", exact: true });
  await side.getByRole("link", { name: "Agents" }).waitFor();
  await page.goto(`${here.base}/settings`);
  await page.getByRole("heading", { name: "Teams", exact: true }).waitFor();
  assert.equal(await page.getByRole("button", { name: "New team" }).count(), 0);
  const sections = page.getByRole("navigation", { name: "Settings" });
  for (const name of ["People", "Roles", "API tokens", "Audit trail", "Security"])
    assert.equal(await sections.getByRole("link", { name }).count(), 0, name);
  for (const [method, path] of [
    ["get", "members"],
    ["get", "audit"],
    ["get", "tokens"],
    ["post", "teams"],
    ["post", "roles"],
    ["post", "agents"],
    ["get", "super/organisations"],
  ]) {
    const data = method === "post" ? { name: "Mine", permissions: ["*"], slug: "mine", definition: { kind: "prompt" } } : undefined;
    const r = await page.request[method](`${here.base}/api/v1/${path}`, { data });
    assert.equal(r.status(), 403, `${method} ${path}`);
  }
  await page.goto(`${here.base}/settings/audit`);
  await page.getByText("You may not see this").first().waitFor();
  await context.close();
});

test("a role of one's own opens what it holds", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/roles`);
  await page.getByRole("button", { name: "New role" }).click();
  const dialog = page.getByRole("dialog", { name: "New role" });
  await dialog.getByLabel("Name").fill("Auditor");
  await dialog.getByRole("checkbox", { name: "Audit", exact: true }).check();
  await dialog.getByRole("checkbox", { name: "Member: Read" }).check();
  await dialog.getByText("2 permissions in all").waitFor();
  await dialog.getByRole("button", { name: "Make the role" }).click();
  await page.getByRole("button", { name: "Show Auditor" }).waitFor();
  await page.goto(`${here.base}/settings/people`);
  await page.getByRole("button", { name: `Actions for ${viewer.name}` }).click();
  await page.getByRole("menuitem", { name: "Change the role" }).click();
  await page.getByRole("radio", { name: /^Auditor/ }).check();
  await page.getByRole("button", { name: "Change the role" }).click();
  await page.getByRole("row", { name: viewer.name }).getByText("Auditor").waitFor();
  const bo = await open(here.browser);
  await bo.page.goto(`${here.base}/sign-in`);
  await bo.page.getByLabel("E-mail").fill(viewer.email);
  await bo.page.getByLabel("Password", { exact: false }).first().fill(viewer.password);
  await bo.page.getByRole("button", { name: "Sign in", exact: true }).click();
  await bo.page.getByRole("heading", { name: "People" }).waitFor();
  assert.equal(await bo.page.getByRole("link", { name: "Agents" }).count(), 0);
  assert.deepEqual(bo.problems, []);
  await bo.context.close();
});

test("the audit trail shows who changed what, and how it was before", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/teams`);
  await page.getByRole("button", { name: "New team" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Front office");
  await dialog.getByRole("button", { name: "Make the team" }).click();
  await page.getByRole("button", { name: "Change Front office" }).click();
  await dialog.getByLabel("Name").fill("Reception");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Change Reception" }).waitFor();
  await page.goto(`${here.base}/settings/audit?action=team.*`);
  const entry = page.getByRole("button", { name: /^(?!.*denied).*team\.update/ }).first();
  assert.match(await entry.textContent(), new RegExp(owner.name));
  await entry.click();
  const changes = page.getByRole("table", { name: "What changed" });
  const row = changes.getByRole("row", { name: /^name/ });
  assert.deepEqual(await row.getByRole("cell").allTextContents(), ["name", "Front office", "Reception"]);
  await page.getByText(/The chain of .* is whole and unchanged/).waitFor();
  await page.getByRole("combobox", { name: "Outcome" }).click();
  await page.getByRole("option", { name: "Denied" }).click();
  await entry.waitFor({ state: "detached" });
  await page.getByRole("button", { name: new RegExp(`denied.*${viewer.name}`) }).first().waitFor(); // what was refused above
});

test("a person of two organisations switches between them", async () => {
  const { page } = here;
  const made = await here.session.api("POST", "/super/organisations", { name: "Hillside Dental", ownerEmail: owner.email });
  assert.equal(made.status, 201, await made.clone().text());
  const { invitation } = await made.json();
  await page.goto(invitation.shownLink);
  await page.getByRole("button", { name: "Join" }).click();
  await page.getByRole("button", { name: /^Account of .*Hillside Dental/ }).first().waitFor();
  await page.getByRole("button", { name: /^Account of/ }).first().click();
  await page.getByRole("menuitem", { name: owner.organisationName }).click();
  await page.getByRole("button", { name: /^Account of .*Lakeside Clinic/ }).first().waitFor();
});

test("who acts as another person says why, and every page says so", async () => {
  const { page } = here;
  await page.goto(`${here.base}/super`);
  await page.getByRole("link", { name: owner.organisationName }).click();
  await page.getByRole("button", { name: `Act as ${viewer.name}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("Ticket 4711");
  await dialog.getByRole("button", { name: "Act as them" }).click();
  const banner = page.getByRole("region", { name: "Impersonation" });
  await banner.getByText("Ticket 4711").waitFor();
  await page.goto(`${here.base}/settings/people`);
  await banner.getByText(viewer.name).waitFor();
  await banner.getByRole("button", { name: "End" }).click();
  await page.getByRole("heading", { name: "Organisations" }).waitFor();
  assert.equal(await banner.count(), 0);
  await page.goto(`${here.base}/settings/audit?action=auth.impersonate`);
  await page.getByRole("button", { name: /auth\.impersonate/ }).first().click();
  await page.getByText("Ticket 4711").waitFor();
});

nothingWentWrong(here);
