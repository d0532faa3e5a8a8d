import { Group, Paper, Progress, SimpleGrid, Text } from "@mantine/core";
import type { LimitsView } from "../../api/types";
import { day } from "../../ui/format";
import { Page } from "../../ui/Page";
import { Loaded } from "../../ui/states";
import { amount, kinds, share } from "./limits";
import { useLimits } from "./organisationApi";

/** What the organisation may have, and what it has. */
export function LimitsPage() {
  const limits = useLimits();
  return (
    <Page
      title="Limits and use"
      lead={limits.data?.plan ? `Your plan is ${limits.data.plan.name}.` : "What you may have, and what you have."}
    >
      <Loaded query={limits}>
        {(data) => (
          <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
            {kinds.map((k) => (
              <Meter key={k.key} kind={k} data={data} />
            ))}
          </SimpleGrid>
        )}
      </Loaded>
      <Text size="sm" c="dimmed">
        Whoever runs the installation sets the limits. Beyond one, new things are refused with a message that says so;
        what there is stays.
      </Text>
    </Page>
  );
}

function Meter({ kind, data }: { kind: (typeof kinds)[number]; data: LimitsView }) {
  const limit = data.limits[kind.key];
  const use = data.use[kind.key];
  const part = share(use, limit);
  const full = part !== null && part >= 1;
  return (
    <Paper p="md" component="section" aria-label={kind.label}>
      <Text size="sm" c="dimmed">
        {kind.label}
        {kind.key === "minutes" && ` since ${day(data.monthStart)}`}
        {kind.key === "requestsPerMinute" && use !== null && ", used up now"}
      </Text>
      <Group gap={6} align="baseline" mt={2}>
        <Text fz="1.7rem" fw={600} className="num" ff="heading">
          {use === null ? "–" : amount(kind.key, use)}
        </Text>
        <Text size="sm" c="dimmed">
          {limit === undefined ? "no limit" : `of ${amount(kind.key, limit)}`}
        </Text>
      </Group>
      {part !== null && (
        <Progress
          mt="xs"
          size={8}
          radius="xl"
          value={Math.min(100, part * 100)}
          color={full ? "red" : part >= 0.8 ? "clay" : "pine"}
          aria-label={`${kind.label}: ${Math.round(part * 100)} percent of the limit`}
        />
      )}
      {full && (
        <Text size="sm" mt={6} fw={600}>
          The limit is reached.
        </Text>
      )}
    </Paper>
  );
}
