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

const list = [
  "Phone;Full name;Order no.",
  "+49 30 12345678;Ada Byrne;7",
  "030 12345679;Bo Lind;8",
  "030 12345679;Bo Lind again;9",
  "no number;Cy Fox;10",
].join("\n");

test("a list is imported from a file, its columns named, bad lines downloaded, and taken back", async () => {
  const { page, base, session } = here;
  const made = await (await session.api("POST", "/campaigns", { name: "Listed", settings: { agent: "front-desk" } })).json();
  await page.goto(`${base}/campaigns/${made.id}/edit?step=whom`);
  await page.getByText("Nobody is on the list yet.").waitFor();
  await page.getByLabel("List of people").setInputFiles({ name: "orders.csv", mimeType: "text/csv", buffer: Buffer.from(list) });
  const sample = page.getByRole("table", { name: "The first lines of the file" });
  await sample.getByText("Ada Byrne").waitFor();
  const means = async (column, what) => {
    await sample.getByRole("combobox", { name: `What is in ${column}` }).click();
    await page.getByRole("option", { name: what }).click();
  };
  await means("Phone", "Leave it out");
  await page.getByText("Say which column has the telephone numbers.").waitFor();
  assert.ok(await page.getByRole("button", { name: "Add these people" }).isDisabled(), "it would be read without numbers");
  await means("Phone", "Telephone number");
  await means("Full name", /^Name$/);
  await means("Order no.", "Something the agent knows");
  assert.equal(await page.getByLabel("What the agent calls Order no.").inputValue(), "order_no");
  await page.getByRole("region", { name: "Bring a list" }).getByLabel("Country of numbers without a country code").click();
  await page.getByRole("option", { name: "Germany" }).click();
  await page.getByRole("button", { name: "Add these people" }).click();
  const brought = page.getByRole("region", { name: "Bring a list" });
  await brought.getByText("2 people added, 1 on the list already, 1 cannot be called").waitFor();
  const [rejects] = await Promise.all([
    page.waitForEvent("download"),
    brought.getByRole("button", { name: "Download the lines that cannot be called" }).click(),
  ]);
  assert.match(rejects.suggestedFilename(), /^rejected-/);
  await page.getByText("2 people", { exact: true }).waitFor();
  await brought.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Take it back" }).click();
  await page.getByText("Nobody is on the list yet.").waitFor();
});

test("a file that is no list is refused in words", async () => {
  const { page } = here;
  await page.getByRole("button", { name: "Bring another file" }).click();
  await page.getByLabel("List of people").setInputFiles({ name: "empty.csv", mimeType: "text/csv", buffer: Buffer.from("") });
  await page.getByRole("alert").getByText("The file was not taken").waitFor();
});

