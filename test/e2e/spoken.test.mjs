// Chromium with a WAV file as its microphone holds a spoken conversation with front-desk through the UI.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, signIn } from "./browser.mjs";
import { owner, signedUp, start } from "./server.mjs";
import { loudness, read, speech } from "./wav.mjs";

let server;
let browser;
let session;
let dir;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "parley-e2e-wav-"));
  const file = join(dir, "caller.wav");
  // The greeting is over by the tenth second; then the answer gets its time.
  await speech(file, [10, "opening hours", 14, "goodbye", 20]);
  server = await start();
  session = await signedUp(server);
  browser = await launch("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${file}%noloop`);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

test("a spoken conversation with front-desk", { timeout: 120_000 }, async () => {
  const { page, problems } = await open(browser, { permissions: ["microphone"] });
  await signIn(page, server.base, owner);
  await page.getByRole("link", { name: "Talk in the browser" }).click();
  const panel = page.getByRole("region", { name: /^Talk with/ });
  await panel.getByRole("button", { name: "Talk", exact: true }).click();
  const log = panel.getByRole("log");
  await log.locator("[data-who=agent]").first().waitFor();
  await log.locator("[data-who=caller]", { hasText: /opening hours/i }).waitFor({ timeout: 40_000 });
  await log.locator("[data-who=agent]", { hasText: /hours are/i }).last().waitFor();
  await panel.getByText("Ended").waitFor({ timeout: 60_000 });
  await panel.getByRole("link", { name: "Open the call" }).click();

  const lines = page.locator("[data-transcript]");
  await lines.locator("[data-who=caller]", { hasText: /opening hours/i }).waitFor();
  await lines.locator("[data-who=caller]", { hasText: /goodbye/i }).waitFor();
  await page.getByRole("slider", { name: "Place in the recording" }).waitFor();

  const id = new URL(page.url()).pathname.split("/").at(-1);
  const response = await session.api("GET", `/calls/${id}/recording`);
  assert.equal(response.status, 200);
  const wav = read(Buffer.from(await response.arrayBuffer()));
  assert.equal(wav.channels, 2);
  assert.ok(loudness(wav, 0) > 0.01, "the caller is not in the recording");
  assert.ok(loudness(wav, 1) > 0.05, "the agent is not in the recording");

  const { items } = await session.json(`/calls/${id}/turns`);
  assert.ok(items.some((t) => t.firstFrameMs !== null), "no turn has a first frame");
  assert.deepEqual(problems, []);
});
