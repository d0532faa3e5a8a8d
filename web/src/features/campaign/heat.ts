import type { CampaignHour } from "../../api/types";
import { type Day, dayNames, days } from "./week";

export type HeatCell = { attempts: number; answered: number };
export type Heat = { cells: Record<Day, HeatCell[]>; first: number; last: number; best?: Best };
type Best = { day: Day; hour: number; rate: number; attempts: number };

/** So few attempts say nothing of an hour. */
export const FEW = 5;

/** Attempts and answers by weekday and hour of a zone; the hours from the first to the last with an attempt. */
export function heat(hours: CampaignHour[], zone: string): Heat {
  const cells = Object.fromEntries(
    days.map((d) => [d, Array.from({ length: 24 }, () => ({ attempts: 0, answered: 0 }))]),
  ) as Record<Day, HeatCell[]>;
  const clock = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    weekday: "short",
    hour: "2-digit",
    hourCycle: "h23",
  });
  let first = 24;
  let last = -1;
  for (const h of hours) {
    const parts = Object.fromEntries(clock.formatToParts(new Date(h.hour)).map((p) => [p.type, p.value]));
    const hour = Number(parts.hour);
    const cell = cells[(parts.weekday ?? "").toLowerCase() as Day]?.[hour];
    if (!cell || h.attempts === 0) continue;
    cell.attempts += h.attempts;
    cell.answered += h.answered;
    first = Math.min(first, hour);
    last = Math.max(last, hour);
  }
  let best: Best | undefined;
  for (const day of days) {
    cells[day].forEach((c, hour) => {
      const rate = c.attempts >= FEW ? c.answered / c.attempts : 0;
      if (rate > (best?.rate ?? 0)) best = { day, hour, rate, attempts: c.attempts };
    });
  }
  return { cells, first, last, best };
}

const two = (n: number) => String(n).padStart(2, "0");

export const hourSpan = (hour: number) => `${two(hour)}–${two(hour + 1)}`;

/** What a cell says to those who hear it, and in its tooltip. */
export function cellWords(day: Day, hour: number, c: HeatCell): string {
  if (c.attempts === 0) return `${dayNames[day]}, ${hourSpan(hour)}: nobody was called`;
  return `${dayNames[day]}, ${hourSpan(hour)}: ${c.answered} of ${c.attempts} answered`;
}
