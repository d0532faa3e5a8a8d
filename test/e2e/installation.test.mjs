// What those who run the installation do with its organisations' data and see of its processes.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
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

nothingWentWrong(here);
