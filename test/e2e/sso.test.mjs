// Single sign-on as an administrator sets it up and tests it, and as a colleague uses it, with a provider that nobody
// here wrote (test/peers/mockoidc).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { open, signIn } from "./browser.mjs";
import { member } from "./server.mjs";
import { nothingWentWrong, site } from "./site.mjs";

const jane = "jane.doe@example.com"; // whom the provider signs in
const password = "copper kettle morning train";
let provider;
let config;

const here = site({ settings: { PARLEY_SSO_PRIVATE_NETWORKS: "true" }, prepare: startProvider });
after(() => provider?.stdin.end());

async function startProvider() {
  provider = spawn(fileURLToPath(new URL("../../bin/mockoidc", import.meta.url)), { stdio: ["pipe", "pipe", "inherit"] });
  config = JSON.parse(
    await new Promise((resolve, reject) => {
      let text = "";
      provider.stdout.on("data", (chunk) => {
        text += chunk;
        if (text.includes("\n")) resolve(text);
      });
      provider.once("error", reject);
      provider.once("exit", (code) => reject(new Error(`the provider ended with ${code}`)));
    }),
  );
}

test("a connection is made and tested before people use it", async () => {
  const { page } = here;
  await page.goto(`${here.base}/settings/sso`);
  await page.getByRole("heading", { name: "No connections yet" }).waitFor();
  await page.getByRole("button", { name: "New connection" }).first().click();
  const dialog = page.getByRole("dialog", { name: "New connection" });
  await dialog.getByLabel("Name").fill("City directory");
  await dialog.getByLabel("Issuer").fill(`${config.issuer}/elsewhere`);
  await dialog.getByLabel("Client ID").fill(config.clientId);
  await dialog.getByRole("textbox", { name: "Client secret" }).fill(config.clientSecret);
  await dialog.getByRole("button", { name: "Make the connection" }).click();
  const test = page.getByRole("button", { name: "Test the connection" });
  await test.click();
  await page.getByRole("img", { name: "Bad" }).first().waitFor();
  assert.equal(await page.getByRole("link", { name: /^Try to sign in/ }).count(), 0);

  await page.getByRole("button", { name: "Change City directory" }).click();
  const change = page.getByRole("dialog", { name: "City directory" });
  await change.getByLabel("Issuer").fill(config.issuer);
  await change.getByRole("button", { name: "Save" }).click();
  await change.getByText(/give the client's secret there too/).waitFor(); // one provider's secret is not sent to another
  await change.getByRole("textbox", { name: "Client secret" }).fill(config.clientSecret);
  await change.getByRole("button", { name: "Save" }).click();
  await change.waitFor({ state: "detached" });
  await test.click();
  const [trial] = await Promise.all([
    page.context().waitForEvent("page"),
    page.getByRole("link", { name: /^Try to sign in/ }).click(),
  ]);
  const go = trial.getByRole("button", { name: "Go to the identity provider" });
  await go.waitFor();
  assert.doesNotMatch(trial.url(), /token/); // it is taken out of the address bar
  await go.click();
  await trial.getByText(/domain is not verified/).waitFor();
  await trial.close();
  await page.getByRole("button", { name: "What came of it?" }).click();
  await page.getByText(/^They would be refused: .*domain is not verified/).waitFor();
});

test("a colleague signs in with it, and their account there is known", async () => {
  const { page } = here;
  await member(here.server, here.session, { email: jane, name: "Jane Doe", password, role: "viewer" });
  await page.getByRole("switch", { name: "People may use it" }).click();
  await page.getByText("in use", { exact: true }).waitFor();
  const { startUrl } = (await here.session.json("/sso/connections")).items[0].here;
  const guest = await open(here.browser);
  await guest.page.goto(startUrl);
  await guest.page.getByRole("link", { name: "Sign in" }).click(); // no session without an action
  await guest.page.getByRole("heading", { name: "Overview" }).waitFor();
  await guest.page.getByRole("button", { name: /^Account of Jane Doe/ }).first().waitFor();
  await guest.page.goto(`${here.base}/account`);
  await guest.page.getByText("through single sign-on").first().waitFor();
  const own = guest.page.getByRole("region", { name: "Accounts at identity providers" });
  await own.getByText("City directory", { exact: true }).waitFor();
  await own.getByText(/sign in with your own password/).waitFor();
  assert.equal(await own.getByRole("button", { name: "Unlink City directory" }).count(), 0);
  assert.deepEqual(guest.problems, []);
  await guest.context.close();

  await page.reload();
  const accounts = page.getByRole("table", { name: "Accounts at City directory" });
  await accounts.getByRole("button", { name: "Forget the account of Jane Doe" }).click();
  await page.getByRole("button", { name: "Forget it" }).click();
  await accounts.waitFor({ state: "detached" });
});

test("who has a password unlinks their own account at the provider", async () => {
  const { startUrl } = (await here.session.json("/sso/connections")).items[0].here;
  const guest = await open(here.browser);
  await guest.page.goto(startUrl);
  await guest.page.getByRole("link", { name: "Sign in" }).click();
  await guest.page.getByRole("heading", { name: "Overview" }).waitFor();
  await guest.context.clearCookies();
  await signIn(guest.page, here.base, { email: jane, password });
  await guest.page.goto(`${here.base}/account`);
  const own = guest.page.getByRole("region", { name: "Accounts at identity providers" });
  await own.getByRole("button", { name: "Unlink City directory" }).click();
  await guest.page.getByRole("dialog").getByRole("button", { name: "Unlink" }).click();
  await own.waitFor({ state: "detached" });
  assert.deepEqual(guest.problems, []);
  await guest.context.close();
});

// What a form is refused for is an answer of 422.
nothingWentWrong(here, /status of 422/);
