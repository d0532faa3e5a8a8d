// A trunk is added, asked whether it is there, changed and deleted; the carrier is a socket here that answers OPTIONS.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { after, test } from "node:test";
import { nothingWentWrong, site } from "./site.mjs";

const here = site();
const carrier = createSocket("udp4");
after(() => carrier.close());

/** Answers every OPTIONS with a status, and gives the address. */
async function listen(status) {
  carrier.on("message", (message, from) => {
    const head = String(message).split("\r\n\r\n")[0].split("\r\n");
    if (!head[0].startsWith("OPTIONS ")) return;
    const kept = head.slice(1).filter((line) => /^(via|from|call-id|cseq):/i.test(line));
    const to = head.find((line) => /^to:/i.test(line));
    const answer = [`SIP/2.0 ${status}`, ...kept, `${to};tag=carrier`, "Server: exchange 7", "Content-Length: 0", "", ""];
    carrier.send(answer.join("\r\n"), from.port, from.address);
  });
  await new Promise((resolve) => carrier.bind(0, "127.0.0.1", resolve));
  return `127.0.0.1:${carrier.address().port}`;
}

test("a trunk is added, checked and changed", async () => {
  const { page, session } = here;
  const address = await listen("200 OK");
  await page.goto(`${here.base}/trunks`);
  await page.getByRole("heading", { name: "No trunks yet" }).waitFor();
  await page.getByRole("button", { name: "Add a trunk" }).first().click();
  const dialog = page.getByRole("dialog", { name: "Add a trunk" });
  await dialog.getByRole("textbox", { name: "Name", exact: true }).fill("Our carrier");
  await dialog.getByLabel("Address").fill("sip:no@good");
  await dialog.getByRole("button", { name: "Add the trunk" }).click();
  await dialog.getByText("write a host or host:port").waitFor();
  await dialog.getByLabel("Address").fill(address);
  await dialog.getByLabel("User name").fill("us");
  await dialog.getByLabel("Password", { exact: true }).fill("quiet green river");
  await dialog.getByLabel("Calls at once").fill("30");
  await dialog.getByRole("button", { name: "Add the trunk" }).click();
  await dialog.waitFor({ state: "detached" });
  const row = page.getByRole("row", { name: /Our carrier/ });
  await row.getByText("30 at once").waitFor();
  await row.getByText("Works").waitFor();

  await page.getByRole("button", { name: "Check Our carrier" }).click();
  const check = page.getByRole("dialog", { name: "Check of Our carrier" });
  await check.getByText("It answers").waitFor();
  await check.getByText("exchange 7").waitFor();
  await page.keyboard.press("Escape");
  await check.waitFor({ state: "detached" });

  await page.getByRole("button", { name: "Change Our carrier" }).click();
  const form = page.getByRole("dialog", { name: "Trunk Our carrier" });
  await form.getByRole("switch", { name: "Calls may go through it" }).click();
  await form.getByRole("button", { name: "Save" }).click();
  await form.waitFor({ state: "detached" });
  await row.getByText("Off", { exact: true }).waitFor();
  const [trunk] = (await session.json("/trunks")).items;
  assert.equal(trunk.enabled, false);
  assert.equal(trunk.passwordSet, true);
});

test("a number is added that calls show, and taken away again", async () => {
  const { page } = here;
  await page.goto(`${here.base}/trunks`);
  await page.getByRole("button", { name: "Add a number" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a number" });
  await dialog.getByLabel("Number").fill("030 123456");
  await dialog.getByRole("button", { name: "Add the number" }).click();
  await dialog.getByText("not in international form").waitFor();
  await dialog.getByLabel("Number").fill("+1 (305) 555-0100");
  await dialog.getByRole("button", { name: "Add the number" }).click();
  await dialog.waitFor({ state: "detached" });
  const row = page.getByRole("row", { name: /\+13055550100/ });
  await row.getByText("US FL 305").waitFor();
  await page.getByRole("button", { name: "Delete +13055550100" }).click();
  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await row.waitFor({ state: "detached" });
});

nothingWentWrong(here, /422/);
