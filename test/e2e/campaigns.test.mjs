// Campaigns: made in steps, checked, and watched as they go.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { open, signIn } from "./browser.mjs";
import { member } from "./server.mjs";
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

  const { id: listId } = await (await session.api("POST", "/do-not-call/lists", { name: "VIPs", scope: "campaign" })).json();
  await steps.getByRole("link", { name: "Whom" }).click();
  const alone = page.getByRole("region", { name: "Whom it leaves alone" });
  await alone.getByText(/^Always: .*the public registers/).waitFor();
  await alone.getByRole("combobox", { name: "Lists of this campaign besides" }).click();
  await page.getByRole("option", { name: /^VIPs/ }).click();
  await saved(page);
  assert.deepEqual((await read()).lists, [listId]);
  await page.keyboard.press("Escape");

  await steps.getByRole("link", { name: "Results and cost" }).click();
  await page.getByLabel("Tell this address").fill("https://crm.example.org/campaigns");
  await page.getByText("Nothing is sent yet").waitFor();
  await page.getByRole("button", { name: "Make the secret" }).click();
  const secret = page.getByRole("dialog", { name: "The secret" });
  await secret.getByText(/^whsec_/).waitFor();
  await secret.getByRole("button", { name: "I have it" }).click();
  await page.getByRole("button", { name: "Replace the secret" }).waitFor();
  await page.getByText("Nothing is sent yet").waitFor({ state: "detached" });
  await page.getByLabel("Tell this address").fill("");
  await saved(page);

  // What cannot be saved is not lost without a word.
  await steps.getByRole("link", { name: "How fast" }).click();
  await page.getByLabel("Calls at once").fill("0");
  await page.getByRole("link", { name: "← Campaigns" }).click();
  const leave = page.getByRole("dialog", { name: "Leave without saving?" });
  await leave.getByRole("button", { name: "Stay" }).click();
  await leave.waitFor({ state: "detached" });
  await page.getByLabel("Calls at once").fill("5");
  await saved(page);

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
  "+49 30 12345680;José Ruiz;11",
].join("\n");

