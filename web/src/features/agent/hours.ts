export type Span = { from: string; to: string };

export function formatHours(spans: Span[]): string {
  return spans.map((s) => `${s.from}-${s.to}`).join(", ");
}

/** Reads "8:00-12:00, 13-18"; nothing is closed, null is not understood. */
export function readHours(text: string): Span[] | null {
  if (text.trim() === "") return [];
  const out: Span[] = [];
  for (const part of text.split(",")) {
    const m = /^\s*(\d{1,2})(?::(\d{2}))?\s*[-–]\s*(\d{1,2})(?::(\d{2}))?\s*$/.exec(part);
    if (!m) return null;
    const from = `${m[1]?.padStart(2, "0")}:${m[2] ?? "00"}`;
    const to = `${m[3]?.padStart(2, "0")}:${m[4] ?? "00"}`;
    if (from >= to || to > "24:00" || Number(m[2] ?? 0) > 59 || Number(m[4] ?? 0) > 59) return null;
    out.push({ from, to });
  }
  return out;
}
