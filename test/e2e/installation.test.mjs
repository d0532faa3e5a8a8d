// What those who run the installation do with its organisations' data and see of its processes.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { open, signIn } from "./browser.mjs";
import { member } from "./server.mjs";
import { nothingWentWrong, site } from "./site.mjs";

const disks = mkdtempSync(join(tmpdir(), "parley-e2e-regions-"));
const far = join(disks, "far");

const here = site({ settings: { PARLEY_REGIONS: `far=${far}` } });
after(() => rm(disks, { recursive: true, force: true }));

/** Opens the page of an organisation of that name. */
async function organisation(name) {
  await here.page.goto(`${here.base}/super`);
  await here.page.getByRole("link", { name }).click();
  const section = here.page.getByRole("region", { name: "Where its data is" });
  await section.getByText(/^Now in /).waitFor();
  return section;
}

/** Begins a move on the page that is open. */
async function move(section, to, region) {
  await section.getByRole("button", { name: "Move it" }).click();
  const dialog = here.page.getByRole("dialog", { name: /^Move / });
  await dialog.getByRole("radio", { name: to }).check();
  if (region) {
    await dialog.getByRole("combobox", { name: "Region" }).click();
    await here.page.getByRole("option", { name: region }).click();
  }
  await dialog.getByRole("button", { name: "Move it" }).click();
  await dialog.waitFor({ state: "detached" });
}

test("an organisation moves to a database of its own, in a region, and back", async () => {
  const section = await organisation("Lakeside Clinic");
  await section.getByText(/^Now in the shared database\./).waitFor();
  await move(section, "A database of its own", "far");
  await section.getByText(/^Now in a database of its own in far\./).waitFor();
  const moves = section.getByRole("table", { name: "Earlier moves" });
  await moves.getByRole("row", { name: /the shared database a database of its own in far Moved/ }).waitFor();
  assert.equal((await here.session.json("/organisation")).region, "far");
  await here.page.goto(`${here.base}/agents`);
  await here.page.getByText("front-desk").first().waitFor();

  await organisation("Lakeside Clinic");
  await move(section, "The database shared with others");
  await section.getByText(/^Now in the shared database\./).waitFor();
  await moves.getByRole("row", { name: /a database of its own in far the shared database Moved/ }).waitFor();
  assert.equal((await here.session.json("/organisation")).region, "");
});

test("a move that cannot go on says why, and is stopped", async () => {
  const { page, session } = here;
  const made = await session.api("POST", "/super/organisations", { name: "Hillside Dental", ownerEmail: "kim@hillside.example" });
  assert.equal(made.status, 201, await made.clone().text());
  rmSync(far, { recursive: true, force: true });
  writeFileSync(far, "no folder");
  const section = await organisation("Hillside Dental");
  await move(section, "A database of its own", "far");
  const running = section.getByRole("status");
  await running.getByText(/^The last try failed/).waitFor();
  assert.equal(await section.getByRole("button", { name: "Move it" }).count(), 0);
  await running.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Stop it" }).click();
  await section.getByRole("table", { name: "Earlier moves" }).getByRole("row", { name: /Taken back/ }).waitFor();
  await section.getByText(/^Now in the shared database\./).waitFor();
  await section.getByRole("button", { name: "Move it" }).waitFor();
});

test("the processes that serve the installation are listed", async () => {
  const { page } = here;
  await page.goto(`${here.base}/super/instances`);
  const { items } = await here.session.json("/super/instances");
  assert.equal(items.length, 1);
  const row = page.getByRole("row", { name: new RegExp(items[0].id) });
  await row.getByText("serving").waitFor();
  await row.getByRole("cell", { name: "0 of 1000" }).waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
});

test("a super-admin is added by who is one, sees the installation, and is revoked", async () => {
  const { page, server, session, base, browser } = here;
  const kim = { email: "kim@lakeside.example", name: "Kim Vale", password: "seven quiet herons wading", role: "viewer" };
  await member(server, session, kim);
  await page.goto(`${base}/super/admins`);
  const row = (name) => page.getByRole("row", { name });
  await row("Ada Byrne").waitFor();
  assert.equal(await page.getByRole("button", { name: /^Revoke/ }).count(), 0, "the last one can be revoked");
  await page.getByRole("button", { name: "Add a super-admin" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a super-admin" });
  await dialog.getByLabel("E-mail").fill("nobody@lakeside.example");
  await dialog.getByRole("button", { name: "Add" }).click();
  await page.getByText("That did not work").waitFor();
  await dialog.getByLabel("E-mail").fill(kim.email);
  await dialog.getByRole("button", { name: "Add" }).click();
  await row("Kim Vale").waitFor();
  const guest = await open(browser);
  await signIn(guest.page, base, kim);
  await guest.page.goto(`${base}/super`);
  await guest.page.getByRole("link", { name: "Lakeside Clinic" }).waitFor();
  await page.getByRole("button", { name: "Revoke Kim Vale" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row("Kim Vale").waitFor({ state: "detached" });
  await guest.page.goto(`${base}/super/admins`);
  await guest.page.getByText("You may not see this").waitFor();
  await guest.context.close();
});

// Somebody without an account is an answer of 404.
nothingWentWrong(here, /status of 404/);
