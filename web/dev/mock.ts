import type { Plugin } from "vite";
import type * as t from "../src/api/types";

/**
 * A made-up server for work on the pages (`npm run dev:mock`). It is part of the development server only and
 * never of what is built. It remembers nothing, and has no telephone.
 */
export function mockServer(): Plugin {
  return {
    name: "parley-mock",
    configureServer(server) {
      server.middlewares.use((req, res, next) => {
        const url = new URL(req.url ?? "/", "http://mock");
        if (!url.pathname.startsWith("/api/v1/")) return next();
        const answer = route(req.method ?? "GET", url);
        res.statusCode = answer === undefined ? 404 : answer === null ? 204 : 200;
        res.setHeader("Content-Type", answer === undefined ? "application/problem+json" : "application/json");
        res.end(
          answer === null
            ? ""
            : JSON.stringify(answer ?? { status: 404, code: "not_found", detail: "There is no such thing here." }),
        );
      });
    },
  };
}

const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
const page = <T>(items: T[]): t.Page<T> => ({ items, next: null });

const account: t.Account = {
  user: { id: "u1", email: "ada@lakeside.example", name: "Ada Byrne" },
  organisation: { id: "o1", name: "Lakeside Clinic" },
  role: "owner",
  roleName: "Owner",
  permissions: ["*"],
  teams: [],
  memberships: [{ organisation: { id: "o1", name: "Lakeside Clinic" }, role: "owner", suspended: false }],
  agentSuffix: "",
  superAdmin: true,
  impersonatedBy: null,
};

const flow: t.Flow = {
  data: {
    name: "Lakeside Clinic",
    address: "12 Harbour Road, next to the library",
    timeZone: "Europe/Dublin",
    hours: { mon: [{ from: "08:00", to: "18:00" }], sat: [{ from: "09:00", to: "13:00" }] },
    departments: [{ id: "pharmacy", name: "the pharmacy", phrases: ["pharmacy"], key: "1", target: "pharmacy" }],
    facts: { parking: "You can park behind the building." },
  },
  nodes: [
    { id: "start", type: "start", position: { x: 0, y: 0 }, data: { text: "Welcome to {name}." } },
    {
      id: "menu",
      type: "ask",
      position: { x: 0, y: 150 },
      data: {
        text: "How can I help you?",
        intents: [
          { id: "hours", label: "opening hours", phrases: ["opening hours"], key: "1" },
          { id: "book", label: "book an appointment", phrases: ["book an appointment"], key: "2" },
        ],
      },
    },
    { id: "hours", type: "info", position: { x: 340, y: 80 }, data: { topic: "hours" } },
    { id: "book", type: "book", position: { x: 340, y: 300 }, data: {} },
    { id: "bye", type: "hangup", position: { x: 660, y: 220 }, data: { text: "Goodbye." } },
  ],
  edges: [
    { id: "e1", source: "start", target: "menu" },
    { id: "e2", source: "menu", target: "hours", condition: "hours" },
    { id: "e3", source: "menu", target: "book", condition: "book" },
    { id: "e4", source: "hours", target: "bye" },
    { id: "e5", source: "book", target: "bye" },
  ],
};
const agent = (id: string, name: string, kind: "flow" | "prompt"): t.Agent => ({
  id,
  slug: id,
  name,
  kind,
  status: "published",
  publishedVersion: 2,
  latestVersion: 2,
  ownerId: "",
  projectId: "",
  createdAt: ago(9000),
  updatedAt: ago(180),
});
const agents = [agent("front-desk", "Front desk", "flow"), agent("sim", "Rehearsal", "prompt")];
const definitions: Record<string, t.Definition> = {
  "front-desk": { kind: "flow", flow },
  sim: {
    kind: "prompt",
    greeting: "Hello, how can I help?",
    prompt: "You answer the telephone.",
    models: { llm: { vendor: "sim" } },
    tools: [{ kind: "hangup" }],
  },
};
const version = (id: string, number: number): t.AgentVersion => ({
  id: `${id}-${number}`,
  agentId: id,
  number,
  createdAt: ago(3000 / number),
  createdBy: "u1",
  note: number === 1 ? "" : "Softer greeting",
  definition: definitions[id] ?? { kind: "flow", flow },
  published: number === 2,
});

