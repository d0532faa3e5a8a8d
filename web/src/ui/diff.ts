/** What differs between a thing before and after a change, leaf by leaf. */
export type Difference = { path: string; before: string | null; after: string | null };

export function difference(before: unknown, after: unknown): Difference[] {
  const a = leaves(before);
  const b = leaves(after);
  const out: Difference[] = [];
  for (const path of new Set([...a.keys(), ...b.keys()])) {
    const was = a.get(path) ?? null;
    const is = b.get(path) ?? null;
    if (was !== is) out.push({ path, before: was, after: is });
  }
  return out;
}

/** Lists of plain values are read as one: ["a","b"] is "a, b". */
function leaves(value: unknown, path = "", out = new Map<string, string>()): Map<string, string> {
  if (value === null || value === undefined) return out;
  if (Array.isArray(value)) {
    if (value.every((v) => typeof v !== "object" || v === null)) {
      out.set(path, value.length === 0 ? "none" : value.map(String).join(", "));
    } else {
      value.forEach((v, i) => {
        leaves(v, `${path}[${i + 1}]`, out);
      });
    }
  } else if (typeof value === "object") {
    for (const [k, v] of Object.entries(value)) leaves(v, path ? `${path}.${k}` : k, out);
  } else {
    out.set(path, String(value));
  }
  return out;
}
