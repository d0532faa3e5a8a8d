/** Times of day in a time zone, for fields that know only the clock on the wall. */

/** All zones the browser knows, with UTC. */
export const zones: string[] = [...new Set(["UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])])];

function parts(at: number, zone: string): Record<string, number> {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  return Object.fromEntries(format.formatToParts(at).map((p) => [p.type, Number(p.value)]));
}

/** How far a zone's clocks are ahead of UTC at an instant, in milliseconds. */
function ahead(at: number, zone: string): number {
  const p = parts(at, zone);
  const wall = Date.UTC(p.year ?? 0, (p.month ?? 1) - 1, p.day, p.hour, p.minute, p.second);
  return wall - Math.floor(at / 1000) * 1000;
}

/** An instant as the wall clock of a zone shows it: "2026-12-01T09:00"; "" for none. */
export function toWall(iso: string | null | undefined, zone: string): string {
  if (!iso) return "";
  const at = new Date(iso).getTime();
  if (Number.isNaN(at)) return "";
  return new Date(at + ahead(at, zone)).toISOString().slice(0, 16);
}

/** The instant at which a zone's wall clock shows "2026-12-01T09:00"; null where that is no time. A time that clocks skip is the one as far after the leap. */
export function fromWall(wall: string, zone: string): string | null {
  const asUTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(wall) ? Date.parse(`${wall}:00Z`) : Number.NaN;
  if (Number.isNaN(asUTC)) return null;
  const first = asUTC - ahead(asUTC, zone);
  const at = asUTC - ahead(first, zone);
  // Where clocks leap, the two guesses differ: the later offset would show a time before the one that was asked for.
  const shown = at + ahead(at, zone);
  return new Date(shown === asUTC ? at : Math.max(at, first)).toISOString();
}

/** What the wall clock of a zone shows: "Monday, 14:05". */
export const clockOf = (at: Date, zone: string): string =>
  at.toLocaleString("en-GB", { timeZone: zone, weekday: "long", hour: "2-digit", minute: "2-digit" });

/** A zone's name as people read it: "America/Mexico City". */
export const placeOf = (zone: string): string => zone.replaceAll("_", " ");
