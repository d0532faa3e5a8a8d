import {
  ActionIcon,
  Button,
  Group,
  NumberInput,
  Radio,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { Section } from "../../ui/Section";
import type { StepProps } from "./StepWho";
import { WebhookSecret } from "./WebhookSecret";
import { unbegun } from "./words";

const machineRules = [
  { value: "hangup", label: "Hang up", description: "And call again later, as the step before says" },
  { value: "message", label: "Leave a message", description: "After the tone" },
  {
    value: "talk",
    label: "Talk all the same",
    description: "Machines are not told from people. Nobody waits for the agent to find out, but it may talk to a tape",
  },
];

export function StepMachine({ form }: StepProps) {
  return (
    <Section title="When a machine answers" lead="It is told by how it sounds, within the first seconds.">
      <Radio.Group aria-label="When a machine answers" {...form.getInputProps("settings.voicemail.rule")}>
        <Stack gap="xs">
          {machineRules.map((r) => (
            <Radio key={r.value} {...r} />
          ))}
        </Stack>
      </Radio.Group>
      {form.values.settings.voicemail.rule === "message" && (
        <Textarea
          label="The message"
          placeholder="Hello, this is Lakeside Clinic. Please call us back at 030 123456."
          autosize
          minRows={3}
          maxLength={2000}
          required
          {...form.getInputProps("settings.voicemail.message")}
        />
      )}
    </Section>
  );
}

export function StepResults({ form, campaign }: StepProps) {
  const began = !unbegun(campaign.state);
  const money = (key: "perMinute" | "perCall" | "most", label: string, description: string) => (
    <NumberInput
      label={label}
      description={description}
      min={0}
      decimalScale={key === "most" ? 2 : 4}
      clampBehavior="none"
      {...form.getInputProps(`settings.budget.${key}`)}
    />
  );
  return (
    <Stack>
      <Section
        title="Cost"
        lead="Reckoned from the prices that you give here; your carrier is not asked. With a limit, the campaign pauses when it is spent."
      >
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <TextInput
            label="Currency"
            description={began ? "It stays as it was when the campaign began" : "Three letters, such as EUR"}
            maxLength={3}
            disabled={began}
            {...form.getInputProps("settings.budget.currency")}
            onChange={(e) => form.setFieldValue("settings.budget.currency", e.currentTarget.value.toUpperCase())}
          />
          {money("most", "Limit", "0: no limit")}
          {money("perMinute", "Price of a minute", "Reckoned by the second")}
          {money("perCall", "Price of an answered call", "Beside its minutes")}
        </SimpleGrid>
      </Section>
      <Section
        title="What results are called"
        lead="Agents give each call a result in their own words. Here they get the names that your report uses. Those not named stay as they are."
      >
        <Outcomes map={form.values.settings.outcomes} change={(m) => form.setFieldValue("settings.outcomes", m)} />
      </Section>
      <Section title="When it is over">
        <TextInput
          label="Tell this address"
          description="The campaign's figures are posted there as JSON. Empty: nobody is told"
          placeholder="https://crm.example.org/campaigns"
          maxLength={2000}
          {...form.getInputProps("settings.webhook")}
        />
        <WebhookSecret address={form.values.settings.webhook} />
      </Section>
    </Stack>
  );
}

type Pair = { key: number; from: string; to: string };

function Outcomes({ map, change }: { map: Record<string, string>; change: (m: Record<string, string>) => void }) {
  const [rows, setRows] = useState<Pair[]>(() => Object.entries(map).map(([from, to], key) => ({ key, from, to })));
  const set = (next: Pair[]) => {
    setRows(next);
    change(Object.fromEntries(next.filter((r) => r.from.trim()).map((r) => [r.from.trim(), r.to.trim()])));
  };
  const put = (key: number, part: Partial<Pair>) => set(rows.map((r) => (r.key === key ? { ...r, ...part } : r)));
  return (
    <Stack gap="xs">
      {rows.map((r) => (
        <Group key={r.key} wrap="nowrap" gap="xs">
          <TextInput
            aria-label="The agent's word"
            placeholder="appointment_booked"
            value={r.from}
            onChange={(e) => put(r.key, { from: e.currentTarget.value })}
            style={{ flex: 1 }}
          />
          <Text size="sm" aria-hidden>
            is
          </Text>
          <TextInput
            aria-label={`Name in the report of ${r.from || "the agent's word"}`}
            placeholder="Booked"
            value={r.to}
            onChange={(e) => put(r.key, { to: e.currentTarget.value })}
            style={{ flex: 1 }}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Remove ${r.from || "this row"}`}
            onClick={() => set(rows.filter((x) => x.key !== r.key))}
          >
            <IconX size={16} />
          </ActionIcon>
        </Group>
      ))}
      <Group>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconPlus size={14} />}
          onClick={() => setRows([...rows, { key: Math.max(-1, ...rows.map((r) => r.key)) + 1, from: "", to: "" }])}
        >
          Add a name
        </Button>
      </Group>
    </Stack>
  );
}