test("a list is imported from a file, its columns named, bad lines downloaded, and taken back", async () => {
  const { page, base, session } = here;
  const made = await (await session.api("POST", "/campaigns", { name: "Listed", settings: { agent: "front-desk" } })).json();
  await page.goto(`${base}/campaigns/${made.id}/edit?step=whom`);
  await page.getByText("Nobody is on the list yet.").waitFor();
  await page.getByLabel("List of people").setInputFiles({ name: "orders.csv", mimeType: "text/csv", buffer: Buffer.from(list) });
  const sample = page.getByRole("table", { name: "The first lines of the file" });
  await sample.getByText("Ada Byrne").waitFor();
  const written = async (label, what) => {
    await page.getByRole("combobox", { name: label }).click();
    await page.getByRole("option", { name: what }).click();
  };
  await written("Between columns", /^Bar/);
  await sample.getByRole("columnheader", { name: "Phone;Full name;Order no." }).waitFor();
  await written("Between columns", /^Semicolon/);
  await sample.getByRole("columnheader", { name: "Full name" }).waitFor();
  await written("Letters", /^Windows-1252/);
  await sample.getByText("JosÃ© Ruiz").waitFor();
  await written("Letters", /^UTF-8/);
  await sample.getByText("José Ruiz").waitFor();
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
  await brought.getByText("3 people added, 1 on the list already, 1 cannot be called").waitFor();
  const [rejects] = await Promise.all([
    page.waitForEvent("download"),
    brought.getByRole("button", { name: "Download the lines that cannot be called" }).click(),
  ]);
  assert.match(rejects.suggestedFilename(), /^rejected-/);
  await page.getByText("3 people", { exact: true }).waitFor();
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
  await page.getByText("3 people", { exact: true }).waitFor();
  await page.getByRole("navigation", { name: "Steps" }).getByRole("link", { name: "Check and start" }).click();
  await page.getByRole("heading", { name: "What to expect" }).waitFor();
  await page.getByRole("button", { name: "Mark as checked" }).click();
  await page.getByText("Checked", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Start calling" }).click();
  const sure = page.getByRole("dialog", { name: "Start calling?" });
  await sure.getByText(/calls 3 people/).waitFor();
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
});

test("people of a campaign are added, changed, called at a time and deleted by hand, and reported", async () => {
  const { page, base, session } = here;
  const { id } = (await session.json("/campaigns?state=paused")).items[0];
  await page.goto(`${base}/campaigns/${id}`);
  await page.getByRole("link", { name: "People" }).click();
  const people = page.getByRole("grid", { name: "People" });
  await people.getByRole("button", { name: "José Ruiz" }).waitFor();
  assert.equal(await people.getAttribute("aria-rowcount"), "4");
  assert.deepEqual(await people.getByRole("columnheader").allInnerTexts(), ["Person", "State", "Last call", "Next call"]);

  await page.getByRole("button", { name: "Add a person" }).click();
  const add = page.getByRole("dialog", { name: "Add a person" });
  await add.getByLabel("Number").fill("nobody");
  await add.getByRole("button", { name: "Add", exact: true }).click();
  await add.getByText(/nobody.* is no phone number/).waitFor();
  assert.equal(await add.getByLabel("Number").getAttribute("aria-invalid"), "true");
  await add.getByLabel("Number").fill("030 12345678");
  await add.getByRole("button", { name: "Add", exact: true }).click();
  await add.getByText("+493012345678 is on this list already.").waitFor();
  await add.getByLabel("Number").fill("030 12345690");
  await add.getByLabel("Name", { exact: true }).fill("Di Moss");
  await add.getByRole("button", { name: "Something else" }).click();
  await add.getByLabel("What it is called").fill("order");
  await add.getByLabel("Value of order").fill("12");
  await add.getByRole("button", { name: "Add", exact: true }).click();
  await people.getByRole("button", { name: "Di Moss" }).click();

  const panel = page.getByRole("dialog", { name: "Di Moss" });
  await panel.getByText("Put on the list").waitFor();
  await panel.getByRole("button", { name: "Change" }).click();
  const change = page.getByRole("dialog", { name: "Change Di Moss" });
  await change.getByLabel("Number").fill("030 12345679");
  await change.getByRole("button", { name: "Save" }).click();
  await change.getByText("+493012345679 is on the campaign's list already").waitFor();
  await change.getByLabel("Number").fill("030 12345691");
  await change.getByLabel("order", { exact: true }).fill("13");
  await change.getByRole("combobox", { name: "Time zone" }).fill("New_York");
  await page.getByRole("option", { name: "America/New_York" }).click();
  await change.getByRole("button", { name: "Save" }).click();
  await panel.getByText("+493012345691").waitFor();
  await panel.getByText("America/New York").first().waitFor();

  await panel.getByRole("button", { name: "Call at a time" }).click();
  const at = page.getByRole("dialog", { name: "When is Di Moss called?" });
  await at.getByText(/Where the person is \(America\/New York\) it is now/).waitFor();
  await at.getByLabel("Day and time there").fill("2020-01-01T10:00");
  await at.getByRole("button", { name: "Call then" }).click();
  await at.getByText("choose a time from now on, within 90 days").waitFor();
  const day = new Date(Date.now() + 10 * 86_400_000).toISOString().slice(0, 10);
  await at.getByLabel("Day and time there").fill(`${day}T10:30`);
  await at.getByRole("button", { name: "Call then" }).click();
  await at.waitFor({ state: "detached" });
  await panel.getByText(/^To be called again/).waitFor();
  const due = async () => (await session.json(`/campaigns/${id}/leads?q=Di`)).items[0];
  assert.equal(hourIn("America/New_York", (await due()).dueAt), "10:30", "the time is not on the person's own clock");

  await panel.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog", { name: "Delete Di Moss?" }).getByRole("button", { name: "Delete" }).click();
  await people.getByRole("button", { name: "Di Moss" }).waitFor({ state: "detached" });

  // By the keyboard: from row to row, and into one.
  await people.getByRole("button", { name: "Ada Byrne" }).focus();
  await page.keyboard.press("End");
  await page.waitForFunction(() => document.activeElement?.textContent === "José Ruiz");
  await page.keyboard.press("ArrowUp");
  await page.waitForFunction(() => document.activeElement?.textContent === "Bo Lind");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Bo Lind" }).getByText("Put on the list").waitFor();
  await page.keyboard.press("Escape");
  await page.getByLabel("Search people").fill("Bo");
  await people.getByRole("button", { name: "Ada Byrne" }).waitFor({ state: "detached" });

  await page.getByRole("button", { name: "Report" }).click();
  const [report] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("menuitem", { name: "A line for each person, CSV" }).click(),
  ]);
  assert.equal(report.suggestedFilename(), "live-people.csv");
  assert.match(readFileSync(await report.path(), "utf8"), /Ada Byrne/);
});

