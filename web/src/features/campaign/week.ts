/** Hours of a week, as a campaign's settings write them and as fields show them. */

export const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Day = (typeof days)[number];
export const dayNames: Record<Day, string> = {
  mon: "Monday",
  tue: "Tuesday",
  wed: "Wednesday",
  thu: "Thursday",
  fri: "Friday",
  sat: "Saturday",
  sun: "Sunday",
};
export type Span = { from: string; to: string };
export type Week = Record<Day, Span[]>;

const none = (): Week => ({ mon: [], tue: [], wed: [], thu: [], fri: [], sat: [], sun: [] });

/** Reads {"mon-fri": "09:00-12:00 14:00-18:00"}. */
export function readWeek(hours: Record<string, string>): Week {
  const out = none();
  for (const [names, text] of Object.entries(hours)) {
    const spans = text
      .split(/\s+/)
      .filter(Boolean)
      .map((s) => {
        const [from = "", to = ""] = s.split("-");
        return { from, to: to === "24:00" ? "00:00" : to };
      });
    for (const d of readDays(names)) out[d] = spans;
  }
  return out;
}

function readDays(names: string): Day[] {
  return names
    .toLowerCase()
    .split(",")
    .flatMap((part) => {
      const [first = "", last = first] = part.trim().split("-");
      const from = days.indexOf(first as Day);
      const to = days.indexOf(last as Day);
      if (from < 0 || to < 0) return [];
      const n = ((to - from + 7) % 7) + 1;
      return Array.from({ length: n }, (_, i) => days[(from + i) % 7] as Day);
    });
}

/** Writes a week, days in a row that have the same hours together. Days without hours are left out. */
export function writeWeek(week: Week): Record<string, string> {
  const out: Record<string, string> = {};
  let first = 0;
  for (let i = 1; i <= days.length; i++) {
    const text = spansText(week, first);
    if (i < days.length && spansText(week, i) === text) continue;
    if (text) out[first === i - 1 ? `${days[first]}` : `${days[first]}-${days[i - 1]}`] = text;
    first = i;
  }
  return out;
}

function spansText(week: Week, i: number): string {
  return week[days[i] as Day].map((s) => `${s.from}-${s.to === "00:00" ? "24:00" : s.to}`).join(" ");
}

/** What is wrong with the hours of a day; undefined: nothing. */
export function wrongSpans(spans: Span[]): string | undefined {
  let end = "";
  for (const s of spans) {
    const to = s.to === "00:00" ? "24:00" : s.to;
    if (!s.from || !s.to) return "Fill in both times.";
    if (s.from >= to) return "It ends before it begins.";
    if (s.from < end) return "These hours overlap.";
    end = to;
  }
  return undefined;
}

/** "Monday to Friday 09:00–18:00", for a summary. */
export function weekInWords(hours: Record<string, string>): string {
  const written = writeWeek(readWeek(hours));
  const said = Object.entries(written).map(([names, text]) => {
    const [first, last] = names.split("-") as [Day, Day | undefined];
    const when = last ? `${dayNames[first]} to ${dayNames[last]}` : dayNames[first];
    return `${when} ${text.replaceAll("-", "–").replaceAll(" ", " and ")}`;
  });
  return said.join(", ");
}
