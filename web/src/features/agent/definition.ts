import type { Definition } from "../../api/types";

/** Leaves out what is empty: the server takes a missing setting for its default, and an empty one for a mistake. */
export function prune<T>(value: T): T {
  if (Array.isArray(value)) return value.map(prune) as T;
  if (typeof value !== "object" || value === null) return value;
  const out: Record<string, unknown> = {};
  for (const [k, v] of Object.entries(value)) {
    if (v === undefined || v === null || v === "" || k === "$schema") continue;
    out[k] = prune(v);
  }
  return out as T;
}

/** Two definitions are the same when they would be saved the same. */
export function same(a: Definition, b: Definition): boolean {
  return stable(prune(a)) === stable(prune(b));
}

/** JSON with its keys in order. */
export function stable(value: unknown): string {
  return JSON.stringify(value, (_, v) =>
    v && typeof v === "object" && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );
}

/** Where two definitions differ, as a person would name it. */
export function differences(a: Definition, b: Definition): string[] {
  const out: string[] = [];
  const parts: [keyof Definition, string][] = [
    ["kind", "kind"],
    ["greeting", "greeting"],
    ["prompt", "prompt"],
    ["language", "language"],
    ["voice", "voice"],
    ["models", "models"],
    ["tools", "tools"],
    ["limits", "limits"],
    ["interruption", "interruption"],
  ];
  for (const [key, name] of parts) if (stable(prune(a[key] ?? {})) !== stable(prune(b[key] ?? {}))) out.push(name);
  if (stable(prune(a.flow?.data ?? {})) !== stable(prune(b.flow?.data ?? {}))) out.push("what the flow knows");
  const before = new Map((a.flow?.nodes ?? []).map((n) => [n.id, stable({ type: n.type, data: prune(n.data) })]));
  const after = new Map((b.flow?.nodes ?? []).map((n) => [n.id, stable({ type: n.type, data: prune(n.data) })]));
  const added = [...after.keys()].filter((id) => !before.has(id));
  const gone = [...before.keys()].filter((id) => !after.has(id));
  const changed = [...after].filter(([id, v]) => before.has(id) && before.get(id) !== v).map(([id]) => id);
  if (added.length) out.push(`steps added: ${added.join(", ")}`);
  if (gone.length) out.push(`steps removed: ${gone.join(", ")}`);
  if (changed.length) out.push(`steps changed: ${changed.join(", ")}`);
  const edge = (d: Definition) =>
    stable((d.flow?.edges ?? []).map((e) => [e.source, e.condition || "next", e.target]).sort());
  if (edge(a) !== edge(b)) out.push("ways between steps");
  return out;
}
