// How people get in when it is not the plain way: by a reset link, by an invitation for an account they have, past a
// second factor that their organisation asks for; and what they read when a limit of the plan is reached.
import assert from "node:assert/strict";
import { test } from "node:test";
import { enter, open } from "./browser.mjs";
import { member, owner } from "./server.mjs";
import { nothingWentWrong, site } from "./site.mjs";
import { totp } from "./totp.mjs";

const bo = { name: "Bo Lind", email: "bo@lakeside.example", password: "seven quiet herons wading", role: "viewer" };
const renewed = "violet lantern ferry noon";

const here = site({ prepare: ({ server, session }) => member(server, session, bo) });

test("a reset link lets a person choose a new password, once", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/people`);
  await page.getByRole("button", { name: `Actions for ${bo.name}` }).click();
  await page.getByRole("menuitem", { name: "Send a reset link" }).click();
  const shown = page.getByRole("dialog", { name: "Reset link" });
  const link = await shown.getByText("/reset-password#token=").textContent();
  await shown.getByRole("button", { name: "I have it" }).click();

  const guest = await open(here.browser);
  await guest.page.goto(`${here.base}/forgot-password`);
  await guest.page.getByText(/Ask an administrator of your organisation/).waitFor(); // no mail is set up here
  await guest.page.goto(link);
  const password = guest.page.getByRole("textbox", { name: "New password" });
  await password.waitFor();
  assert.doesNotMatch(guest.page.url(), /token/, "the token stays in the address bar");
  await password.fill("password1234");
  await guest.page.getByRole("button", { name: "Change the password" }).click();
  await guest.page.getByRole("alert").waitFor();
  await password.fill(renewed);
  await guest.page.getByRole("button", { name: "Change the password" }).click();
  await guest.page.getByRole("heading", { name: "Your password is changed" }).waitFor();
  await guest.page.getByRole("link", { name: "Sign in" }).click();
  await enter(guest.page, bo);
  await guest.page.getByRole("alert").waitFor();
  await enter(guest.page, { ...bo, password: renewed });
  await guest.page.getByRole("heading", { name: "Overview" }).waitFor();
  await guest.context.close();

  const again = await open(here.browser);
  await again.page.goto(link);
  await again.page.getByRole("textbox", { name: "New password" }).fill("amber window slow river");
  await again.page.getByRole("button", { name: "Change the password" }).click();
  await again.page.getByRole("alert").waitFor();
  await again.context.close();
});

test("an invitation for somebody who has an account leads through signing in, and back", async () => {
  const made = await here.session.api("POST", "/super/organisations", { name: "Hillside Dental", ownerEmail: bo.email });
  assert.equal(made.status, 201, await made.clone().text());
  const { invitation } = await made.json();
  const guest = await open(here.browser);
  await guest.page.goto(invitation.shownLink);
  await guest.page.getByText(`You have an account with ${bo.email}`, { exact: false }).waitFor();
  await guest.page.getByRole("link", { name: "Sign in" }).click();
  await enter(guest.page, { ...bo, password: renewed });
  await guest.page.getByRole("button", { name: "Join" }).click();
  await guest.page.getByRole("button", { name: /^Account of .*Hillside Dental/ }).first().waitFor();
  assert.deepEqual(guest.problems, []);
  await guest.context.close();
});

test("a limit that is reached says so, and what to do", async () => {
  const { page } = here;
  const mine = (await here.session.json("/me")).organisation.id;
  const { items: agents } = await here.session.json("/agents");
  const set = await here.session.api("PATCH", `/super/organisations/${mine}`, { limits: { seats: 2, agents: agents.length } });
  assert.equal(set.status, 200, await set.clone().text());
  await page.goto(`${here.base}/settings/people`);
  await page.getByRole("button", { name: "Invite" }).click();
  const dialog = page.getByRole("dialog", { name: "Invite somebody" });
  await dialog.getByLabel("E-mail").fill("cy@lakeside.example");
  await dialog.getByRole("radio", { name: /^Viewer/ }).check();
  await dialog.getByRole("button", { name: "Invite" }).click();
  await page.getByText(/plan includes 2 .*used up; free one or ask for a bigger plan/).waitFor();
  await page.goto(`${here.base}/settings/limits`);
  await page.getByRole("region", { name: "People and open invitations" }).getByText("The limit is reached.").waitFor();
  const { definition } = await here.session.json(`/agents/${agents[0].id}/versions/1`);
  const r = await here.session.api("POST", "/agents", { name: "One more", slug: "one-more", definition });
  assert.equal((await r.json()).code, "limit_reached");
});

test("every secret is listed with who set it and where it is replaced, and no value", async () => {
  const { page, session, base } = here;
  const key = "sk-canary-of-the-secrets-page";
  const model = await session.api("POST", "/models", { name: "Mistral", baseUrls: { llm: "http://127.0.0.1:9/v1" }, keys: { llm: key } });
  assert.equal(model.status, 201, await model.clone().text());
  await session.api("POST", "/tokens", { name: "Nightly export" });
  await page.goto(`${base}/settings/secrets`);
  const row = page.getByRole("row", { name: /^Mistral \(language model\)/ });
  await row.getByText(owner.name).waitFor();
  await page.getByRole("row", { name: /^Nightly export/ }).getByText("Hashed").waitFor();
  assert.doesNotMatch(await page.content(), new RegExp(key));
  await row.getByRole("link", { name: "Models" }).click();
  await page.getByRole("heading", { name: "Models", exact: true }).waitFor();
});

test("a person changes their own name", async () => {
  const { page, base } = here;
  await page.goto(`${base}/account`);
  const name = page.getByRole("textbox", { name: "Name" });
  await name.fill("  ");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("What are you called?").waitFor();
  await name.fill("Ada Byrne-Holt");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("button", { name: /^Account of Ada Byrne-Holt/ }).first().waitFor();
});

test("where the organisation asks for a second factor, nothing opens before there is one", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/security`);
  await page.getByText("2 people have no second factor.").waitFor();
  await page.getByRole("switch", { name: "Everybody needs a second factor" }).click();
  await page.getByRole("button", { name: "Ask for it" }).click();
  await page.getByText("Everybody needs a second factor now.").waitFor();

  const guest = await open(here.browser);
  await guest.page.goto(`${here.base}/sign-in`);
  await enter(guest.page, { ...bo, password: renewed });
  // Bo comes into the organisation they were in last, which asks for nothing; the other one does.
  await guest.page.getByRole("button", { name: /^Account of/ }).first().click();
  await guest.page.getByRole("menuitem", { name: owner.organisationName }).click();
  await guest.page.getByText("Your organisation asks for a second factor").waitFor();
  await guest.page.goto(`${here.base}/calls`);
  await guest.page.getByRole("heading", { name: "Your account" }).waitFor();
  assert.equal((await guest.page.request.get(`${here.base}/api/v1/calls`)).status(), 403);
  await guest.page.getByRole("button", { name: "Set up the app" }).click();
  const dialog = guest.page.getByRole("dialog", { name: "Set up the authenticator app" });
  const secret = (await dialog.getByText(/^[A-Z2-7]{16,}$/).textContent()).trim();
  await dialog.getByLabel("Code that the app shows now").fill(totp(secret));
  await dialog.getByRole("button", { name: "Add the app" }).click();
  const codes = guest.page.getByRole("dialog", { name: "Your recovery codes" });
  await codes.getByRole("checkbox").check();
  await codes.getByRole("button", { name: "Done" }).click();
  await guest.page.getByRole("link", { name: "Calls" }).first().click();
  await guest.page.getByRole("heading", { name: "Calls", exact: true }).waitFor();
  await guest.context.close();
});

nothingWentWrong(here, /status of 4(03|09)/);
