// What most files begin with: an installation with its owner, and a browser in which the owner is signed in.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, signIn } from "./browser.mjs";
import { owner, signedUp, start } from "./server.mjs";

/**
 * Starts one before the file's tests and stops it after them; its fields are there from the first test on. `settings`
 * are the server's, `localhost` opens it by its name, `prepare` runs before the owner signs in.
 */
export function site({ settings, localhost, prepare } = {}) {
  const here = {};
  before(async () => {
    here.server = await start(settings);
    here.base = localhost ? here.server.base.replace("127.0.0.1", "localhost") : here.server.base;
    here.session = await signedUp(here.server);
    here.browser = await launch();
    await prepare?.(here);
    Object.assign(here, await open(here.browser));
    await signIn(here.page, here.base, owner);
  });
  after(async () => {
    await here.browser?.close();
    await here.server?.stop();
  });
  return here;
}

/** The last test of a file. Answers that the file's tests ask for, such as 422, are errors to the browser, too. */
export function nothingWentWrong(here, expected = /^$/) {
  test("nothing went wrong in the page", () => {
    assert.deepEqual(here.problems.filter((p) => !expected.test(p)), []);
  });
}
