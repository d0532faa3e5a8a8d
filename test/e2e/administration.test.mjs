// What an administrator keeps in order: projects, consents, legal holds, erasures, provisioning; and what who runs the
// installation sees beside it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nothingWentWrong, site } from "./site.mjs";

const here = site();

test("a consent is recorded, found by its number, and withdrawn", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/consents`);
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

test("an owner takes the whole organisation out as a file", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/organisation`);
  await page.getByRole("button", { name: "Make the file" }).click();
  const dialog = page.getByRole("dialog", { name: "Take everything out" });
  await dialog.getByRole("button", { name: "Make the file" }).click();
  await dialog.getByText("Use a few words").waitFor();
  await dialog.getByLabel("Passphrase").fill("correct horse battery staple");
  await dialog.getByRole("button", { name: "Make the file" }).click();
  await dialog.waitFor({ state: "detached" });
  const list = page.getByRole("table", { name: "Files of the organisation" });
  await list.getByText("Ready", { exact: true }).waitFor();
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    list.getByRole("button", { name: "Download" }).click(),
  ]);
  assert.match(file.suggestedFilename(), /^organisation-.*\.parley$/);
  await list.getByText(/downloaded once/).waitFor();
  await list.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog", { name: "Remove the file?" }).getByRole("button", { name: "Remove" }).click();
  await list.getByText("Removed", { exact: true }).waitFor();
});

test("a person's data is held, released, exported and erased with a certificate", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/retention`);
  await page.getByRole("button", { name: "New hold" }).click();
  const hold = page.getByRole("dialog", { name: "New legal hold" });
  await hold.getByRole("combobox", { name: "What to keep" }).click();
  await page.getByRole("option", { name: "A person" }).click();
  await hold.getByLabel("Number or address").fill("+49 30 777");
  await hold.getByRole("button", { name: "Hold", exact: true }).click();
  await hold.getByText("Say why; it stays on record.").waitFor();
  await hold.getByLabel("Reason").fill("Claim 7/26");
  await hold.getByRole("button", { name: "Hold", exact: true }).click();
  await page.getByRole("button", { name: "Release: Claim 7/26" }).click();
  const release = page.getByRole("dialog", { name: "Release the hold?" });
  await release.getByLabel("Reason").fill("Settled");
  await release.getByRole("button", { name: "Release" }).click();
  await page.getByText("Nothing is held.").waitFor();
  await page.getByRole("switch", { name: "Released ones too" }).check();
  await page.getByRole("cell", { name: /^released/ }).waitFor();

  await page.getByLabel("Number or address").fill("+49 30 123456");
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Export everything" }).click(),
  ]);
  assert.equal(file.suggestedFilename(), "person.zip");
  const erase = page.getByRole("button", { name: "Erase everything" });
  assert.ok(await erase.isDisabled(), "it erases without a reason");
  await page.getByLabel("Reason of an erasure").fill("Asked for by letter");
  await erase.click();
  await page.getByRole("button", { name: "Erase", exact: true }).click();
  const row = page.getByRole("row", { name: /Asked for by letter/ });
  const [certificate] = await Promise.all([
    page.waitForEvent("download"),
    row.getByRole("button", { name: "Certificate" }).click(),
  ]);
  assert.match(certificate.suggestedFilename(), /^erasure-.*\.json$/);
  assert.deepEqual((await here.session.json("/consents")).items, [], "the person's consent is still there");
});

test("a project is made, changed and deleted", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/projects`);
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
  const { page } = here;
  const made = await here.session.api("POST", "/sso/connections", {
    name: "Okta",
    protocol: "oidc",
    oidc: { issuer: "https://login.example.org", clientId: "parley", scopes: [], emailClaim: "" },
    clientSecret: "not a real one",
    defaultRole: "viewer",
  });
  assert.equal(made.status, 201, await made.clone().text());
  await page.goto(`${here.base}/settings/sso`);
  await page.getByRole("button", { name: "New SCIM token" }).click();
  const shown = page.getByRole("dialog", { name: "The SCIM token" });
  const secret = (await shown.locator(".mono").first().textContent()).trim();
  await shown.getByRole("button", { name: "I have it" }).click();
  const { scimUrl } = (await here.session.json("/sso/connections")).items[0].here;
  const scim = () =>
    fetch(`${here.base}${new URL(scimUrl).pathname}/Users`, { headers: { Authorization: `Bearer ${secret}` } });
  assert.equal((await scim()).status, 200, "the token does not work");
  const tokens = page.getByRole("table", { name: "SCIM tokens of Okta" });
  assert.doesNotMatch(await page.content(), new RegExp(secret), "the token is still on the page");
  await tokens.getByRole("button", { name: /^Revoke the token/ }).click();
  await page.getByRole("button", { name: "Revoke", exact: true }).click();
  await tokens.waitFor({ state: "detached" });
  assert.equal((await scim()).status, 401);
});

