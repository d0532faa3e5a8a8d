import { Button, Group, NumberInput, SimpleGrid, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Retention, RetentionSettings } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { since, words } from "../../ui/format";
import { confirm, done, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { useMay } from "../identity/api";
import { readRetention, useSetRetention } from "./api";
import { Holds } from "./Holds";
import { Persons } from "./Persons";

/** How long data is kept, what must not be deleted, and what one person may ask for. */
export function RetentionPage() {
  const may = useMay();
  return (
    <Page title="Retention" lead="What is past its term is deleted every day. What is under a legal hold stays.">
      <Section title="How long data is kept" lead="In days. Left empty, it is kept until somebody deletes it.">
        <Editing of={["retention"]} read={readRetention} stays>
          {(begun) => <Terms begun={begun} />}
        </Editing>
      </Section>
      {may("hold:read") && <Holds />}
      {(may("person:export") || may("person:erase")) && <Persons />}
    </Page>
  );
}

type Class = Exclude<keyof RetentionSettings, "$schema">;
const classes: { key: Class; label: string; about: string; min: number }[] = [
  { key: "recordingDays", label: "Recordings", about: "The sound", min: 1 },
  { key: "transcriptDays", label: "Transcripts", about: "What was said, in the search too", min: 1 },
  {
    key: "eventLogDays",
    label: "Event logs of calls",
    about: "They hold what was said: no longer than transcripts",
    min: 1,
  },
  { key: "callDays", label: "Calls", about: "The call itself, with everything of it", min: 1 },
  { key: "auditDays", label: "Audit trail", about: "At least a year", min: 365 },
];

function Terms({ begun }: { begun: Begun<Retention> }) {
  const retention = begun.value;
  const may = useMay()("retention:update");
  const set = useSetRetention();
  const form = useForm({
    initialValues: Object.fromEntries(classes.map((c) => [c.key, retention[c.key] ?? ""])) as Record<
      Class,
      number | ""
    >,
  });
  const save = async (v: Record<Class, number | "">) => {
    const mine = Object.fromEntries(
      classes.map((c) => [c.key, v[c.key] === "" ? null : v[c.key]]),
    ) as RetentionSettings;
    try {
      await begun.save(mine, (tag) => set.mutateAsync({ tag, ...mine }));
      done("Saved. The next daily run goes by it.");
    } catch (e) {
      refuse(form, e);
    }
  };
  const shorter = (v: Record<Class, number | "">) =>
    classes.some(({ key }) => v[key] !== "" && (retention[key] === null || Number(v[key]) < Number(retention[key])));
  return (
    <form
      noValidate
      onSubmit={form.onSubmit((v) => {
        if (!shorter(v)) return void save(v);
        confirm({
          title: "Keep data for a shorter time?",
          text: "What is older than the new term is deleted with the next daily run, and cannot be brought back.",
          action: "Shorten it",
          onConfirm: () => void save(v),
        });
      })}
    >
      <Stack>
        <SimpleGrid cols={{ base: 1, xs: 2, lg: 3 }}>
          {classes.map((c) => (
            <NumberInput
              key={c.key}
              label={c.label}
              description={c.about}
              placeholder="Kept"
              suffix=" days"
              min={c.min}
              max={36500}
              allowDecimal={false}
              readOnly={!may}
              {...form.getInputProps(c.key)}
            />
          ))}
        </SimpleGrid>
        {retention.lastRunAt && (
          <Text size="sm" c="dimmed">
            Last run {since(retention.lastRunAt)}: {runSummary(retention.lastRun)}
          </Text>
        )}
        {may && (
          <Group>
            <Button type="submit" loading={set.isPending} disabled={!form.isDirty()}>
              Save
            </Button>
          </Group>
        )}
      </Stack>
    </form>
  );
}

function runSummary(run: Retention["lastRun"]): string {
  const parts = Object.entries(run ?? {}).filter(([, n]) => n > 0);
  return parts.length === 0
    ? "nothing was past its term."
    : `${parts.map(([k, n]) => `${words(k)} ${n}`).join(", ")} deleted.`;
}
