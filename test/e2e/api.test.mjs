// The API as a program meets it: who may, how lists go on, what errors look like.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { signedUp, start } from "./server.mjs";

let server;
let session;

before(async () => {
  server = await start();
  session = await signedUp(server);
});
after(() => server?.stop());

test("without a session everything is refused as problem+json", async () => {
  for (const path of ["me", "calls", "agents", "models", "phones", "tokens", "overview"]) {
    const r = await fetch(`${server.base}/api/v1/${path}`);
    assert.equal(r.status, 401, path);
    assert.match(r.headers.get("content-type"), /problem\+json/, path);
  }
});

test("an organisation begins with front-desk and sim, published", async () => {
  const { items } = await session.json("/agents");
  assert.deepEqual(items.map((a) => a.slug).sort(), ["front-desk", "sim"]);
  assert.ok(items.every((a) => a.status === "published"));
});

test("an agent is made, changed by versions, published and deleted", async () => {
  const definition = { kind: "prompt", prompt: "Be brief.", greeting: "Hello.", models: { llm: { vendor: "sim" }, stt: { vendor: "sim" } } };
  const made = await session.api("POST", "/agents", { name: "Night desk", slug: "night-desk", definition });
  assert.equal(made.status, 201);
  const agent = await made.json();
  const version = await session.api("POST", `/agents/${agent.id}/versions`, { definition: { ...definition, greeting: "Good evening." }, note: "evening" });
  assert.equal(version.status, 201);
  const { number } = await version.json();
  const published = await session.api("POST", `/agents/${agent.id}/versions/${number}/publish`);
  assert.equal((await published.json()).publishedVersion, number);
  const refused = await session.api("POST", "/agents", { name: "Twin", slug: "night-desk", definition });
  assert.equal(refused.status, 409);
  assert.equal((await session.api("DELETE", `/agents/${agent.id}`)).status, 204);
  assert.equal((await session.api("GET", `/agents/${agent.id}`)).status, 404);
});

test("a token opens the API until it is revoked", async () => {
  const made = await (await session.api("POST", "/tokens", { name: "export" })).json();
  const bearer = { headers: { Authorization: `Bearer ${made.secret}` } };
  assert.equal((await fetch(`${server.base}/api/v1/calls`, bearer)).status, 200);
  await session.api("DELETE", `/tokens/${made.id}`);
  assert.equal((await fetch(`${server.base}/api/v1/calls`, bearer)).status, 401);
});

test("a wrong value is named", async () => {
  const r = await session.api("GET", "/calls?limit=9999");
  assert.equal(r.status, 422);
  const problem = await r.json();
  assert.equal(problem.errors[0].location, "query.limit");
});

test("the description, health and the UI are served", async () => {
  const description = await (await fetch(`${server.base}/api/openapi.json`)).json();
  assert.match(description.openapi, /^3\.1/);
  for (const path of ["/health", "/health/ready", "/health/live", "/docs", "/calls"]) {
    assert.equal((await fetch(server.base + path)).status, 200, path);
  }
});
