// Second factors as a person sets them up and uses them: an authenticator app, recovery codes, a passkey.
import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, open } from "./browser.mjs";
import { owner } from "./server.mjs";
import { nothingWentWrong, site } from "./site.mjs";
import { totp } from "./totp.mjs";

const here = site({ localhost: true }); // passkeys need a name, not an address

let recovery;
let secret;
let used; // the time step of the last code: each works once

/** A code that was not used: of the next step when this one's was. The server takes a phone that is a step ahead. */
function code() {
  const step = Math.max(Math.floor(Date.now() / 30_000), (used ?? 0) + 1);
  used = step;
  return totp(secret, step * 30_000);
}

async function signOut(page) {
  await page.getByRole("button", { name: /^Account of/ }).first().click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
}

const password = (page) => enter(page, owner);

test("an authenticator app is set up by its code", async () => {
  const { page } = here;
  await page.goto(`${here.base}/account`);
  await page.getByRole("button", { name: "Set up the app" }).click();
  const dialog = page.getByRole("dialog", { name: "Set up the authenticator app" });
  await dialog.getByRole("img", { name: /^QR code/ }).waitFor();
  secret = (await dialog.getByText(/^[A-Z2-7]{16,}$/).textContent()).trim();
  const right = code();
  await dialog.getByLabel("Code that the app shows now").fill(right === "000000" ? "111111" : "000000");
  await dialog.getByRole("button", { name: "Add the app" }).click();
  await dialog.locator("[class*=error]").first().waitFor();
  await dialog.getByLabel("Code that the app shows now").fill(right);
  await dialog.getByRole("button", { name: "Add the app" }).click();
  const codes = page.getByRole("dialog", { name: "Your recovery codes" });
  await codes.getByRole("listitem").first().waitFor();
  recovery = await codes.getByRole("listitem").allTextContents();
  assert.ok(recovery.length >= 8);
  assert.ok(await codes.getByRole("button", { name: "Done" }).isDisabled(), "the codes close before they are kept");
  await codes.getByRole("checkbox").check();
  await codes.getByRole("button", { name: "Done" }).click();
  await page.getByText(`${recovery.length} left`).waitFor();
});

test("signing in asks for the code, and takes a recovery code once", async () => {
  const { page } = here;
  await signOut(page);
  await password(page);
  await page.getByLabel("Code of the app").fill(code());
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();

  await signOut(page);
  await password(page);
  await page.getByRole("button", { name: "Use a recovery code" }).click();
  await page.getByLabel("Recovery code").fill(recovery[0]);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();

  await signOut(page);
  await password(page);
  await page.getByRole("button", { name: "Use a recovery code" }).click();
  await page.getByLabel("Recovery code").fill(recovery[0]);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("alert").filter({ hasText: "code is wrong" }).waitFor(); // what was said before may still be shown beside it
  await page.getByLabel("Recovery code").fill(recovery[1]);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
});

test("a passkey signs in without a password", async () => {
  const { page, context } = here;
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  await cdp.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  await page.goto(`${here.base}/account`);
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByRole("button", { name: /^Actions for / }).waitFor();
  await signOut(page);
  await page.getByRole("button", { name: "Use a passkey" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto(`${here.base}/account`);
  await page.getByText("with a passkey").first().waitFor();
});

test("a session elsewhere is ended from here", async () => {
  const { page } = here;
  const other = await open(here.browser);
  await other.page.goto(`${here.base}/sign-in`);
  await password(other.page);
  await other.page.getByRole("button", { name: "Use a recovery code" }).click();
  await other.page.getByLabel("Recovery code").fill(recovery[2]);
  await other.page.getByRole("button", { name: "Go on" }).click();
  await other.page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.goto(`${here.base}/account`);
  await page.getByRole("button", { name: "End all others" }).click();
  await page.getByText(/session.? ended/).first().waitFor();
  await other.page.goto(`${here.base}/phones`);
  await other.page.getByRole("heading", { name: "Sign in" }).waitFor();
  await other.context.close();
});

// A refused code is an answer of 422 or 401.
nothingWentWrong(here, /status of 4(01|22)/);
