// What an administrator keeps in order: projects, consents, legal holds, erasures, provisioning; and what who runs the
// installation sees beside it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, signIn } from "./browser.mjs";
import { owner, signedUp, start } from "./server.mjs";

let server;
let session;
let browser;
let ui;

before(async () => {
  server = await start();
  session = await signedUp(server);
  browser = await launch();
  ui = await open(browser);
  await signIn(ui.page, server.base, owner);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("a consent is recorded, found by its number, and withdrawn", async () => {
  const { page } = ui;
  await page.goto(`${server.base}/settings/consents`);
  await page.getByRole("heading", { name: "No consents yet" }).waitFor();
  await page.getByRole("button", { name: "Record a consent" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Record a consent" });
  await dialog.getByRole("button", { name: "Record it" }).click();
  await dialog.getByText("Whose consent is it?").waitFor();
  await dialog.getByLabel("Number or address").fill("+49 30 123456");
  await dialog.getByLabel("To what").fill("Marketing calls");
  await dialog.getByLabel("What shows it").fill("Yes, call me in spring");
  await dialog.getByRole("button", { name: "Record it" }).click();
  await dialog.waitFor({ state: "detached" });
  const row = page.getByRole("row", { name: /\+4930123456/ });
  await row.getByText("valid", { exact: true }).waitFor();
  await page.getByLabel("Number or address").fill("+49 30 999999");
  await page.getByRole("heading", { name: "Nothing from this person" }).waitFor();
  await page.getByLabel("Number or address").fill("+49 30 123456");
  await row.getByRole("button", { name: /^Withdraw the consent/ }).click();
  await page.getByRole("button", { name: "Withdraw it" }).click();
  await row.getByText(/^withdrawn/).waitFor();
});

test("a project is made, changed and deleted", async () => {
  const { page } = ui;
  await page.goto(`${server.base}/settings/projects`);
  await page.getByRole("button", { name: "New project" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("City marathon");
  await dialog.getByRole("button", { name: "Make the project" }).click();
  await page.getByRole("button", { name: "Change City marathon" }).click();
  await dialog.getByLabel("What for").fill("Entrants' questions");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("cell", { name: "Entrants' questions" }).waitFor();
  await page.getByRole("button", { name: "Delete City marathon" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("heading", { name: "No projects yet" }).waitFor();
});

test("a provider gets a token for provisioning, shown once", async () => {
  const { page } = ui;
  const made = await session.api("POST", "/sso/connections", {
    name: "Okta",
    protocol: "oidc",
    oidc: { issuer: "https://login.example.org", clientId: "parley", scopes: [], emailClaim: "" },
    clientSecret: "not a real one",
    defaultRole: "viewer",
  });
  assert.equal(made.status, 201, await made.clone().text());
  await page.goto(`${server.base}/settings/sso`);
  await page.getByRole("button", { name: "New SCIM token" }).click();
  const shown = page.getByRole("dialog", { name: "The SCIM token" });
  const secret = (await shown.locator(".mono").first().textContent()).trim();
  await shown.getByRole("button", { name: "I have it" }).click();
  const { here } = (await session.json("/sso/connections")).items[0];
  const scim = () =>
    fetch(`${server.base}${new URL(here.scimUrl).pathname}/Users`, { headers: { Authorization: `Bearer ${secret}` } });
  assert.equal((await scim()).status, 200, "the token does not work");
  const tokens = page.getByRole("table", { name: "SCIM tokens of Okta" });
  assert.doesNotMatch(await page.content(), new RegExp(secret), "the token is still on the page");
  await tokens.getByRole("button", { name: /^Revoke the token/ }).click();
  await page.getByRole("button", { name: "Revoke", exact: true }).click();
  await tokens.waitFor({ state: "detached" });
  assert.equal((await scim()).status, 401);
});

test("the platform log tells what was done to the installation, and only to those who run it", async () => {
  const { page } = ui;
  await page.goto(`${server.base}/super/plans`);
  await page.getByRole("button", { name: "New plan" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Small");
  await dialog.getByRole("button", { name: "Save the plan" }).click();
  await page.getByRole("cell", { name: "Small", exact: true }).waitFor();
  await page.getByRole("link", { name: "Platform log" }).click();
  await page.getByRole("button", { name: /plan\.create/ }).first().click();
  await page.getByRole("table", { name: "What changed" }).getByText("Small").waitFor();
  await page.getByText(/The chain of .* is whole and unchanged/).waitFor();
});

test("nothing went wrong in the page", () => {
  assert.deepEqual(ui.problems, []);
});
