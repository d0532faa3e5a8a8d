// Every secret that one can give to Parley or get from it, looked for in every page and window: in what is seen, in attributes and
// fields, in what the browser keeps, in addresses, and in all that the server said. What is shown once is shown once.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Canaries } from "./canaries.mjs";
import { enter, signIn } from "./browser.mjs";
import { furnish, openWindow, settled, windows } from "./pages.mjs";
import { owner } from "./server.mjs";
import { site } from "./site.mjs";
import { totp } from "./totp.mjs";

const canaries = new Canaries();
const plant = (what) => canaries.plant(what);
const settings = {
  PARLEY_KEY: canaries.add("master key", "7391abcd".repeat(8)),
  PARLEY_KEY_PREVIOUS: canaries.add("previous master key", "1937dcba".repeat(8)),
  PARLEY_TWILIO_ACCOUNT_SID: "AC0123456789abcdef0123456789abcdef",
  PARLEY_TWILIO_AUTH_TOKEN: plant("carrier token"),
  PARLEY_METRICS_TOKEN: plant("metrics token"),
  PARLEY_SMTP_URL: `smtp://mailer:${plant("mail password")}@127.0.0.1:1`,
  PARLEY_MAIL_FROM: "Parley <parley@lakeside.example>",
  PARLEY_PLATFORM_LOG_URL: `mongodb://logger:${plant("platform log password")}@127.0.0.1:1/parley`,
};
const outside = {
  setup: ["/setup", /./],
  "sign-in": ["/sign-in", "Sign in"],
  invitation: ["/invitation", /./],
  forgotten: ["/forgot-password", /./],
  reset: ["/reset-password", /./],
  trial: ["/try-sign-on", /./],
};
let pages;

const here = site({ settings, prepare });

async function prepare(made) {
  pages = await furnish(made);
  canaries.add("password", owner.password);
  canaries.add("session of a program", made.session.cookie.split("=")[1]);
  canaries.add("a private key", "PRIVATE KEY-----");
  canaries.add("set-up token", new URLSearchParams(new URL(made.server.link).hash.slice(1)).get("token"));
  const place = async (path, body, status = 201) => {
    const r = await made.session.api("POST", path, body);
    assert.equal(r.status, status, await r.clone().text());
  };
  await place("/models", { name: "box", baseUrls: { llm: "http://127.0.0.1:1/v1" }, keys: { llm: plant("model key") } });
  await place("/phones", { username: "desk", password: plant("phone password") });
  const line = { name: "Carrier", address: "127.0.0.1:1", username: "parley", enabled: false };
  await place("/trunks", { ...line, password: plant("trunk password") });
  await place("/sso/connections", {
    name: "Directory",
    protocol: "oidc",
    oidc: { issuer: "https://directory.example.com", clientId: "parley", scopes: [], emailClaim: "" },
    clientSecret: plant("client secret"),
    defaultRole: "viewer",
  });
  await place("/phones", { username: "no good!", password: plant("refused phone password") }, 422);
  await place("/auth/sign-in", { email: owner.email, password: plant("wrong password") }, 401);
  await place("/me/password", { currentPassword: plant("wrong current password"), password: plant("new password") }, 422);
}

/** A browser that is listened to. */
async function listened() {
  const context = await here.browser.newContext({ viewport: { width: 1360, height: 860 }, locale: "en-GB", reducedMotion: "reduce" });
  canaries.listen(context);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  return { context, page };
}

