import { ActionIcon, Button, Checkbox, Group, Select, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { Section } from "../../ui/Section";
import css from "./campaign.module.css";
import type { StepProps } from "./StepWho";
import { type Day, dayNames, days, readWeek, type Span, type Week, writeWeek, wrongSpans } from "./week";
import { fromWall, toWall, zones } from "./zone";

export function StepWhen({ form }: StepProps) {
  const { schedule } = form.values.settings;
  const date = (key: "starts" | "ends", label: string, description: string) => (
    <TextInput
      type="datetime-local"
      label={label}
      description={description}
      value={toWall(schedule[key], schedule.zone)}
      onChange={(e) =>
        form.setFieldValue(`settings.schedule.${key}`, fromWall(e.currentTarget.value, schedule.zone) ?? undefined)
      }
      error={form.errors[`settings.schedule.${key}`]}
    />
  );
  return (
    <Stack>
      <Section
        title="From when to when"
        lead="Both may stay empty: it begins when you start it, and ends when everybody is done."
      >
        <Select
          label="Time zone"
          description="The dates below and the campaign's days are counted by it"
          data={zones.includes(schedule.zone) ? zones : [schedule.zone, ...zones]}
          searchable
          allowDeselect={false}
          maw={360}
          {...form.getInputProps("settings.schedule.zone")}
        />
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          {date("starts", "Not before", "Empty: from the moment you start it")}
          {date("ends", "Nobody is called after", "Empty: until everybody is done")}
        </SimpleGrid>
      </Section>
      <Section
        title="Hours of the week"
        lead="On the clock of the person who is called, wherever they are. The rules of their place count as well: the stricter hours win, and holidays are kept."
      >
        <Hours
          hours={schedule.hours}
          change={(hours) => form.setFieldValue("settings.schedule.hours", hours)}
          error={form.errors["settings.schedule.hours"]}
        />
      </Section>
    </Stack>
  );
}

const office: Span = { from: "09:00", to: "18:00" };
type HoursProps = {
  hours: Record<string, string>;
  change: (h: Record<string, string>) => void;
  error?: React.ReactNode;
};

function Hours({ hours, change, error }: HoursProps) {
  const [week, setWeek] = useState<Week>(() => readWeek(hours));
  const own = Object.keys(hours).length > 0 || days.some((d) => week[d].length > 0);
  const set = (to: Week) => {
    setWeek(to);
    if (days.every((d) => !wrongSpans(to[d]))) change(writeWeek(to));
  };
  const setDay = (d: Day, spans: Span[]) => set({ ...week, [d]: spans });
  const all = (spans: Span[]) => Object.fromEntries(days.map((d) => [d, spans])) as Week;
  return (
    <Stack gap="xs">
      <Checkbox
        label="Whenever the rules of the place allow"
        description="Without hours of your own"
        checked={!own}
        onChange={(e) => set(e.currentTarget.checked ? all([]) : { ...all([office]), sat: [], sun: [] })}
      />
      {own && (
        <div>
          {days.map((d) => (
            <DayRow key={d} day={d} spans={week[d]} set={(spans) => setDay(d, spans)} />
          ))}
          <Group mt="sm" gap="xs">
            <Button
              size="xs"
              variant="default"
              onClick={() => set({ ...week, tue: week.mon, wed: week.mon, thu: week.mon, fri: week.mon })}
            >
              Monday's hours until Friday
            </Button>
          </Group>
        </div>
      )}
      {error && (
        <Text size="sm" c="red" role="alert">
          {error}
        </Text>
      )}
    </Stack>
  );
}

function DayRow({ day, spans, set }: { day: Day; spans: Span[]; set: (s: Span[]) => void }) {
  const name = dayNames[day];
  const problem = wrongSpans(spans);
  const put = (i: number, part: Partial<Span>) => set(spans.map((s, j) => (i === j ? { ...s, ...part } : s)));
  return (
    <div className={css.day}>
      <Checkbox
        label={name}
        mt={8}
        checked={spans.length > 0}
        onChange={(e) => set(e.currentTarget.checked ? [office] : [])}
      />
      <Stack gap={6}>
        {spans.length === 0 && (
          <Text size="sm" c="dimmed" mt={8}>
            Nobody is called
          </Text>
        )}
        {spans.map((s, i) => (
          <div className={css.span} key={`${day}-${i.toString()}`}>
            <TextInput
              type="time"
              aria-label={`${name}, from`}
              value={s.from}
              onChange={(e) => put(i, { from: e.currentTarget.value })}
              w={138}
            />
            <span aria-hidden>–</span>
            <TextInput
              type="time"
              aria-label={`${name}, until`}
              value={s.to}
              onChange={(e) => put(i, { to: e.currentTarget.value })}
              w={138}
            />
            {spans.length > 1 && (
              <ActionIcon
                variant="subtle"
                color="gray"
                aria-label={`Remove these hours of ${name}`}
                onClick={() => set(spans.filter((_, j) => j !== i))}
              >
                <IconX size={16} />
              </ActionIcon>
            )}
            {i === spans.length - 1 && spans.length < 4 && (
              <Button
                size="xs"
                variant="subtle"
                leftSection={<IconPlus size={14} />}
                aria-label={`More hours on ${name}`}
                onClick={() => set([...spans, { from: s.to, to: "" }])}
              >
                Hours
              </Button>
            )}
          </div>
        ))}
        {problem && (
          <Text size="xs" c="red">
            {problem}
          </Text>
        )}
      </Stack>
    </div>
  );
}
