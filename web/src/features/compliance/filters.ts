import { toQuery as days } from "../conversation/filters";

/** What the audit trail is narrowed to; it lives in the address, so that a view of it can be sent to somebody. */
export type AuditFilters = {
  actor?: string;
  action?: string;
  kind?: string;
  object?: string;
  outcome?: "done" | "denied" | "failed";
  ip?: string;
  from?: string;
  to?: string;
};

const words = ["actor", "action", "kind", "object", "ip"] as const;
const outcomes = ["done", "denied", "failed"] as const;

/** An address can hold anything; what is no filter is left out. */
export function readAuditFilters(search: Record<string, unknown>): AuditFilters {
  const out: AuditFilters = {};
  for (const key of words) {
    const v = search[key];
    if ((typeof v === "string" && v !== "") || typeof v === "number") out[key] = String(v);
  }
  const outcome = outcomes.find((o) => o === search.outcome);
  if (outcome) out.outcome = outcome;
  for (const key of ["from", "to"] as const) {
    const v = search[key];
    if (typeof v === "string" && /^\d{4}-\d{2}-\d{2}$/.test(v)) out[key] = v;
  }
  return out;
}

/** Days become moments: from the start of the first to the end of the last. */
export function auditQuery(f: AuditFilters): AuditFilters {
  const { from, to } = days({ from: f.from, to: f.to });
  const out: AuditFilters = { ...f };
  delete out.from;
  delete out.to;
  if (from) out.from = from;
  if (to) out.to = to;
  return out;
}

/** The address of the file with what the filters leave. */
export function exportHref(f: AuditFilters, format: "ndjson" | "csv"): string {
  return `/api/v1/audit/export?${new URLSearchParams({ ...auditQuery(f), format })}`;
}