test("who is done is called again, by how the last call ended, after a question that says how many", async () => {
  const { page, base, session } = here;
  // Selling by a machine's voice needs consent, which two did not give: they are done without a call, whatever the hour. One
  // gave it and is to be called much later: without anybody to call it would not start, and would be over at once.
  const settings = { agent: "front-desk", country: "DE", purpose: "sales" };
  const { id } = await (await session.api("POST", "/campaigns", { name: "Offers", settings })).json();
  const leads = [1, 2, 3].map((n) => ({ number: `+49 30 2345670${n}`, name: `Buyer ${n}` }));
  const { items } = await (await session.api("POST", `/campaigns/${id}/leads`, { leads })).json();
  const consent = { subject: "+493023456703", scope: "offers", source: "form", proof: "Form 12", channels: ["ai_call"] };
  assert.equal((await session.api("POST", "/consents", consent)).status, 201);
  const at = new Date(Date.now() + 20 * 86_400_000).toISOString();
  assert.equal((await session.api("POST", `/campaigns/${id}/leads/${items[2].id}/callback`, { at })).status, 200);
  assert.equal((await session.api("POST", `/campaigns/${id}/start`)).status, 200);
  await page.goto(`${base}/campaigns/${id}`);
  await page.getByText(/^Done 2$/).waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Pause it" }).click();
  await page.getByRole("button", { name: "Go on" }).waitFor();
  await page.getByRole("link", { name: "People" }).click();
  await page.getByRole("button", { name: "Call again" }).click();
  const again = page.getByRole("dialog", { name: "Call people again" });
  await again.getByText("0 people chosen").waitFor();
  assert.ok(await again.getByRole("button", { name: "Call them again" }).isDisabled(), "nobody would be called again");
  await again.getByRole("checkbox", { name: "No call: a rule was in the way (2)" }).check();
  await again.getByText("2 people chosen").waitFor();
  await again.getByRole("button", { name: "Call them again" }).click();
  await page.getByRole("dialog", { name: "Call 2 people again?" }).getByRole("button", { name: "Call them again" }).click();
  await again.waitFor({ state: "detached" });
  const people = page.getByRole("grid", { name: "People" });
  await people.getByText("Done").first().waitFor({ state: "detached" });
  assert.equal((await session.json(`/campaigns/${id}/progress`)).leads.waiting, 3);
});

test("who may only look sees people and no buttons that change them", async () => {
  const { server, base, session, browser } = here;
  const bo = { email: "bo@lakeside.example", name: "Bo Lind", password: "harbour road library twelve", role: "viewer" };
  await member(server, session, bo);
  const { page, context } = await open(browser);
  await signIn(page, base, bo);
  const { id } = (await session.json("/campaigns?state=paused")).items[0];
  await page.goto(`${base}/campaigns/${id}/people`);
  await page.getByRole("grid", { name: "People" }).getByRole("button", { name: "Buyer 1" }).click();
  const panel = page.getByRole("dialog", { name: "Buyer 1" });
  await panel.getByText("Put on the list").waitFor();
  for (const name of ["Change", "Call at a time", "Delete"]) {
    assert.equal(await panel.getByRole("button", { name, exact: true }).count(), 0, `${name} is shown`);
  }
  await page.keyboard.press("Escape");
  for (const name of ["Add a person", "Call again"]) {
    assert.equal(await page.getByRole("button", { name }).count(), 0, `${name} is shown`);
  }
  await page.getByRole("button", { name: "Report" }).waitFor();
  await context.close();
});

