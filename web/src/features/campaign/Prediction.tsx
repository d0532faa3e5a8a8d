import { Alert, SimpleGrid, Text } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import type { Preflight } from "../../api/types";
import { Section } from "../../ui/Section";
import css from "./campaign.module.css";
import { money, percent, ruleName } from "./words";

type Simulation = NonNullable<Preflight["prediction"]>;
type Interval = Simulation["hours"];

/** How a simulation expects the campaign to go. */
export function Prediction({ of: s, currency }: { of: Simulation; currency: string }) {
  const whole = (n: number) => Math.round(n).toLocaleString("en-GB");
  const figures: [string, Interval, (n: number) => string][] = [
    ["Takes", s.hours, duration],
    ["Calls", s.attempts, whole],
    ["People spoken to", s.spoken, whole],
    ["Calls at once, at most", s.lines, whole],
    ["Answered and dropped", s.dropped, (n) => percent(n, 1)],
    ["Cost", s.cost, (n) => money(n, currency)],
  ];
  return (
    <Section
      title="What to expect"
      lead={`The campaign was played ${s.runs} times with made-up people${s.scale > 1 ? `, every ${Math.round(s.scale)}th of the list` : ""}. How yours behave, nobody knows: take it as an estimate.`}
    >
      {(s.breaks ?? []).length > 0 && (
        <Alert color="red" variant="light" icon={<IconAlertTriangle size={20} />} title="It would break a rule">
          {(s.breaks ?? []).map((b) => (
            <Text key={b.rule} size="sm">
              {ruleName(b.rule)}: {b.says}
            </Text>
          ))}
        </Alert>
      )}
      <SimpleGrid cols={{ base: 2, sm: 3 }}>
        {figures.map(([label, i, write]) => (
          <div key={label}>
            <Text size="sm" c="dimmed">
              {label}
            </Text>
            <Text className={`${css.value} num`}>{write(i.median)}</Text>
            <Text size="xs" c="dimmed" className="num">
              {write(i.low) === write(i.high) ? "in every run" : `${write(i.low)} to ${write(i.high)}`}
            </Text>
          </div>
        ))}
      </SimpleGrid>
      {s.finished < 0.995 && (
        <Text size="sm">In {percent(1 - s.finished)} of the runs the campaign was over before everybody was done.</Text>
      )}
    </Section>
  );
}

/** 30.5 → "1.3 days". */
export function duration(hours: number): string {
  if (hours < 1) return `${Math.round(hours * 60)} min`;
  if (hours < 24) return `${hours.toFixed(1)} h`;
  return `${(hours / 24).toFixed(1)} days`;
}
