/** What the list of calls is narrowed to; it lives in the address, so that a list can be sent to somebody. */
export type CallFilters = {
  status?: string;
  direction?: string;
  channel?: string;
  agentId?: string;
  q?: string;
  from?: string;
  to?: string;
};

const keys = ["status", "direction", "channel", "agentId", "q", "from", "to"] as const;

export function readFilters(search: Record<string, unknown>): CallFilters {
  const out: CallFilters = {};
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
