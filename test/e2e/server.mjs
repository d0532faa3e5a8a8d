// The real binary, on free ports and in a data folder of its own.
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const binary = process.env.PARLEY_BIN ?? fileURLToPath(new URL("../../bin/parley", import.meta.url));
const START_MS = 30_000;

export const owner = {
  organisationName: "Lakeside Clinic",
  name: "Ada Byrne",
  email: "ada@lakeside.example",
  password: "harbour road library twelve",
};

async function freeTCP() {
  const server = createServer();
  await new Promise((r) => server.listen(0, "127.0.0.1", r));
  const { port } = server.address();
  await new Promise((r) => server.close(r));
  return port;
}

async function freeUDP() {
  const socket = createSocket("udp4");
  await new Promise((r) => socket.bind(0, "127.0.0.1", r));
  const { port } = socket.address();
  await new Promise((r) => socket.close(r));
  return port;
}

/** Starts `parley serve` with more settings, and waits for the link that makes the owner. */
export async function start(settings = {}) {
  const dir = await mkdtemp(join(tmpdir(), "parley-e2e-"));
  const http = await freeTCP();
  const rtp = 30_000 + Math.floor(Math.random() * 1000) * 20;
  const child = spawn(binary, ["serve"], {
    cwd: dir,
    env: {
      PATH: process.env.PATH,
      HOME: dir,
      PARLEY_HTTP_ADDR: `127.0.0.1:${http}`,
      PARLEY_SIP_ADDR: `127.0.0.1:${await freeUDP()}`,
      PARLEY_WEBRTC_ADDR: `127.0.0.1:${await freeUDP()}`,
      PARLEY_RTP_PORTS: `${rtp}-${rtp + 99}`,
      PARLEY_DATA_DIR: join(dir, "data"),
      ...settings,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const link = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no link within ${START_MS} ms:\n${output}`)), START_MS);
    const read = (chunk) => {
      output += chunk;
      const found = /https?:\/\/\S+\/setup#token=[^\s"]+/.exec(output);
      if (!found) return;
      clearTimeout(timer);
      resolve(found[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("exit", (code) => reject(new Error(`parley ended with ${code}:\n${output}`)));
  });
  const base = `http://127.0.0.1:${http}`;
  await ready(base, () => output);
  return {
    base,
    link,
    output: () => output,
    async stop() {
      const ended = new Promise((r) => (child.exitCode === null ? child.once("exit", r) : r()));
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
      await ended;
      clearTimeout(timer);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function ready(base, output) {
  const until = Date.now() + START_MS;
  while (Date.now() < until) {
    const ok = await fetch(`${base}/health/ready`).then(
      (r) => r.ok,
      () => false,
    );
    if (ok) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`not ready within ${START_MS} ms:\n${output()}`);
}

/** Makes the owner without a browser and gives an API client that holds the session's cookie. */
export async function signedUp(server) {
  const token = new URLSearchParams(new URL(server.link).hash.slice(1)).get("token");
  const response = await fetch(`${server.base}/api/v1/setup`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...owner, token }),
  });
  if (response.status !== 201) throw new Error(`setup: ${response.status} ${await response.text()}`);
  const cookie = response.headers.getSetCookie()[0].split(";")[0];
  const api = async (method, path, body, headers = {}) => {
    const r = await fetch(`${server.base}/api/v1${path}`, {
      method,
      headers: { Cookie: cookie, ...(body ? { "Content-Type": "application/json" } : {}), ...headers },
      body: body ? JSON.stringify(body) : undefined,
    });
    return r;
  };
  const json = async (path) => {
    const r = await api("GET", path);
    if (!r.ok) throw new Error(`${path}: ${r.status} ${await r.text()}`);
    return r.json();
  };
  return { cookie, api, json };
}

/** Invites a person and accepts for them. */
export async function member(server, session, { email, name, password, role }) {
  const made = await session.api("POST", "/invitations", { email, role });
  if (made.status !== 201) throw new Error(`invitation: ${made.status} ${await made.text()}`);
  const { shownLink } = await made.json();
  const token = new URL(shownLink).hash.replace("#token=", "");
  const joined = await fetch(`${server.base}/api/v1/invitations/accept`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, name, password }),
  });
  if (!joined.ok) throw new Error(`accepting: ${joined.status} ${await joined.text()}`);
}