test("the platform log tells what was done to the installation, and only to those who run it", async () => {
  const { page } = here;
  await page.goto(`${here.base}/super/plans`);
  await page.getByRole("button", { name: "New plan" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Small");
  await dialog.getByRole("button", { name: "Save the plan" }).click();
  await page.getByRole("cell", { name: "Small", exact: true }).waitFor();
  await page.getByRole("link", { name: "Platform log" }).click();
  await page
    .getByRole("button", { name: /plan\.create/ })
    .first()
    .click();
  await page.getByRole("table", { name: "What changed" }).getByText("Small").waitFor();
  await page.getByText(/The chain of .* is whole and unchanged/).waitFor();
});

test("who changes what somebody else changed meanwhile sees both, and decides", async () => {
  const { page } = here;
  const made = await here.session.api("POST", "/projects", { name: "Marathon", description: "In spring" });
  const { id } = await made.json();
  await page.goto(`${here.base}/settings/projects`);
  await page.getByRole("button", { name: "Change Marathon" }).click();
  const form = page.getByRole("dialog", { name: "Project Marathon" });
  await form.getByLabel("What for").fill("In autumn");
  assert.equal((await here.session.api("PATCH", `/projects/${id}`, { description: "In summer" })).status, 200);
  await form.getByRole("button", { name: "Save" }).click();
  const meanwhile = page.getByRole("dialog", { name: "Somebody else changed this meanwhile" });
  const row = meanwhile.getByRole("row", { name: /^Description/ });
  await row.waitFor();
  assert.deepEqual(await row.getByRole("cell").allTextContents(), ["Description", "In summer", "In autumn"]);
  await meanwhile.getByRole("button", { name: "See theirs, drop yours" }).click();
  await form.getByText("In summer").waitFor();
  await form.getByLabel("Name").fill("City marathon");
  await form.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: "Change City marathon" }).waitFor();

  await page.goto(`${here.base}/settings/organisation`);
  await page.getByLabel("Name").fill("Lakeside Hospital");
  assert.equal((await here.session.api("PATCH", "/organisation", { name: "Lakeside Group" })).status, 200);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await meanwhile.getByRole("button", { name: "Keep yours" }).click();
  await page.getByText("Saved.").waitFor();
  assert.equal((await here.session.json("/organisation")).name, "Lakeside Hospital");
});

