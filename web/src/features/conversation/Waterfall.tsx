import { Group, Paper, Text, Tooltip } from "@mantine/core";
import { IconHourglassEmpty } from "@tabler/icons-react";
import { latency } from "../../ui/format";
import { Empty, Loaded } from "../../ui/states";
import { useTurns } from "./api";
import css from "./conversation.module.css";
import { axisEnd, type Segment, segments, stepNames, wait } from "./waterfall";

/** For each turn, what the time between the caller's last word and the agent's first was spent on. */
export function Waterfall({ id }: { id: string }) {
  const turns = useTurns(id);
  return (
    <Loaded query={turns}>
      {({ items }) => {
        const shown = items.filter((t) => segments(t).length > 0);
        if (shown.length === 0) {
          return (
            <Empty
              icon={<IconHourglassEmpty size={22} />}
              title="No turns to time"
              text="The caller said nothing that was answered. Each answer is timed from the end of speech to the first frame sent."
            />
          );
        }
        const end = axisEnd(shown);
        return (
          <Paper p="md">
            <Group gap="lg" mb="sm">
              {(Object.keys(stepNames) as Segment["step"][]).map((s) => (
                <Text key={s} size="xs">
                  <i className={`${css.swatch} ${css[s]}`} />
                  {stepNames[s]}
                </Text>
              ))}
            </Group>
            {shown.map((t) => (
              <div key={t.turn} className={css.turn}>
                <Text size="sm" truncate title={t.callerText}>
                  <Text span c="dimmed" className="num">
                    {t.turn}
                  </Text>{" "}
                  {t.callerText || (t.turn === 0 ? "Greeting" : "…")}
                </Text>
                <div className={css.bar}>
                  {segments(t).map((s) => (
                    <Tooltip
                      key={s.step}
                      label={`${stepNames[s.step]}: ${latency(s.to - s.from)}, at ${latency(s.to)}`}
                    >
                      <i
                        className={css[s.step]}
                        style={{ left: `${(s.from / end) * 100}%`, width: `${((s.to - s.from) / end) * 100}%` }}
                      />
                    </Tooltip>
                  ))}
                </div>
                <Text size="sm" ta="right" className="num" fw={600}>
                  {latency(wait(t))}
                </Text>
              </div>
            ))}
            <div className={css.turn}>
              <span />
              <Group justify="space-between">
                {[0, 0.5, 1].map((f) => (
                  <Text key={f} size="xs" c="dimmed" className="num">
                    {latency(end * f)}
                  </Text>
                ))}
              </Group>
              <span />
            </div>
          </Paper>
        );
      }}
    </Loaded>
  );
}
