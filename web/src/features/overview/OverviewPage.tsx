import { Anchor, Button, Group, Paper, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useDebouncedCallback, useInterval } from "@mantine/hooks";
import { IconMicrophone } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import type { Call, Overview } from "../../api/types";
import { useRooms } from "../../realtime/hooks";
import { Copy } from "../../ui/Copy";
import { clock, latency } from "../../ui/format";
import { Page } from "../../ui/Page";
import { Failed, Loaded, Rows } from "../../ui/states";
import { useAgents } from "../agent/api";
import { callerName } from "../conversation/api";
import { CallStatus } from "../conversation/CallStatus";
import { useSip } from "../identity/api";
import { useLiveCalls, useOverview } from "./api";
import { Hours } from "./Hours";
import css from "./overview.module.css";

export function OverviewPage() {
  const overview = useOverview();
  const queries = useQueryClient();
  const refresh = useDebouncedCallback(() => {
    void queries.invalidateQueries({ queryKey: ["overview"] });
    void queries.invalidateQueries({ queryKey: ["calls", "list", "live"] });
  }, 300);
  useRooms(["org"], (e) => {
    if (e.type === "call:status") {
      const { callId, activity, status } = e.data as { callId: string; activity?: string; status: string };
      queries.setQueryData<{ items: Call[]; next: string | null }>(["calls", "list", "live"], (old) =>
        old ? { ...old, items: old.items.map((c) => (c.id === callId ? { ...c, activity: activity ?? "" } : c)) } : old,
      );
      if (status === "in_progress") return;
    }
    if (e.type.startsWith("call:")) refresh();
  });
  return (
    <Page title="Overview" lead={new Date().toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" })}>
      <Loaded query={overview} skeleton={<Rows n={3} height={120} />}>
        {(o) => (
          <>
            <Figures overview={o} />
            <div className={css.columns}>
              <Stack gap="lg">
                <LiveCalls />
                <Paper p="md">
                  <Title order={2} size="h3" mb="md">
                    Calls by hour
                  </Title>
                  <Hours perHour={o.perHour} />
                </Paper>
              </Stack>
              <TryIt />
            </div>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Figures({ overview }: { overview: Overview }) {
  const { today } = overview;
  const figures = [
    { label: "Live now", value: String(overview.live), hint: "calls going on" },
    { label: "Calls today", value: String(today.calls), hint: `${today.answered} answered` },
    { label: "Length", value: today.avgDurationMs ? clock(today.avgDurationMs) : "–", hint: "on average, today" },
    {
      label: "Answers in",
      value: latency(today.p50LatencyMs),
      hint:
        today.p95LatencyMs === null
          ? "end of speech to first sound"
          : `95 of 100 within ${latency(today.p95LatencyMs)}`,
    },
  ];
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} spacing="md">
      {figures.map((f, i) => (
        <Paper key={f.label} p="md" data-live={i === 0 && overview.live > 0 ? true : undefined} className={css.figure}>
          <Text size="sm" c="dimmed" fw={500}>
            {f.label}
          </Text>
          <Text className={`${css.value} num`}>{f.value}</Text>
          <Text size="xs" c="dimmed">
            {f.hint}
          </Text>
        </Paper>
      ))}
    </SimpleGrid>
  );
}

function LiveCalls() {
  const live = useLiveCalls();
  const [, tick] = useState(0);
  const timer = useInterval(() => tick((n) => n + 1), 1000);
  const any = (live.data?.items.length ?? 0) > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the clock runs while there is something to time
  useEffect(() => {
    if (any) timer.start();
    return timer.stop;
  }, [any]);
  return (
    <Paper p="md">
      <Title order={2} size="h3" mb="sm">
        Live calls
      </Title>
      <Loaded query={live} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <Text c="dimmed" size="sm">
              Nobody is on the line. A call is shown here the moment it reaches Parley.
            </Text>
          ) : (
            <Stack gap={4}>
              {items.map((c) => (
                <Link key={c.id} to="/calls/$callId" params={{ callId: c.id }} className={css.live}>
                  <span className={css.pulse} data-activity={c.activity} aria-hidden />
                  <span className={css.grow}>
                    <b>{callerName(c)}</b> with {c.agentName || c.agentSlug}
                  </span>
                  <CallStatus call={c} />
                  <span className="num">{clock(Date.now() - new Date(c.answeredAt ?? c.startedAt).getTime())}</span>
                </Link>
              ))}
            </Stack>
          )
        }
      </Loaded>
    </Paper>
  );
}

function TryIt() {
  const sipOf = useSip();
  const query = useAgents();
  if (!query.data)
    return query.isError ? <Failed error={query.error} retry={() => query.refetch()} /> : <Rows n={1} height={260} />;
  const agents = query.data.items.filter((a) => a.publishedVersion !== null);
  const agent = agents.find((a) => a.slug === "front-desk") ?? agents[0];
  if (!agent) {
    return (
      <Paper p="lg" className={css.tryit}>
        <Title order={2}>Make your first agent</Title>
        <Text size="sm" my="sm">
          An agent answers at an address of its own, by SIP phone and in the browser.
        </Text>
        <Button component={Link} to="/agents">
          Go to agents
        </Button>
      </Paper>
    );
  }
  const sip = sipOf(agent.slug);
  return (
    <Paper p="lg" className={css.tryit}>
      <Title order={2}>Try it now</Title>
      <Text size="sm" mt={6} mb="md">
        Talk to <b>{agent.name}</b> from this page. Ask for the opening hours, or book an appointment.
      </Text>
      <Button
        renderRoot={(p) => <Link {...p} to="/agents/$agentId" params={{ agentId: agent.id }} search={{ talk: true }} />}
        leftSection={<IconMicrophone size={17} />}
        size="md"
      >
        Talk in the browser
      </Button>
      <Text size="sm" mt="lg" mb={2} fw={600}>
        Or from any SIP phone
      </Text>
      <Copy value={sip} label="the SIP address" />
      <Text size="sm" mt="md" mb={2} fw={600}>
        Or from the terminal
      </Text>
      <Copy value={`bin/parley call ${sip} --wav file.wav`} label="the command" />
      <Group mt="lg" gap="md">
        {agents.length > 1 && (
          <Anchor renderRoot={(p) => <Link {...p} to="/agents" />} size="sm">
            All {agents.length} agents
          </Anchor>
        )}
        <Anchor renderRoot={(p) => <Link {...p} to="/phones" />} size="sm">
          Connect a phone
        </Anchor>
      </Group>
    </Paper>
  );
}