test("a phone, a connection and the terms of retention are not overwritten unawares either", async () => {
  const { page, session, base } = here;
  const meanwhile = page.getByRole("dialog", { name: "Somebody else changed this meanwhile" });
  const { id } = await (
    await session.api("POST", "/phones", { username: "reception", displayName: "Reception" })
  ).json();
  await page.goto(`${base}/phones`);
  await page.getByRole("button", { name: "Actions for reception" }).click();
  await page.getByRole("menuitem", { name: "Change", exact: true }).click();
  const phone = page.getByRole("dialog", { name: "Phone reception" });
  await phone.getByLabel("Name").fill("Front desk");
  assert.equal((await session.api("PATCH", `/phones/${id}`, { displayName: "Lobby" })).status, 200);
  await phone.getByRole("button", { name: "Save" }).click();
  await meanwhile.getByRole("cell", { name: "Lobby" }).waitFor();
  await meanwhile.getByRole("button", { name: "Keep yours" }).click();
  await meanwhile.waitFor({ state: "detached" });
  await page.getByRole("cell", { name: "Front desk" }).waitFor();

  const connection = (await session.json("/sso/connections")).items[0];
  await page.goto(`${base}/settings/sso`);
  await page.getByRole("button", { name: "Change Okta" }).click();
  const form = page.getByRole("dialog", { name: "Okta" });
  await form.getByRole("switch", { name: "The provider must ask for a second factor" }).click();
  await form.getByRole("combobox", { name: "What counts as a second factor" }).fill("urn:example:two");
  await form.getByRole("combobox", { name: "What counts as a second factor" }).press("Enter");
  await form.getByLabel("A session ends after").fill("8");
  assert.equal(
    (await session.api("PATCH", `/sso/connections/${connection.id}`, { longestSessionHours: 12 })).status,
    200,
  );
  await form.getByRole("button", { name: "Save" }).click();
  const row = meanwhile.getByRole("row", { name: /^Longest session hours/ });
  await row.waitFor();
  assert.deepEqual(await row.getByRole("cell").allTextContents(), ["Longest session hours", "12", "8"]);
  assert.equal(await meanwhile.getByText(/secret/i).count(), 0);
  await meanwhile.getByRole("button", { name: "Keep yours" }).click();
  await page.getByText("sessions end after 8 hours").waitFor();
  const changed = await session.json(`/sso/connections/${connection.id}`);
  assert.deepEqual([changed.secondFactor, changed.factorContexts], [true, ["urn:example:two"]]);

  await page.goto(`${base}/settings/retention`);
  await page.getByRole("textbox", { name: "Calls", exact: true }).fill("400");
  const theirs = { recordingDays: null, transcriptDays: null, eventLogDays: null, callDays: 500, auditDays: null };
  assert.equal((await session.api("PUT", "/retention", theirs)).status, 200);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByRole("button", { name: "Shorten it" }).click();
  await meanwhile.getByRole("cell", { name: "500" }).waitFor();
  await meanwhile.getByRole("button", { name: "See theirs, drop yours" }).click();
  await page.waitForFunction(() => [...document.querySelectorAll("input")].some((i) => i.value === "500 days"));
  assert.equal((await session.json("/retention")).callDays, 500);
});

test("an agent's newer version is not overwritten unawares", async () => {
  const { page } = here;
  const { items } = await here.session.json("/agents");
  const agent = items.find((a) => a.slug === "sim");
  const version = await here.session.json(`/agents/${agent.id}/versions/${agent.latestVersion}`);
  await page.goto(`${here.base}/agents/${agent.id}`);
  const prompt = page.getByRole("textbox", { name: "Prompt" });
  await prompt.fill("You are mine.");
  const theirs = await here.session.api("POST", `/agents/${agent.id}/versions`, {
    definition: { ...version.definition, prompt: "You are theirs." },
  });
  assert.equal(theirs.status, 201, await theirs.clone().text());
  await page.getByRole("button", { name: "Save", exact: true }).click();
  const meanwhile = page.getByRole("dialog", { name: "Somebody else changed this meanwhile" });
  await meanwhile.getByRole("cell", { name: "You are theirs." }).waitFor();
  await meanwhile.getByRole("button", { name: "Keep yours" }).click();
  await page.getByText(`Saved as version ${agent.latestVersion + 2}.`).waitFor();
});

nothingWentWrong(here, /status of 412/);