/** The addresses of the router, as patterns. */
function routes() {
  const text = readFileSync(new URL("../../web/src/routes.tsx", import.meta.url), "utf8");
  const found = new Map();
  const form = /const (\w+) = createRoute\(\{\s*getParentRoute: \(\) => (\w+),\s*(id|path): "([^"]*)"/g;
  for (const [, name, parent, kind, path] of text.matchAll(form)) found.set(name, { parent, path: kind === "path" ? path : "" });
  assert.equal(found.size, text.match(/= createRoute\(/g).length, "a route is written in a way that this test does not read");
  const whole = (name) => (found.has(name) ? `${whole(found.get(name).parent)}/${found.get(name).path}` : "");
  return [...found.keys()].map((name) => `/${whole(name).split("/").filter(Boolean).join("/")}`);
}

test("every page of the router is walked", () => {
  const walked = [...Object.values(pages), ...Object.values(outside)].map(([path]) => path.split("?")[0]);
  const layouts = ["/settings"]; // it leads to the first page of its list
  const patterns = routes().filter((r) => !layouts.includes(r));
  assert.ok(patterns.length > 25, `the router has ${patterns.length} pages`);
  for (const route of patterns) {
    const form = new RegExp(`^${route.replaceAll(/\$\w+/g, "[^/]+")}$`);
    assert.ok(walked.some((path) => form.test(path)), `${route} is not walked: put it into test/e2e/pages.mjs`);
  }
});

test("the search finds what is there", async () => {
  const own = new Canaries();
  const context = await here.browser.newContext();
  own.listen(context);
  const page = await context.newPage();
  const marks = ["text", "attribute", "field", "address", "state", "name", "cookie", "local", "session", "indexed", "cache", "answer", "console"];
  for (const m of marks) own.plant(m);
  const get = (m) => own.secrets.get(m);
  await here.session.api("POST", "/projects", { name: get("answer"), description: "" });
  await signIn(page, here.base, owner);
  await page.evaluate(
    async (m) => {
      const p = document.body.appendChild(document.createElement("p"));
      p.textContent = m.text;
      p.dataset.mark = btoa(m.attribute);
      const field = document.body.appendChild(document.createElement("input"));
      field.value = m.field;
      history.replaceState({ ...history.state, mark: m.state }, "", `#${m.address}`);
      window.name = m.name;
      document.cookie = `mark=${m.cookie}`;
      localStorage.setItem("mark", m.local);
      sessionStorage.setItem("mark", m.session);
      const db = await new Promise((resolve) => {
        const r = indexedDB.open("marks");
        r.onupgradeneeded = () => r.result.createObjectStore("marks");
        r.onsuccess = () => resolve(r.result);
      });
      await new Promise((resolve) => {
        const t = db.transaction("marks", "readwrite");
        t.objectStore("marks").put({ mark: m.indexed }, 1);
        t.oncomplete = resolve;
      });
      db.close();
      await (await caches.open("marks")).put("/mark", new Response(m.cache));
      await (await fetch("/api/v1/projects")).text();
      console.log(m.console);
    },
    Object.fromEntries(own.secrets),
  );
  const seen = await own.sightings(page);
  for (const [what, place] of [
    ["text", "the text"],
    ["attribute", "the elements and their attributes"],
    ["field", "the fields' values"],
    ["address", "the address"],
    ["state", "the history's state"],
    ["name", "the window's name"],
    ["cookie", "cookies that scripts read"],
    ["local", "localStorage"],
    ["session", "sessionStorage"],
    ["indexed", "indexedDB"],
    ["cache", "caches"],
  ])
    assert.ok(seen.some(([w, p]) => w === what && p === place), `the ${what} is not found in ${place}: ${JSON.stringify(seen)}`);
  await assert.rejects(own.look(page, "this page"), /holds secrets/);
  const heard = await own.heard();
  assert.ok(heard.some(([w, p]) => w === "answer" && p === "the answer to GET /api/v1/projects"), JSON.stringify(heard));
  assert.ok(heard.some(([w, p]) => w === "console" && p === "the console"), JSON.stringify(heard));
  await context.close();
  const { items } = await here.session.json("/projects");
  await here.session.api("DELETE", `/projects/${items.find((p) => p.name === get("answer")).id}`);
});

/** What a window shows once, looked for while it is open and after. */
async function once(page, dialog, what, secret, close) {
  const names = [secret].flat().map((s, i, all) => (all.length > 1 ? `${what} ${i + 1}` : what));
  for (const [i, s] of [secret].flat().entries()) canaries.add(names[i], s);
  await canaries.look(page, `the window with the ${what}`, names);
  await close();
  await dialog.waitFor({ state: "detached" });
  await canaries.look(page, `the page after the window with the ${what}`);
  await page.reload();
  await settled(page);
  await canaries.look(page, `the page with the ${what}, loaded again`);
  return names;
}

test("no page and no window holds a secret, and what is shown once is shown once", { timeout: 900_000 }, async () => {
  const { page, context } = await listened();
  await signIn(page, here.base, owner);
  canaries.add("session", (await context.cookies()).find((c) => c.httpOnly).value);
  const shownOnce = new Map(); // what: the answer that it came with

  // By the forms of the pages, as a person gives and gets them.
  let dialog = await openWindow(page, here.base, pages, windows["model server"]);
  await dialog.getByLabel("Name").fill("Typed");
  await dialog.getByLabel("Base URL").first().fill("http://127.0.0.1:1/v1");
  await dialog.getByRole("textbox", { name: "Key" }).first().fill(plant("typed model key"));
  await dialog.locator("button[type=submit]").click();
  await dialog.waitFor({ state: "detached" });
  await canaries.look(page, "models");

  dialog = await openWindow(page, here.base, pages, windows["new token"]);
  await dialog.getByLabel("What will use it?").fill("Robot");
  await dialog.locator("button[type=submit]").click();
  dialog = page.getByRole("dialog", { name: "Your new token" });
  const token = (await dialog.locator(".mono").first().textContent()).trim();
  await once(page, dialog, "API token", token, () => dialog.getByRole("button", { name: "I have it" }).click());
  shownOnce.set("API token", "the answer to POST /api/v1/tokens");

  await page.goto(`${here.base}/settings/sso`);
  await page.getByRole("button", { name: "New SCIM token" }).first().click();
  dialog = page.getByRole("dialog", { name: "The SCIM token" });
  const scim = (await dialog.locator(".mono").first().textContent()).trim();
  await once(page, dialog, "SCIM token", scim, () => dialog.getByRole("button", { name: "I have it" }).click());
  shownOnce.set("SCIM token", /^the answer to POST \/api\/v1\/sso\/connections\/[^/]+\/scim-tokens$/);

  await page.goto(`${here.base}/phones`);
  await page.getByRole("button", { name: "Actions for reception" }).click();
  await page.getByRole("menuitem", { name: "New password" }).click();
  const [renewed] = await Promise.all([
    page.waitForResponse((r) => r.request().method() === "PATCH" && /\/phones\//.test(r.url())),
    page.getByRole("button", { name: "Make a new password" }).click(),
  ]);
  dialog = page.getByRole("dialog").filter({ has: page.getByRole("button", { name: "I have it" }) });
  await dialog.waitFor();
  await once(page, dialog, "made phone password", (await renewed.json()).password, () => dialog.getByRole("button", { name: "I have it" }).click());
  shownOnce.set("made phone password", `the answer to PATCH ${new URL(renewed.url()).pathname}`);

  dialog = await openWindow(page, here.base, pages, windows["take out"]);
  await dialog.getByLabel("Passphrase").fill(plant("passphrase of the organisation's file"));
  await dialog.getByRole("button", { name: "Make the file" }).click();
  await dialog.waitFor({ state: "detached" });

  dialog = await openWindow(page, here.base, pages, windows.authenticator);
  const secret = canaries.add("authenticator secret", (await dialog.getByText(/^[A-Z2-7]{16,}$/).textContent()).trim());
  await canaries.look(page, "the window of the authenticator", ["authenticator secret"]);
  shownOnce.set("authenticator secret", "the answer to POST /api/v1/me/mfa/totp");
  await dialog.getByLabel("Code that the app shows now").fill(totp(secret));
  await dialog.getByRole("button", { name: "Add the app" }).click();
  await page.getByRole("dialog", { name: "Set up the authenticator app" }).waitFor({ state: "detached" });
  dialog = page.getByRole("dialog", { name: "Your recovery codes" });
  await dialog.waitFor();
  const codes = (await dialog.getByRole("listitem").allTextContents()).map((c) => c.trim());
  assert.equal(codes.length, 10);
  const names = await once(page, dialog, "recovery code", codes, async () => {
    await dialog.getByRole("checkbox").check();
    await dialog.getByRole("button", { name: "Done" }).click();
  });
  for (const n of names) shownOnce.set(n, "the answer to POST /api/v1/me/mfa/totp/confirm");

  for (const [name, [path, heading]] of Object.entries(pages)) {
    await page.goto(here.base + path);
    await page.getByRole("heading", { name: heading }).first().waitFor();
    await settled(page);
    await canaries.look(page, name);
  }
  for (const [name, way] of Object.entries(windows)) {
    if (name === "authenticator") continue; // it was opened above, and there is one now
    const window = await openWindow(page, here.base, pages, way);
    await canaries.look(page, `the window of ${name}`);
    await window.getByRole("button", { name: "Close", exact: true }).click();
    await window.waitFor({ state: "detached" });
  }
  await signsInByCode(codes[0]);

  const heard = await canaries.heard();
  for (const [what, where] of shownOnce) {
    const at = heard.filter(([w]) => w === what).map(([, place]) => place);
    assert.equal(at.length, 1, `the ${what} came ${at.length} times: ${at}`);
    if (typeof where === "string") assert.equal(at[0], where);
    else assert.match(at[0], where);
  }
  assert.deepEqual(heard.filter(([what]) => !shownOnce.has(what)), [], "the server tells secrets");
  assert.ok(canaries.arrived.length > 500, `only ${canaries.arrived.length} things arrived`);
  const log = here.server.output();
  for (const [what, s] of canaries.secrets)
    if (what !== "set-up token") assert.ok(!log.includes(s), `the ${what} is in the log`); // whose link the terminal shows
  await context.close();
});

/** The pages before one is signed in, and signing in with a password and a recovery code. */
async function signsInByCode(code) {
  const { page, context } = await listened();
  for (const [name, [path, heading]] of Object.entries(outside)) {
    await page.goto(here.base + path);
    await page.getByRole("heading", { name: heading }).first().waitFor();
    await settled(page);
    await canaries.look(page, name);
  }
  await page.goto(`${here.base}/sign-in`);
  await enter(page, { ...owner, password: canaries.secrets.get("wrong password") });
  await page.getByRole("alert").waitFor();
  await enter(page, owner);
  await page.getByRole("button", { name: "Use a recovery code" }).click();
  await canaries.look(page, "the second step of signing in");
  await page.getByLabel("Recovery code").fill(code);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await settled(page);
  canaries.add("second session", (await context.cookies()).find((c) => c.httpOnly).value);
  await canaries.look(page, "the overview after signing in by a recovery code");
  await context.close();
}
