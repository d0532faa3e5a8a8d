/** The API's models as the features use them. */

export type Page<T> = { items: T[]; next: string | null };

export type Account = {
  user: { id: string; email: string; name: string };
  organisation: { id: string; name: string };
  role: string;
  permissions: string[];
};
export type Token = {
  id: string;
  name: string;
  createdAt: string;
  lastUsedAt: string | null;
  expiresAt: string | null;
};

export type Agent = {
  id: string;
  slug: string;
  name: string;
  kind: "flow" | "prompt";
  status: "published" | "draft";
  publishedVersion: number | null;
  latestVersion: number;
  createdAt: string;
  updatedAt: string;
};
export type AgentVersion = {
  id: string;
  agentId: string;
  number: number;
  createdAt: string;
  createdBy: string;
  note: string;
  definition: Definition;
  published: boolean;
};
export type AgentTemplate = { id: string; name: string; description: string; definition: Definition };
export type Problem = { location: string; message: string; severity: "error" | "warning" };

export type ModelChoice = { vendor?: "local" | "openai" | "sim"; modelId?: string; model?: string };
export type Tool = {
  kind: "hangup" | "transfer" | "http";
  name?: string;
  description?: string;
  targets?: Record<string, string>;
  url?: string;
  method?: "GET" | "POST";
  parameters?: Record<string, unknown>;
  timeoutMs?: number;
};
export type Limits = { maxDurationMs?: number; idleMs?: number; replyTimeoutMs?: number; fillerAfterMs?: number };
export type Interruption = { off?: boolean; endpointMs?: number; minSpeechMs?: number; cutAfterMs?: number };
/** What an agent is: saved as an immutable version. */
export type Definition = {
  kind: "flow" | "prompt";
  greeting?: string;
  prompt?: string;
  language?: string;
  voice?: { voice?: string; speed?: number };
  models?: { stt?: ModelChoice; llm?: ModelChoice; tts?: ModelChoice };
  flow?: Flow;
  tools?: Tool[];
  limits?: Limits;
  interruption?: Interruption;
};

export type FlowIntent = { id: string; label?: string; phrases: string[]; key?: string };
export type FlowNodeType =
  | "start"
  | "say"
  | "ask"
  | "collect"
  | "book"
  | "move"
  | "cancel"
  | "info"
  | "route"
  | "repeat"
  | "hangup";
export type FlowNodeData = {
  label?: string;
  text?: string;
  reprompt?: string;
  intents?: FlowIntent[];
  slot?: string;
  variable?: string;
  minDigits?: number;
  maxDigits?: number;
  confirm?: boolean;
  topic?: string;
  department?: string;
  outcome?: string;
};
export type FlowNode = { id: string; type: FlowNodeType; position?: { x: number; y: number }; data: FlowNodeData };
export type FlowEdge = { id?: string; source: string; target: string; condition?: string; label?: string };
export type Department = {
  id: string;
  name: string;
  phrases?: string[];
  key?: string;
  target?: string;
  message?: string;
};
export type FlowData = {
  name?: string;
  address?: string;
  timeZone?: string;
  hours?: Record<string, { from: string; to: string }[]>;
  closed?: string[];
  slotMinutes?: number;
  daysAhead?: number;
  departments?: Department[];
  reception?: { target?: string; message?: string };
  facts?: Record<string, string>;
};
export type Flow = { data: FlowData; nodes: FlowNode[]; edges: FlowEdge[] };

export type Service = "stt" | "llm" | "tts";
export type Model = {
  id: string;
  name: string;
  vendor: "openai" | "local" | "sim";
  services: Service[];
  baseUrls: Partial<Record<Service, string>>;
  hasKey: Partial<Record<Service, boolean>>;
  defaults: { stt?: string; llm?: string; tts?: string; voice?: string };
  builtIn: boolean;
  status: { ok: boolean; checkedAt: string | null; message: string };
};
export type ModelInput = {
  name: string;
  baseUrls: Partial<Record<Service, string>>;
  defaults: Model["defaults"];
  keys?: Partial<Record<Service, string>>;
};
export type ProbeResult = { services: Partial<Record<Service, { ok: boolean; message: string; models: string[] }>> };

export type Phone = {
  id: string;
  username: string;
  displayName: string;
  registered: boolean;
  contacts: { uri: string; expiresAt: string; userAgent: string; transport: string }[];
  createdAt: string;
};

export type Activity = "" | "listening" | "thinking" | "speaking" | "paused" | "tool";
export type CallStatus = "queued" | "ringing" | "in_progress" | "ended";
export type Call = {
  id: string;
  status: CallStatus;
  direction: "inbound" | "outbound";
  channel: "sip" | "webrtc" | "twilio";
  from: string;
  fromName: string;
  to: string;
  agentId: string;
  agentSlug: string;
  agentName: string;
  agentVersion: number;
  externalId: string;
  startedAt: string;
  answeredAt: string | null;
  endedAt: string | null;
  durationMs: number;
  endedBy: string;
  endReason: string;
  endText: string;
  activity: string;
  codec: string;
  recording: { state: "none" | "recording" | "available" | "failed"; durationMs: number; bytes: number };
  turns: number;
  latency: { p50Ms: number | null; p95Ms: number | null };
  metadata: Record<string, unknown> | null;
  outcome: Record<string, unknown> | null;
};
export type CallLeg = {
  id: string;
  channel: string;
  direction: string;
  from: string;
  to: string;
  remote: string;
  codec: string;
  startedAt: string;
  endedAt: string | null;
  cause: { by: string; code: string; status?: number; text?: string } | null;
  stats: Record<string, number | string> | null;
};
export type CallDetail = Call & { legs: CallLeg[]; alerts: { atMs: number; code: string; text: string }[] };
export type TranscriptItem = {
  seq: number;
  speaker: "caller" | "agent" | "operator";
  text: string;
  startMs: number;
  endMs: number;
  confidence: number;
  final: boolean;
  interrupted: boolean;
};
export type Turn = {
  turn: number;
  callerText: string;
  agentText: string;
  endOfSpeechMs: number | null;
  sttFinalMs: number | null;
  firstTokenMs: number | null;
  firstAudioMs: number | null;
  firstFrameMs: number | null;
  interrupted: boolean;
};
export type Entry = {
  seq: number;
  atUs: number;
  at?: string;
  kind: string;
  turn?: number;
  gen?: number;
  text?: string;
  data?: Record<string, unknown>;
};
export type Signal = { atMs: number; sent: boolean; summary: string; peer: string; raw: string };
export type Peaks = { durationMs: number; caller: number[]; agent: number[] };
export type Overview = {
  live: number;
  today: {
    calls: number;
    answered: number;
    avgDurationMs: number | null;
    p50LatencyMs: number | null;
    p95LatencyMs: number | null;
  };
  perHour: { hour: string; calls: number }[];
  agents: { id: string; slug: string; name: string; live: number }[];
};