/** The time of day that an instant is in a zone. */
const hourIn = (timeZone, iso) =>
  new Date(iso).toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });

test("a list of 100,000 people is scrolled to its end, and few of them are in the page", { timeout: 180_000 }, async () => {
  const { page, base, session } = here;
  const many = 100_000;
  const { id } = await (await session.api("POST", "/campaigns", { name: "Everybody", settings: { country: "DE" } })).json();
  const lines = Array.from({ length: many }, (_, i) => `0151${(10_000_000 + i).toString()},Person ${i + 1}`);
  const form = new FormData();
  form.append("start", "true");
  form.append("file", new Blob([`phone,name\n${lines.join("\n")}\n`]), "everybody.csv");
  const headers = { Cookie: session.cookie };
  const sent = await fetch(`${base}/api/v1/campaigns/${id}/leads/import`, { method: "POST", headers, body: form });
  assert.equal(sent.status, 202, await sent.clone().text());
  await page.goto(`${base}/campaigns/${id}/edit?step=whom`);
  await page.getByText(`${many.toLocaleString("en-GB")} people`, { exact: true }).waitFor({ timeout: 120_000 });
  await page.goto(`${base}/campaigns/${id}/people`);
  const people = page.getByRole("grid", { name: "People" });
  await people.getByRole("button", { name: "Person 1", exact: true }).waitFor();
  assert.equal(await people.getAttribute("aria-rowcount"), (many + 1).toString());
  for (const share of [0.25, 0.5, 0.75, 1]) {
    await people.evaluate((e, share) => e.scrollTo(0, (e.scrollHeight - e.clientHeight) * share), share);
    const last = people.getByRole("button", { name: `Person ${(many * share).toString()}`, exact: true });
    await last.waitFor();
    assert.ok((await people.getByRole("row").count()) < 60, "rows that nobody sees are in the page");
  }
  await people.getByRole("button", { name: `Person ${many}` }).click();
  await page.getByRole("dialog", { name: `Person ${many}` }).getByText("Put on the list").waitFor();
  await page.keyboard.press("Escape");
  await page.waitForFunction((name) => document.activeElement?.textContent === name, `Person ${many}`);
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.activeElement?.textContent === "Person 1");
  // How far each campaign is, is told for all of them at once.
  await page.goto(`${base}/campaigns`);
  await page.getByRole("row", { name: /^Everybody / }).getByText("0 of 100,000 people").waitFor();
  await page.getByRole("row", { name: /^Offers / }).getByText("3 of 3 people").waitFor();
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

test("a public register's file is brought, asked, and forgotten", async () => {
  const { page } = here;
  const bring = page.getByRole("button", { name: /^Bring a file of/ }).first();
  const register = (await bring.getAttribute("aria-label")).replace("Bring a file of ", "");
  await bring.click();
  const dialog = page.getByRole("dialog", { name: `A file of ${register}` });
  await dialog.getByRole("button", { name: "Use it" }).click();
  await dialog.getByRole("alert").getByText("Choose a file first.").waitFor();
  const file = (text) => ({ name: "register.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
  await dialog.getByLabel("File with numbers").setInputFiles(file("+49 30 777001\n+49 30 777002\n+44 20 7946 0018\n+1 415 555 0100\n"));
  await dialog.getByRole("button", { name: "Use it" }).click();
  await dialog.waitFor({ state: "detached" });
  const row = page.getByRole("row", { name: new RegExp(`^${register} `) });
  await row.getByText("In use").waitFor();
  await page.getByRole("button", { name: `Forget ${register}` }).click();
  const forget = page.getByRole("dialog", { name: `Forget ${register}?` });
  await forget.getByLabel("Reason").fill("Ordered by mistake");
  await forget.getByRole("button", { name: "Forget it" }).click();
  await row.getByText("Not here").waitFor();
});

nothingWentWrong(here, /status of (412|422)/);
