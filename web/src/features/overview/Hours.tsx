import { Text, Tooltip } from "@mantine/core";
import type { Overview } from "../../api/types";
import css from "./overview.module.css";

/** Calls by hour, as bars. The last bar is the hour that runs. */
export function Hours({ perHour }: { perHour: Overview["perHour"] }) {
  const most = Math.max(1, ...perHour.map((h) => h.calls));
  const total = perHour.reduce((n, h) => n + h.calls, 0);
  return (
    <figure
      className={css.hours}
      aria-label={`${total} calls in the last ${perHour.length} hours, at most ${most} in one`}
    >
      <div className={css.bars}>
        {perHour.map((h) => (
          <Tooltip key={h.hour} label={`${hour(h.hour)}: ${h.calls} call${h.calls === 1 ? "" : "s"}`}>
            <span className={css.slot}>
              <i style={{ height: `${(h.calls / most) * 100}%` }} data-none={h.calls === 0 ? true : undefined} />
            </span>
          </Tooltip>
        ))}
      </div>
      <div className={css.axis}>
        {perHour.map((h, i) => (
          <Text key={h.hour} span size="xs" c="dimmed" className="num">
            {i % Math.ceil(perHour.length / 6) === 0 ? hour(h.hour) : ""}
          </Text>
        ))}
      </div>
    </figure>
  );
}

function hour(iso: string): string {
  const d = new Date(iso);
  return Number.isNaN(d.getTime()) ? iso : d.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