const call = (i: number): t.Call => {
  const live = i === 0;
  return {
    id: `call-${i}`,
    status: live ? "in_progress" : "ended",
    direction: i === 3 ? "outbound" : "inbound",
    channel: i % 3 === 1 ? "sip" : i % 3 === 2 ? "twilio" : "webrtc",
    from: i % 3 === 0 ? "" : "+353861234567",
    fromName: i === 1 ? "Nora Walsh" : "",
    to: "front-desk",
    agentId: "front-desk",
    agentSlug: "front-desk",
    agentName: "Front desk",
    agentVersion: 2,
    takenBy: "",
    userId: "",
    externalId: "f81d4fae@192.0.2.4",
    startedAt: ago(2 + i * 47),
    answeredAt: i === 4 ? null : ago(2 + i * 47),
    endedAt: live ? null : ago(i * 47),
    durationMs: live ? 0 : 40_000 + i * 13_000,
    endedBy: live ? "" : "caller",
    endReason: i === 4 ? "busy" : i === 5 ? "interrupted" : "normal",
    endText: "The caller hung up.",
    endStatus: 0,
    result: i === 3 ? "answered" : "",
    trunkId: "",
    activity: live ? "listening" : "",
    codec: "PCMU",
    recording: { state: live ? "recording" : "available", durationMs: 40_000, bytes: 640_000, deletedAt: null },
    turns: 3 + i,
    latency: { p50Ms: 180 + i * 20, p95Ms: 420 },
    metadata: {},
    outcome: i === 1 ? { booked: "Tuesday, 10:30" } : {},
  };
};
const said = [
  "Welcome to Lakeside Clinic. How can I help you?",
  "What are your opening hours?",
  "We are open on weekdays from eight to six.",
  "I'd like to book an appointment.",
  "Which day suits you?",
  "Next Tuesday.",
];
const transcript: t.TranscriptItem[] = said.map((text, i) => ({
  seq: i + 1,
  turn: i,
  speaker: i % 2 ? "caller" : "agent",
  text,
  startMs: 600 + i * 6000,
  endMs: 4000 + i * 6000,
  confidence: 0.9,
  final: true,
  interrupted: i === 2,
}));
const turns: t.Turn[] = [1, 2, 3].map((turn) => ({
  turn,
  callerText: said[turn * 2 - 1] ?? "",
  agentText: said[turn * 2] ?? "",
  endOfSpeechMs: turn * 8000,
  sttFinalMs: 55 * turn,
  firstTokenMs: 60 * turn + 40,
  firstAudioMs: 60 * turn + 130,
  firstFrameMs: 60 * turn + 148,
  interrupted: false,
}));
const lane = (phase: number) =>
  Array.from({ length: 1000 }, (_, i) =>
    Math.sin(i / 60 + phase) > 0.1 ? Math.abs(Math.sin(i * 12.9898) * Math.sin(i / 9)) * 0.5 : 0.004,
  );
const models: t.Model[] = [
  {
    id: "m1",
    name: "Ollama",
    vendor: "openai",
    services: ["llm"],
    baseUrls: { llm: "http://127.0.0.1:11434/v1" },
    hasKey: { stt: false, llm: false, tts: false },
    defaults: { llm: "llama3.2" },
    builtIn: false,
    status: {
      ok: false,
      checkedAt: ago(4),
      message: "Nothing answers at http://127.0.0.1:11434. Start the server, or correct its address.",
    },
  },
  {
    id: "local",
    name: "Built-in speech",
    vendor: "local",
    services: ["stt", "tts"],
    baseUrls: {},
    hasKey: { stt: false, llm: false, tts: false },
    defaults: {},
    builtIn: true,
    status: { ok: true, checkedAt: ago(1), message: "flite, espeak-ng and pocketsphinx are installed." },
  },
  {
    id: "sim",
    name: "Simulated vendors",
    vendor: "sim",
    services: ["stt", "llm", "tts"],
    baseUrls: {},
    hasKey: { stt: false, llm: false, tts: false },
    defaults: {},
    builtIn: true,
    status: { ok: true, checkedAt: null, message: "For tests, load and rehearsal: nothing real answers." },
  },
];

