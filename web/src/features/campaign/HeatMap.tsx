import { Box, Text, VisuallyHidden } from "@mantine/core";
import { Loaded } from "../../ui/states";
import { useCampaignHours } from "./api";
import css from "./campaign.module.css";
import { cellWords, FEW, type HeatCell, heat, hourSpan } from "./heat";
import { dayNames, days } from "./week";
import { percent } from "./words";

/** Which share answered, by weekday and hour. */
export function HeatMap({ id, zone }: { id: string; zone: string }) {
  const hours = useCampaignHours(id);
  return (
    <Loaded query={hours} rows={3}>
      {({ items }) => {
        const h = heat(items, zone);
        if (h.last < 0) {
          return (
            <Text size="sm" c="dimmed">
              It fills when people are called.
            </Text>
          );
        }
        const columns = Array.from({ length: h.last - h.first + 1 }, (_, i) => h.first + i);
        return (
          <>
            <Box style={{ overflowX: "auto" }} tabIndex={0} role="region" aria-label="Answers by weekday and hour">
              <table className={css.heat} style={{ minWidth: 60 + columns.length * 28 }}>
                <thead>
                  <tr>
                    <th>
                      <VisuallyHidden>Day</VisuallyHidden>
                    </th>
                    {columns.map((c) => (
                      <th key={c} scope="col">
                        {c}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {days.map((d) => (
                    <tr key={d}>
                      <th scope="row">{dayNames[d].slice(0, 3)}</th>
                      {columns.map((c) => {
                        const cell = h.cells[d][c] ?? { attempts: 0, answered: 0 };
                        const says = cellWords(d, c, cell);
                        return (
                          <td
                            key={c}
                            className={css.cell}
                            title={says}
                            style={{ background: shade(cell, h.best?.rate) }}
                          >
                            <VisuallyHidden>{says}</VisuallyHidden>
                          </td>
                        );
                      })}
                    </tr>
                  ))}
                </tbody>
              </table>
            </Box>
            <Text size="xs" c="dimmed">
              {h.best
                ? `Best: ${dayNames[h.best.day]} ${hourSpan(h.best.hour)}, ${percent(h.best.rate)} of ${h.best.attempts} answered. `
                : ""}
              The stronger the colour, the more people answered; hours with fewer than {FEW} calls are pale. Last 28
              days, {zone}.
            </Text>
          </>
        );
      }}
    </Loaded>
  );
}

function shade(c: HeatCell, best: number | undefined): string | undefined {
  if (c.attempts === 0) return undefined;
  const share = best && c.attempts >= FEW ? c.answered / c.attempts / best : 0;
  return `color-mix(in srgb, var(--agent) ${Math.round(15 + share * 85)}%, var(--surface))`;
}
