// Secrets that are planted to be looked for: in a page, in what a browser keeps, and in all that came to it.
import assert from "node:assert/strict";

/** How a secret may be written. */
function forms(secret) {
  return [
    secret,
    encodeURIComponent(secret),
    encodeURIComponent(secret).replaceAll("%20", "+"),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString("base64").replace(/=+$/, ""),
    Buffer.from(secret).toString("hex"),
  ];
}

/** Everything that a page holds and its browser keeps for it, by place. Runs in the page. */
async function everything() {
  const stores = [];
  for (const { name, version } of await indexedDB.databases()) {
    const db = await new Promise((resolve, reject) => {
      const r = indexedDB.open(name, version);
      r.onsuccess = () => resolve(r.result);
      r.onerror = () => reject(r.error);
    });
    for (const store of db.objectStoreNames) {
      const all = (method) =>
        new Promise((resolve, reject) => {
          const r = db.transaction(store).objectStore(store)[method]();
          r.onsuccess = () => resolve(r.result);
          r.onerror = () => reject(r.error);
        });
      stores.push(name, store, await all("getAllKeys"), await all("getAll"));
    }
    db.close();
  }
  const cached = [];
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) cached.push(request.url, await (await cache.match(request)).text());
  }
  const fields = [...document.querySelectorAll("input, textarea, select")];
  return {
    "the elements and their attributes": document.documentElement.outerHTML,
    "the text": document.body.innerText,
    "the fields' values": JSON.stringify(fields.map((f) => f.value)),
    "the address": location.href,
    "the history's state": JSON.stringify(history.state),
    "the window's name": window.name,
    "cookies that scripts read": document.cookie,
    localStorage: JSON.stringify({ ...localStorage }),
    sessionStorage: JSON.stringify({ ...sessionStorage }),
    indexedDB: JSON.stringify(stores),
    caches: JSON.stringify(cached),
    "what was loaded": JSON.stringify(performance.getEntries().map((e) => e.name)),
  };
}

const shown = ["the elements and their attributes", "the text", "the fields' values"];

export class Canaries {
  secrets = new Map();
  arrived = []; // { where, bytes }: answers, messages, addresses, the console
  #reading = [];

  /** Keeps a secret to be looked for. */
  add(what, secret) {
    assert.ok(secret?.length >= 8, `the ${what} is too short to be looked for: ${secret}`);
    assert.ok(!this.secrets.has(what), `there is another ${what}`);
    this.secrets.set(what, secret);
    return secret;
  }

  /** Makes a secret up. */
  plant(what) {
    return this.add(what, `Kanarienvogel-${what.replaceAll(" ", "-")}-7391`);
  }

  /** Listens to all that comes to a page from now on. */
  listen(context) {
    const heard = (where, bytes) => this.arrived.push({ where, bytes: Buffer.from(bytes) });
    context.on("request", (r) => heard(`the address of a request: ${r.method()}`, r.url()));
    context.on("response", (r) => {
      const where = `the answer to ${r.request().method()} ${new URL(r.url()).pathname}`;
      const headers = r.headersArray().then((all) => {
        const said = all.filter((h) => h.name.toLowerCase() !== "set-cookie"); // the one way in for a session
        heard(`the headers of ${where}`, JSON.stringify(said));
      });
      const body = r.body().then((b) => heard(where, b));
      for (const part of [headers, body]) this.#reading.push(part.catch(() => {})); // a redirect, or the page is gone
    });
    context.on("page", (page) => {
      page.on("console", (m) => heard("the console", m.text()));
      page.on("websocket", (ws) => ws.on("framereceived", (f) => heard("the realtime feed", f.payload)));
    });
  }

  /** Where in the page something is found: [what, place]. */
  async sightings(page) {
    const places = await page.evaluate(everything);
    const found = [];
    for (const [what, secret] of this.secrets)
      for (const [place, text] of Object.entries(places))
        if (forms(secret).some((f) => text.includes(f))) found.push([what, place]);
    return found;
  }

  /** That a page holds none of them, besides those that it shows now, and those in what is seen only. */
  async look(page, name, shows = []) {
    const found = await this.sightings(page);
    const stray = found.filter(([what, place]) => !(shows.includes(what) && shown.includes(place)));
    assert.deepEqual(stray, [], `${name} holds secrets`);
    for (const what of shows) assert.ok(found.some(([w]) => w === what), `${name} does not show the ${what}`);
  }

  /** What arrived with secrets: [what, where], in the order of arrival. */
  async heard() {
    await Promise.all(this.#reading);
    const found = [];
    for (const [what, secret] of this.secrets)
      for (const { where, bytes } of this.arrived)
        if (forms(secret).some((f) => bytes.includes(f))) found.push([what, where]);
    return found;
  }
}
