import type { Call } from "../../api/types";

/** What the list of calls is narrowed to; it lives in the address, so that a list can be sent to somebody. */
export type CallFilters = {
  status?: Call["status"];
  direction?: Call["direction"];
  channel?: Call["channel"];
  agentId?: string;
  q?: string;
  from?: string;
  to?: string;
};

const keys = ["agentId", "q", "from", "to"] as const;
const statuses = ["queued", "ringing", "in_progress", "ended"] as const;
const directions = ["inbound", "outbound"] as const;
const channels = ["sip", "webrtc", "twilio"] as const;

/** An address can hold anything; what is no choice is left out. */
function choice<T extends string>(choices: readonly T[], v: unknown): T | undefined {
  return choices.find((c) => c === v);
}

export function readFilters(search: Record<string, unknown>): CallFilters {
  const out: CallFilters = {};
  const status = choice(statuses, search.status);
  const direction = choice(directions, search.direction);
  const channel = choice(channels, search.channel);
  if (status) out.status = status;
  if (direction) out.direction = direction;
  if (channel) out.channel = channel;
  for (const k of keys) {
    const v = search[k];
    if ((typeof v === "string" && v !== "") || typeof v === "number") out[k] = String(v);
  }
  return out;
}

/** Days in the address become moments for the server: from the start of the first to the end of the last. */
export function toQuery(f: CallFilters): CallFilters {
  const { from, to, ...rest } = f;
  const out: CallFilters = { ...rest };
  if (from) out.from = new Date(`${from}T00:00:00`).toISOString();
  if (to) {
    const end = new Date(`${to}T00:00:00`);
    end.setDate(end.getDate() + 1);
    out.to = end.toISOString();
  }
  return out;
}
