// Campaigns: made in steps, checked, and watched as they go.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nothingWentWrong, site } from "./site.mjs";

const here = site();

const saved = (page) => page.getByRole("status").getByText("Saved", { exact: true }).waitFor();

test("a campaign is made in steps and saved as one goes", async () => {
  const { page, base, session } = here;
  await page.goto(`${base}/campaigns`);
  await page.getByRole("heading", { name: "No campaigns yet" }).waitFor();
  await page.getByRole("button", { name: "New campaign" }).first().click();
  const dialog = page.getByRole("dialog", { name: "New campaign" });
  await dialog.getByRole("button", { name: "Make the draft" }).click();
  await dialog.getByText("Give it a name").waitFor();
  await dialog.getByLabel("Name").fill("Spring check-ups");
  await dialog.getByRole("button", { name: "Make the draft" }).click();
  await page.getByRole("heading", { name: "Spring check-ups", level: 1 }).waitFor();
  const id = new URL(page.url()).pathname.split("/")[2];
  const read = async () => (await session.json(`/campaigns/${id}`)).settings;

  await page.getByRole("combobox", { name: "Agent" }).click();
  await page.getByRole("option", { name: "Front desk" }).click();
  await page.getByRole("radio", { name: "Survey" }).check();
  await saved(page);
  assert.equal((await read()).purpose, "survey");

  const steps = page.getByRole("navigation", { name: "Steps" });
  await steps.getByRole("link", { name: "When" }).click();
  await page.getByLabel("Nobody is called after").fill("2031-03-01T18:00");
  await page.getByRole("checkbox", { name: "Whenever the rules of the place allow" }).uncheck();
  await page.getByLabel("Monday, until").fill("12:00");
  await page.getByRole("button", { name: "Monday's hours until Friday" }).click();
  await saved(page);
  const when = (await read()).schedule;
  assert.deepEqual(when.hours, { "mon-fri": "09:00-12:00" });
  assert.match(when.ends, /^2031-03-01T/);
  await page.getByLabel("Nobody is called after").fill("");
  await page.getByRole("status").getByText("Not saved yet").waitFor();
  await saved(page);
  assert.equal((await read()).schedule.ends, undefined, "an end that was emptied stays");

  await steps.getByRole("link", { name: "How fast" }).click();
  await page.getByLabel("How long it rings").fill("5");
  await page.getByRole("status").getByText(/^Not saved: /).waitFor();
  const wrong = page.getByLabel("How long it rings");
  assert.equal(await wrong.getAttribute("aria-invalid"), "true");
  await steps.getByRole("link", { name: /How fast.*something is wrong here/ }).waitFor();
  await wrong.fill("20");
  await saved(page);
  assert.equal((await read()).dialler.ringSeconds, 20);

  await steps.getByRole("link", { name: "Again" }).click();
  await page.getByRole("checkbox", { name: "Busy" }).uncheck();
  await page.getByLabel("No answer: more times").fill("5");
  await saved(page);
  const { on } = (await read()).retry;
  assert.equal(on.busy, undefined, "an outcome that was switched off is still there");
  assert.equal(on.no_answer.times, 5);

  await steps.getByRole("link", { name: "Check and start" }).click();
  await page.getByText("There is nobody to call").waitFor();
  assert.ok(await page.getByRole("button", { name: "Start calling" }).isDisabled(), "it would start with nobody to call");
  await page.getByRole("link", { name: "Go to “Whom”" }).click();
  await page.getByText("Nobody is on the list yet.").waitFor();
});

test("a change that somebody else overtook is shown", async () => {
  const { page, base, session } = here;
  const made = await (await session.api("POST", "/campaigns", { name: "Autumn" })).json();
  await page.goto(`${base}/campaigns/${made.id}/edit?step=speed`);
  await page.getByLabel("Calls at once").waitFor();
  await session.api("PATCH", `/campaigns/${made.id}`, { settings: { dialler: { lines: 9 } } });
  await page.getByLabel("Calls at once").fill("7");
  const dialog = page.getByRole("dialog", { name: "Somebody else changed this meanwhile" });
  await dialog.getByRole("button", { name: "See theirs, drop yours" }).click();
  await dialog.waitFor({ state: "detached" });
  assert.equal(await page.getByLabel("Calls at once").inputValue(), "9");
});

test("campaigns are found by state, duplicated, put away and deleted", async () => {
  const { page, base } = here;
  await page.goto(`${base}/campaigns`);
  await page.getByRole("button", { name: "Actions for Autumn" }).click();
  await page.getByRole("menuitem", { name: "Duplicate" }).click();
  const dialog = page.getByRole("dialog", { name: "Duplicate Autumn" });
  await dialog.getByLabel("Name").fill("Winter");
  await dialog.getByRole("button", { name: "Make the draft" }).click();
  await page.getByRole("heading", { name: "Winter", level: 1 }).waitFor();
  await page.getByRole("link", { name: "← Campaigns" }).click();
  await page.getByRole("combobox", { name: "State" }).click();
  await page.getByRole("option", { name: "Running" }).click();
  await page.getByRole("heading", { name: "No campaign like that" }).waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await page.getByRole("button", { name: "Actions for Winter" }).click();
  await page.getByRole("menuitem", { name: "Archive" }).click();
  await page.getByRole("link", { name: "Winter" }).waitFor({ state: "detached" });
  await page.getByRole("switch", { name: "Archive" }).check();
  await page.getByRole("button", { name: "Actions for Winter" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await page.getByRole("dialog", { name: "Delete Winter?" }).getByRole("button", { name: "Delete" }).click();
  await page.getByRole("link", { name: "Winter" }).waitFor({ state: "detached" });
});

nothingWentWrong(here, /status of (412|422)/);
