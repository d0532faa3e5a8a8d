import { Text } from "@mantine/core";
import { Fragment } from "react";
import css from "./campaign.module.css";

export type Tally = { name: string; n: number; hint?: string };

/** Counts as bars, the largest first. */
export function Tallies({ of, empty }: { of: Tally[]; empty: string }) {
  const rows = of.filter((t) => t.n > 0).sort((a, b) => b.n - a.n);
  const all = rows.reduce((sum, t) => sum + t.n, 0);
  const most = rows[0]?.n ?? 1;
  if (rows.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        {empty}
      </Text>
    );
  }
  return (
    <dl className={css.bars}>
      {rows.map((t) => (
        <Fragment key={t.name}>
          <dt>
            <Text size="sm" title={t.hint}>
              {t.name}
            </Text>
          </dt>
          <dd className={css.bar} aria-hidden>
            <i style={{ width: `${(t.n / most) * 100}%` }} />
          </dd>
          <dd>
            <Text size="sm" className="num">
              {t.n.toLocaleString("en-GB")}{" "}
              <Text span size="xs" c="dimmed">
                {Math.round((t.n / all) * 100)} %
              </Text>
            </Text>
          </dd>
        </Fragment>
      ))}
    </dl>
  );
}
