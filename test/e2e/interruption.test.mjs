// A person speaks while the agent is still greeting: the agent falls silent, keeps only what was heard, and answers
// what the person said. The microphone is a WAV file; nothing else tells the agent to stop.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, signIn } from "./browser.mjs";
import { owner, signedUp, start } from "./server.mjs";
import { loudness, read, speech } from "./wav.mjs";

const GREETING =
  "Welcome to Lakeside Clinic. How can I help you? You can ask for opening hours, book, move or cancel an appointment, or ask for a department.";

let server;
let browser;
let session;
let dir;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "parley-e2e-wav-"));
  const file = join(dir, "caller.wav");
  // The file runs from the moment the microphone opens, and the greeting takes nine seconds from the answer on: a
  // caller who speaks in the sixth second speaks into it, also when the call took five seconds to connect.
  await speech(file, [6, "opening hours", 60]);
  server = await start();
  session = await signedUp(server);
  browser = await launch("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${file}%noloop`);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

test("speaking interrupts the greeting", { timeout: 120_000 }, async () => {
  const { page, problems } = await open(browser, { permissions: ["microphone"] });
  await signIn(page, server.base, owner);
  await page.getByRole("link", { name: "Talk in the browser" }).click();
  const panel = page.getByRole("region", { name: /^Talk with/ });
  await panel.getByRole("button", { name: "Talk", exact: true }).click();

  // While it happens: the greeting is marked, the caller is understood, the answer comes.
  const log = panel.getByRole("log");
  await log.locator("[data-who=agent]", { hasText: "Welcome to Lakeside Clinic." }).filter({ hasText: "(interrupted)" }).waitFor({ timeout: 40_000 });
  await log.locator("[data-who=caller]", { hasText: /opening hours/i }).waitFor();
  await log.locator("[data-who=agent]", { hasText: /hours are/i }).waitFor();
  assert.equal(await log.getByText("(interrupted)").count(), 1, "more than the greeting is marked");
  await panel.getByRole("button", { name: "Hang up" }).click();
  await panel.getByRole("link", { name: "Open the call" }).click();

  // On the call's page.
  const lines = page.locator("[data-transcript] [data-who]");
  await page.getByRole("slider", { name: "Place in the recording" }).waitFor();
  await lines.filter({ hasText: /hours are/i }).waitFor();
  const shown = await lines.evaluateAll((all) => all.map((l) => ({ who: l.dataset.who, text: l.textContent })));
  const marked = shown.findIndex((l) => l.text.includes("interrupted"));
  assert.equal(shown[marked]?.who, "agent", "no line of the agent is marked");
  assert.match(shown[marked + 1]?.text ?? "", /opening hours/i, "the caller's words do not follow what they interrupted");

  const id = new URL(page.url()).pathname.split("/").at(-1);
  await keptWhatWasHeard(id);
  await fellSilent(id, await toldInOrder(id));
  assert.deepEqual(problems, []);
});

/** The transcript has the greeting as far as it was heard, then the caller, then the answer. */
async function keptWhatWasHeard(id) {
  const { items } = await session.json(`/calls/${id}/transcript`);
  const said = items.toSorted((a, b) => a.startMs - b.startMs || a.seq - b.seq);
  const caller = said.findIndex((i) => i.speaker === "caller");
  const heard = said.slice(0, caller);
  assert.match(said[caller].text, /opening hours/i);
  assert.deepEqual(heard.map((i) => i.interrupted), heard.map((_, n) => n === heard.length - 1), "only the last sentence was cut");
  const text = heard.map((i) => i.text).join(" ");
  assert.ok(text.length > 0 && text.length < GREETING.length && GREETING.startsWith(text), `not a part of the greeting: ${text}`);
  const answer = said.slice(caller + 1);
  assert.ok(answer.some((i) => i.speaker === "agent" && /hours are/i.test(i.text)), "the question was not answered");

  const { items: turns } = await session.json(`/calls/${id}/turns`);
  const [greeting, question] = [0, 1].map((n) => turns.find((t) => t.turn === n));
  assert.equal(greeting.interrupted, true);
  assert.equal(greeting.agentText, text);
  assert.match(question.callerText, /opening hours/i);
  assert.match(question.agentText, /hours are/i);
}

/** The event log has the interruption, step by step. Gives when the agent fell silent and when the caller was done. */
async function toldInOrder(id) {
  const response = await session.api("GET", `/calls/${id}/events?format=ndjson`);
  const log = (await response.text()).trim().split("\n").map((l) => JSON.parse(l));
  const first = (kind, more = () => true) => {
    const at = log.findIndex((e) => e.kind === kind && more(e));
    assert.notEqual(at, -1, `no ${kind} in the event log`);
    return at;
  };
  const cut = first("playout.cut");
  const gen = log[cut].gen;
  const ofGreeting = (e) => e.gen === gen;
  const paused = log.findLastIndex((e, at) => at < cut && e.kind === "playout.paused" && ofGreeting(e));
  const heard = first("agent.said", (e) => ofGreeting(e) && e.data.interrupted);
  const understood = first("stt.final", (e) => /opening hours/i.test(e.text));
  const answer = first("playout.first_frame", (e) => e.gen > gen);
  // Whether the words are understood before the cut or after it depends on how fast they were recognised.
  inOrder("the interruption", [first("playout.first_frame", ofGreeting), first("vad.start"), paused, cut, heard, answer]);
  inOrder("the answer", [first("vad.start"), understood, answer, first("agent.said", (e) => e.gen > gen)]);
  assert.equal(log.slice(heard + 1).some((e) => ofGreeting(e) && e.kind === "agent.said"), false, "the greeting went on");
  return { fromUs: log[paused].atUs, toUs: log[first("turn.end_of_speech", (e) => e.atUs > log[paused].atUs)].atUs };
}

function inOrder(what, steps) {
  assert.deepEqual(steps, steps.toSorted((a, b) => a - b), `the steps of ${what} are not in order`);
}

/** The recording: while the caller speaks on, the agent is not heard. */
async function fellSilent(id, { fromUs, toUs }) {
  const response = await session.api("GET", `/calls/${id}/recording`);
  const wav = read(Buffer.from(await response.arrayBuffer()));
  const sample = (us) => Math.round((us / 1e6) * wav.rate) * wav.channels;
  const part = (from, to) => ({ ...wav, samples: wav.samples.subarray(sample(from), sample(to)) });
  assert.ok(loudness(part(0, fromUs), 1) > 0.2, "the greeting is not in the recording");
  assert.ok(loudness(part(fromUs, toUs), 0) > 0.1, "the caller is not in the recording");
  // A frame or two may be on their way while the pause is decided, more on a machine that is too busy.
  assert.ok(loudness(part(fromUs, toUs), 1) < 0.1, "the agent went on speaking");
}
