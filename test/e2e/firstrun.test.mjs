// What a newcomer does first: the link, the owner, a typed conversation with front-desk, and the call's page.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";
import { owner, start } from "./server.mjs";
import { loudness, read } from "./wav.mjs";

let server;
let browser;
let ui;

before(async () => {
  server = await start();
  browser = await launch();
  ui = await open(browser);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("the link makes the owner, once", async () => {
  const { page } = ui;
  await page.goto(server.base);
  await page.getByText("Nobody has an account yet").waitFor();
  await page.goto(server.link);
  await page.getByRole("button", { name: "Create the owner" }).click();
  await page.getByText("How is your organisation called?").waitFor();
  await page.getByLabel("Organisation").fill(owner.organisationName);
  await page.getByLabel("Your name").fill(owner.name);
  await page.getByLabel("E-mail").fill(owner.email);
  await page.getByLabel("Password", { exact: false }).first().fill("short");
  await page.getByText("5 more characters needed.").waitFor();
  await page.getByLabel("Password", { exact: false }).first().fill(owner.password);
  await page.getByRole("button", { name: "Create the owner" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  const token = new URLSearchParams(new URL(server.link).hash.slice(1)).get("token");
  const again = await page.request.post(`${server.base}/api/v1/setup`, { data: { ...owner, token } });
  assert.ok(again.status() >= 400, "the link worked twice");
});

test("a typed conversation, and its page", async () => {
  const { page } = ui;
  await page.goto(server.base);
  await page.getByRole("link", { name: "Talk in the browser" }).click();
  const panel = page.getByRole("region", { name: /^Talk with/ });
  await panel.getByRole("button", { name: "Type instead" }).click();
  const log = panel.getByRole("log");
  await log.locator("[data-who=agent]").first().waitFor();
  await panel.getByLabel("Type to the agent").fill("opening hours");
  await panel.getByLabel("Type to the agent").press("Enter");
  await log.locator("[data-who=caller]", { hasText: "opening hours" }).waitFor();
  await log.locator("[data-who=agent]", { hasText: /hours are/i }).last().waitFor();
  await panel.getByLabel("Type to the agent").fill("goodbye");
  await panel.getByLabel("Type to the agent").press("Enter");
  await panel.getByRole("link", { name: "Open the call" }).click();

  await page.getByRole("heading", { name: "Facts" }).waitFor();
  const lines = page.locator("[data-transcript]");
  await lines.getByText("opening hours", { exact: false }).first().waitFor();
  await page.getByRole("slider", { name: "Place in the recording" }).waitFor();
  await page.getByRole("tab", { name: "Events" }).click();
  await page.getByRole("cell", { name: "caller.text" }).first().waitFor();
  await page.getByRole("tab", { name: "Signalling" }).click();
  await page.getByRole("tab", { name: "Latency" }).click();
  await page.getByText("First frame sent").waitFor();

  const id = new URL(page.url()).pathname.split("/").at(-1);
  const file = await page.request.get(`${server.base}/api/v1/calls/${id}/recording`);
  assert.equal(file.status(), 200);
  const wav = read(await file.body());
  assert.equal(wav.channels, 2);
  assert.ok(loudness(wav, 1) > 0.05, "the agent is not in the recording");
  assert.ok(loudness(wav, 0) < 0.02, "silence was sent, sound was recorded");
  const vtt = await page.request.get(`${server.base}/api/v1/calls/${id}/transcript?format=vtt`);
  assert.match(await vtt.text(), /^WEBVTT/);
});

test("signing out ends the session", async () => {
  const { page } = ui;
  await page.getByRole("button", { name: /^Account of/ }).first().click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal((await page.request.get(`${server.base}/api/v1/me`)).status(), 401);
  await page.goto(`${server.base}/phones`);
  await page.getByLabel("E-mail").fill(owner.email);
  await page.getByLabel("Password", { exact: false }).first().fill(owner.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Phones", exact: true }).waitFor();
});

test("nothing went wrong in the page", () => {
  assert.deepEqual(ui.problems, []);
});