test("a campaign starts when nothing is in the way, is watched live, paused with a reason, and stopped", async () => {
  const { page, base, session } = here;
  const json = async (...of) => {
    const r = await session.api(...of);
    assert.ok(r.ok, `${of[1]}: ${r.status} ${await r.clone().text()}`);
    return r.json();
  };
  await json("POST", "/trunks", { name: "Nowhere", address: "127.0.0.1:9" });
  await json("POST", "/caller-numbers", { number: "+493012345600" });
  const made = await json("POST", "/campaigns", { name: "Live", settings: { agent: "front-desk", country: "DE" } });
  const form = new FormData();
  form.append("mapping", JSON.stringify({ Phone: "phone", "Full name": "name", "Order no.": "" }));
  form.append("start", "true");
  form.append("file", new Blob([list]), "orders.csv");
  const sent = await fetch(`${base}/api/v1/campaigns/${made.id}/leads/import`, {
    method: "POST",
    headers: { Cookie: session.cookie },
    body: form,
  });
  assert.equal(sent.status, 202, await sent.clone().text());
  await page.goto(`${base}/campaigns/${made.id}/edit?step=whom`);
  await page.getByText("2 people", { exact: true }).waitFor();
  await page.getByRole("navigation", { name: "Steps" }).getByRole("link", { name: "Check and start" }).click();
  await page.getByRole("heading", { name: "What to expect" }).waitFor();
  await page.getByRole("button", { name: "Start calling" }).click();
  const sure = page.getByRole("dialog", { name: "Start calling?" });
  await sure.getByText(/calls 2 people/).waitFor();
  await sure.getByRole("button", { name: "Start calling" }).click();
  await page.getByRole("status").getByText("Live", { exact: true }).waitFor();
  await page.getByText("Running", { exact: true }).waitFor();
  // Nobody reads the page again: what changes elsewhere comes by itself.
  await json("POST", `/campaigns/${made.id}/pause`, { why: "The shop is closed" });
  await page.getByText("The shop is closed").waitFor();
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText("Running", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  const pause = page.getByRole("dialog", { name: "Pause Live" });
  await pause.getByLabel("Why").fill("Lunch");
  await pause.getByRole("button", { name: "Pause it" }).click();
  await page.getByText("Lunch", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Actions for Live" }).click();
  await page.getByRole("menuitem", { name: "Stop for good" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Stop it" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();

  await page.getByRole("link", { name: "People" }).click();
  const people = page.getByRole("table", { name: "People" });
  await people.getByRole("row").nth(1).waitFor();
  assert.equal(await people.getByRole("row").count(), 2);
  await page.getByLabel("Search people").fill("Bo");
  await people.getByRole("button", { name: "Ada Byrne" }).waitFor({ state: "detached" });
  await people.getByRole("button", { name: "Bo Lind" }).click();
  await page.getByRole("dialog", { name: "Bo Lind" }).getByText("Put on the list").waitFor();
});

test("why a number was called, or was not, is told in sentences", async () => {
  const { page, base } = here;
  await page.goto(`${base}/settings/why`);
  await page.getByRole("textbox", { name: "Number" }).fill("030 1");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("With its country code").waitFor();
  await page.getByRole("textbox", { name: "Number" }).fill("+49 30 999999");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByRole("heading", { name: "Nothing was decided" }).waitFor();
});

test("a number is put on a do-not-call list, looked up, and taken off for a reason", async () => {
  const { page, base } = here;
  await page.goto(`${base}/settings/do-not-call`);
  await page.getByLabel("Number with its country code").fill("+49 30 555123");
  await page.getByRole("button", { name: "Look it up" }).click();
  await page.getByText("+4930555123 is on no list and no register").waitFor();
  await page.getByRole("button", { name: "Call it no more" }).click();
  await page.getByText("+4930555123 is held").waitFor();
  await page.getByRole("button", { name: "Take it off" }).click();
  const why = page.getByRole("dialog", { name: /^Take \+4930555123 off/ });
  await why.getByRole("button", { name: "Take it off" }).click();
  await why.getByText("Say why; it stays on record.").waitFor();
  await why.getByLabel("Reason").fill("Asked to be called");
  await why.getByRole("button", { name: "Take it off" }).click();
  await page.getByText("+4930555123 is on no list and no register").waitFor();
  await page.getByText(/Taken off .*“Asked to be called”/).waitFor();
  await page.getByRole("button", { name: "New list" }).click();
  const dialog = page.getByRole("dialog", { name: "New list" });
  await dialog.getByLabel("Name").fill("Former patients");
  await dialog.getByRole("button", { name: "Make the list" }).click();
  await page.getByRole("button", { name: "Actions for Former patients" }).click();
  await page.getByRole("menuitem", { name: "Add numbers" }).click();
  const add = page.getByRole("dialog", { name: "Add numbers to Former patients" });
  await add.getByRole("textbox", { name: "Numbers" }).fill("+49 30 555124\nnobody");
  await add.getByRole("button", { name: "Add them" }).click();
  await add.getByText(/^1 added\. These are no telephone numbers/).waitFor();
  await add.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("row", { name: /Former patients/ }).getByText("1", { exact: true }).waitFor();
});

nothingWentWrong(here, /status of (412|422)/);