function route(method: string, url: URL): unknown {
  const path = url.pathname.slice("/api/v1/".length);
  if (method === "DELETE" || path === "auth/sign-out") return null;
  if (path === "setup") return method === "POST" ? account : { needsOwner: url.searchParams.has("fresh") };
  if (path === "me" || path === "auth/sign-in") return account;
  if (path === "tokens")
    return page([{ id: "t1", name: "Nightly export", createdAt: ago(4000), lastUsedAt: ago(300), expiresAt: null }]);
  if (path === "agents") return page(agents);
  if (path === "agents/validate")
    return {
      problems: [
        {
          location: "flow.nodes[1].data.reprompt",
          message: "is empty; callers who are not understood hear the question again",
          severity: "warning",
        },
      ],
    };
  if (path === "agent-templates")
    return {
      items: [
        {
          id: "front-desk",
          name: "Front desk",
          description: "Opening hours, appointments, departments. Needs no language model.",
          definition: definitions["front-desk"],
        },
      ],
    };
  if (path === "models") return page(models);
  if (path.endsWith("/probe"))
    return { services: { llm: { ok: true, message: "Found 2 models.", models: ["llama3.2", "qwen3"] } } };
  if (path === "trunks")
    return page([
      {
        id: "t1",
        name: "Our carrier",
        address: "sip.example.com",
        transport: "tls",
        proxy: "",
        username: "lakeside",
        passwordSet: true,
        domain: "",
        numberFormat: "e164",
        prefix: "",
        assertIdentity: false,
        lines: 30,
        perSecond: 5,
        encryptedOnly: true,
        enabled: true,
        createdAt: ago(9000),
        updatedAt: ago(9000),
        status: { state: "closed", reason: "", until: null, calls: 3 },
      },
    ]);
  if (path === "caller-numbers")
    return page([
      {
        id: "n1",
        number: "+35315550100",
        displayName: "Lakeside Clinic",
        trunkId: "",
        country: "IE",
        region: "",
        area: "1",
        enabled: true,
        createdAt: ago(9000),
        updatedAt: ago(9000),
      },
    ]);
  if (path === "phones")
    return page([
      {
        id: "p1",
        username: "reception",
        displayName: "Reception",
        registered: true,
        contacts: [
          { uri: "sip:reception@192.0.2.9", expiresAt: ago(-40), userAgent: "Linphone 5.2", transport: "udp" },
        ],
        createdAt: ago(5000),
      },
      { id: "p2", username: "pharmacy", displayName: "", registered: false, contacts: [], createdAt: ago(500) },
    ]);
  if (path === "overview")
    return {
      live: 1,
      today: { calls: 37, answered: 35, avgDurationMs: 84_000, p50LatencyMs: 212, p95LatencyMs: 480 },
      perHour: Array.from({ length: 14 }, (_, i) => ({
        hour: ago((13 - i) * 60),
        calls: Math.round(6 * Math.abs(Math.sin(i / 3))),
      })),
      agents: [],
    };
  if (path === "calls")
    return page(
      url.searchParams.get("status") === "in_progress" ? [call(0)] : Array.from({ length: 7 }, (_, i) => call(i)),
    );
  const agentPath = /^agents\/([^/]+)(?:\/versions(?:\/(\d+))?)?$/.exec(path);
  if (agentPath?.[1]) {
    if (agentPath[2]) return version(agentPath[1], Number(agentPath[2]));
    return path.endsWith("/versions")
      ? page([version(agentPath[1], 2), version(agentPath[1], 1)])
      : agents.find((a) => a.id === agentPath[1]);
  }
  const callPath = /^calls\/call-(\d+)(?:\/(.*))?$/.exec(path);
  if (!callPath) return undefined;
  switch (callPath[2]) {
    case undefined:
      return {
        ...call(Number(callPath[1])),
        legs: [],
        alerts: callPath[1] === "5" ? [{ atMs: 9000, code: "recording_stopped", text: "The disk is full." }] : [],
      };
    case "transcript":
      return page(transcript);
    case "turns":
      return page(turns);
    case "recording/peaks":
      return { durationMs: 40_000, caller: lane(3.1), agent: lane(0) };
    case "signals":
      return page([
        {
          atMs: -120,
          sent: false,
          summary: "INVITE",
          peer: "192.0.2.4:5060",
          raw: "INVITE sip:front-desk@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.4",
        },
        { atMs: -110, sent: true, summary: "100 Trying", peer: "192.0.2.4:5060", raw: "SIP/2.0 100 Trying" },
        { atMs: -2, sent: true, summary: "200 OK (INVITE)", peer: "192.0.2.4:5060", raw: "SIP/2.0 200 OK" },
        { atMs: 20, sent: false, summary: "ACK", peer: "192.0.2.4:5060", raw: "ACK sip:front-desk@127.0.0.1 SIP/2.0" },
      ]);
    case "events":
      return page([
        { seq: 1, atUs: 0, kind: "call.answered", data: { codec: "PCMU", rate: 8000 } },
        { seq: 2, atUs: 600_000, kind: "agent.said", text: said[0] },
        { seq: 3, atUs: 7_600_000, kind: "stt.final", turn: 1, text: said[1], data: { confidence: 0.9 } },
      ]);
  }
  return undefined;
}
