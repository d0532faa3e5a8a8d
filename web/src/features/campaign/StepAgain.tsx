import { Checkbox, NumberInput, Select, SimpleGrid, Stack, Switch, Table, Text } from "@mantine/core";
import type { CampaignBackoff } from "../../api/types";
import { Listing } from "../../ui/Listing";
import { Section } from "../../ui/Section";
import type { StepProps } from "./StepWho";
import { minutesInWords, outcomes } from "./words";

/** After what somebody may be called again, with what a rule begins from. */
const rules: Record<string, CampaignBackoff> = {
  no_answer: { times: 3, minutes: 120, factor: 2, mostMinutes: 2880 },
  busy: { times: 3, minutes: 15, factor: 2, mostMinutes: 240 },
  machine: { times: 2, minutes: 240, factor: 2, mostMinutes: 2880 },
  message: { times: 1, minutes: 2880, factor: 1, mostMinutes: 2880 },
  rejected: { times: 1, minutes: 1440, factor: 1, mostMinutes: 1440 },
  failed: { times: 3, minutes: 5, factor: 3, mostMinutes: 240 },
  dropped: { times: 1, minutes: 4320, factor: 1, mostMinutes: 4320 },
  lost: { times: 2, minutes: 60, factor: 2, mostMinutes: 1440 },
};

export function StepAgain({ form }: StepProps) {
  const number = (key: "perDay" | "total", label: string, description: string) => (
    <NumberInput
      label={label}
      description={description}
      min={1}
      clampBehavior="none"
      {...form.getInputProps(`settings.retry.${key}`)}
    />
  );
  return (
    <Stack>
      <Section title="At most" lead="Whoever asked for another time is called then, beside these.">
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          {number("total", "Attempts to reach somebody", "As usual: 4 in all")}
          {number("perDay", "On one day", "As usual: 2, by the person's own day")}
        </SimpleGrid>
        <Switch
          label="At another hour, on another day"
          description="Whoever did not answer in the morning may be there in the evening"
          {...form.getInputProps("settings.retry.vary", { type: "checkbox" })}
        />
      </Section>
      <Section title="After what" lead="How often somebody is tried again, and how long is waited before.">
        <Listing minWidth={640} verticalSpacing="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>After</Table.Th>
              <Table.Th w={120}>More times</Table.Th>
              <Table.Th w={190}>First wait</Table.Th>
              <Table.Th>Then</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {Object.keys(rules).map((o) => (
              <Rule key={o} outcome={o} form={form} />
            ))}
          </Table.Tbody>
        </Listing>
      </Section>
    </Stack>
  );
}

const units = [
  { value: "1", label: "minutes" },
  { value: "60", label: "hours" },
  { value: "1440", label: "days" },
];

const unitOf = (minutes: number) =>
  minutes > 0 && minutes % 1440 === 0 ? 1440 : minutes > 0 && minutes % 60 === 0 ? 60 : 1;

function Rule({ outcome, form }: { outcome: string; form: StepProps["form"] }) {
  const on = form.values.settings.retry.on;
  const rule = on[outcome];
  const name = outcomes[outcome]?.label ?? outcome;
  const at = `settings.retry.on.${outcome}`;
  const put = (part: Partial<CampaignBackoff> | null) => {
    const { [outcome]: _, ...others } = on;
    const next =
      part === null ? others : { ...on, [outcome]: { ...(rule ?? (rules[outcome] as CampaignBackoff)), ...part } };
    form.setFieldValue("settings.retry.on", next);
  };
  const active = rule !== undefined && rule.times !== 0;
  const wait = (minutes: number) => put({ minutes, mostMinutes: Math.max(minutes, rule?.mostMinutes ?? minutes) });
  const unit = unitOf(rule?.minutes ?? 1);
  const error =
    ["times", "minutes", "factor", "mostMinutes"].map((k) => form.errors[`${at}.${k}`]).find(Boolean) ??
    form.errors[at];
  return (
    <Table.Tr>
      <Table.Td>
        <Checkbox
          label={name}
          description={outcomes[outcome]?.description || undefined}
          checked={active}
          onChange={(e) => put(e.currentTarget.checked ? (rules[outcome] as CampaignBackoff) : null)}
        />
        {error && (
          <Text size="xs" c="red" role="alert">
            {error}
          </Text>
        )}
      </Table.Td>
      {active && rule ? (
        <>
          <Table.Td>
            <NumberInput
              aria-label={`${name}: more times`}
              min={1}
              max={50}
              value={rule.times}
              onChange={(v) => put({ times: v as number })}
            />
          </Table.Td>
          <Table.Td>
            <div style={{ display: "flex", gap: 6 }}>
              <NumberInput
                aria-label={`${name}: first wait`}
                min={1}
                hideControls
                w={64}
                value={typeof rule.minutes === "number" ? rule.minutes / unit : ""}
                onChange={(v) => (typeof v === "number" ? wait(Math.round(v * unit)) : put({ minutes: v as never }))}
              />
              <Select
                aria-label={`${name}: unit of the wait`}
                data={units}
                allowDeselect={false}
                w={104}
                value={String(unit)}
                onChange={(u) => wait(Math.min(43_200, ((rule.minutes || 1) / unit) * Number(u)))}
              />
            </div>
          </Table.Td>
          <Table.Td>
            <Select
              aria-label={`${name}: waits after the first`}
              data={[
                { value: "1", label: "the same wait" },
                { value: "2", label: "twice as long each time" },
                { value: "3", label: "three times as long" },
                ...([1, 2, 3].includes(rule.factor)
                  ? []
                  : [{ value: String(rule.factor), label: `${rule.factor} times as long` }]),
              ]}
              allowDeselect={false}
              value={String(rule.factor)}
              onChange={(f) =>
                put({
                  factor: Number(f),
                  mostMinutes:
                    Number(f) > 1 ? Math.min(43_200, Math.max(rule.mostMinutes, rule.minutes * 8)) : rule.mostMinutes,
                })
              }
            />
            {rule.factor > 1 && (
              <Text size="xs" c="dimmed" mt={2}>
                at most {minutesInWords(rule.mostMinutes)}
              </Text>
            )}
          </Table.Td>
        </>
      ) : (
        <Table.Td colSpan={3}>
          <Text size="sm" c="dimmed">
            None
          </Text>
        </Table.Td>
      )}
    </Table.Tr>
  );
}
