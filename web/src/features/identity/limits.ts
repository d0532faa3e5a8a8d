import type { PlanLimits } from "../../api/types";
import { bytes } from "../../ui/format";

export type LimitKey = Exclude<keyof PlanLimits, "$schema">;

/** What a plan limits, in the order in which it is shown. */
export const kinds: { key: LimitKey; label: string }[] = [
  { key: "calls", label: "Calls at once" },
  { key: "minutes", label: "Minutes of calls" },
  { key: "agents", label: "Agents" },
  { key: "phones", label: "Phones and numbers" },
  { key: "seats", label: "People and open invitations" },
  { key: "storageBytes", label: "Recordings" },
  { key: "requestsPerMinute", label: "API requests a minute" },
];

const GB = 1024 ** 3;

export function amount(key: LimitKey, n: number): string {
  if (key !== "storageBytes") return n.toLocaleString("en-GB");
  return n >= GB ? `${Math.round((n / GB) * 10) / 10} GB` : bytes(n);
}

/** The part of a limit that is used; null where nothing limits or nobody counts. */
export function share(use: number | null, limit: number | undefined): number | null {
  if (limit === undefined || use === null) return null;
  return limit === 0 ? 1 : use / limit;
}

/** A form's fields: empty is no limit, recordings are in gigabytes. */
export type LimitFields = Record<LimitKey, number | "">;

export function toFields(limits: PlanLimits): LimitFields {
  const out = {} as LimitFields;
  for (const { key } of kinds) {
    const n = limits[key];
    out[key] = n === undefined ? "" : key === "storageBytes" ? Math.round((n / GB) * 100) / 100 : n;
  }
  return out;
}

export function fromFields(fields: LimitFields): PlanLimits {
  const out: PlanLimits = {};
  for (const { key } of kinds) {
    const n = fields[key];
    if (n !== "") out[key] = key === "storageBytes" ? Math.round(n * GB) : n;
  }
  return out;
}
