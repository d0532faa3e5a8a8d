import { Anchor, Button, Center, Group, Paper, Select, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconArrowDownLeft, IconArrowUpRight, IconPhoneCall, IconSearch } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import type { Call } from "../../api/types";
import { useRooms } from "../../realtime/hooks";
import { clock, latency, when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useAgents } from "../agent/api";
import { callerName, useCalls } from "./api";
import { CallStatus, channelNames } from "./CallStatus";
import { type CallFilters, readFilters } from "./filters";

export function CallsPage() {
  const filters = useSearch({ from: "/app/calls" });
  const navigate = useNavigate({ from: "/calls" });
  const queries = useQueryClient();
  const calls = useCalls(filters);
  const refresh = useDebouncedCallback(() => queries.invalidateQueries({ queryKey: ["calls", "list"] }), 400);
  useRooms(["org"], (e) => {
    if (e.type.startsWith("call:")) refresh();
  });
  const filtered = Object.keys(filters).length > 0;
  const set = (change: Record<string, string>) =>
    navigate({
      search: (old) => readFilters({ ...old, ...change }),
      replace: true,
    });
  return (
    <Page title="Calls" lead="Everything that was said, and how fast it was answered." wide>
      <Filters filters={filters} set={set} />
      <Paper p={0} style={{ overflow: "hidden" }}>
        <Loaded query={calls} rows={8}>
          {(data) => {
            const items = data.pages.flatMap((p) => p.items);
            if (items.length === 0) return <NoCalls filtered={filtered} clear={() => navigate({ search: {} })} />;
            return (
              <>
                <CallTable calls={items} />
                {calls.hasNextPage && (
                  <Center p="md">
                    <Button variant="default" onClick={() => calls.fetchNextPage()} loading={calls.isFetchingNextPage}>
                      Show older calls
                    </Button>
                  </Center>
                )}
              </>
            );
          }}
        </Loaded>
      </Paper>
    </Page>
  );
}

function Filters({ filters, set }: { filters: CallFilters; set: (f: Record<string, string>) => void }) {
  const agents = useAgents();
  const [q, setQ] = useState(filters.q ?? "");
  useEffect(() => setQ(filters.q ?? ""), [filters.q]);
  const search = useDebouncedCallback((v: string) => set({ q: v.trim() }), 350);
  const choice = (key: keyof CallFilters, label: string, data: { value: string; label: string }[]) => (
    <Select
      aria-label={label}
      placeholder={label}
      clearable
      data={data}
      value={filters[key] ?? null}
      onChange={(v) => set({ [key]: v ?? "" })}
      w={{ base: "calc(50% - 6px)", sm: 158 }}
    />
  );
  return (
    <Group gap={12}>
      <TextInput
        data-search
        aria-label="Search in calls"
        placeholder="Search what was said, a name, a number"
        leftSection={<IconSearch size={16} />}
        value={q}
        onChange={(e) => {
          setQ(e.currentTarget.value);
          search(e.currentTarget.value);
        }}
        w={{ base: "100%", sm: 300 }}
      />
      {choice("status", "Any state", [
        { value: "in_progress", label: "Live" },
        { value: "ringing", label: "Ringing" },
        { value: "queued", label: "Queued" },
        { value: "ended", label: "Ended" },
      ])}
      {choice(
        "channel",
        "Any channel",
        Object.entries(channelNames).map(([value, label]) => ({ value, label })),
      )}
      {choice("direction", "Either direction", [
        { value: "inbound", label: "Inbound" },
        { value: "outbound", label: "Outbound" },
      ])}
      {choice(
        "agentId",
        "Any agent",
        (agents.data?.items ?? []).map((a) => ({ value: a.id, label: a.name })),
      )}
      <TextInput
        type="date"
        aria-label="From day"
        value={filters.from ?? ""}
        onChange={(e) => set({ from: e.currentTarget.value })}
        w={{ base: "calc(50% - 6px)", sm: 150 }}
      />
      <TextInput
        type="date"
        aria-label="To day"
        value={filters.to ?? ""}
        onChange={(e) => set({ to: e.currentTarget.value })}
        w={{ base: "calc(50% - 6px)", sm: 150 }}
      />
    </Group>
  );
}

function NoCalls({ filtered, clear }: { filtered: boolean; clear: () => void }) {
  if (filtered) {
    return (
      <Empty
        icon={<IconSearch size={22} />}
        title="No call is like that"
        text="Widen the search or take a filter away."
        action={
          <Button variant="default" onClick={clear}>
            Show all calls
          </Button>
        }
      />
    );
  }
  return (
    <Empty
      icon={<IconPhoneCall size={22} />}
      title="No calls yet"
      text="Talk to an agent in the browser, or call one from any SIP phone. The call is listed here while it goes on."
      action={
        <Button component={Link} to="/agents">
          Choose an agent to talk to
        </Button>
      }
    />
  );
}

export function CallTable({ calls }: { calls: Call[] }) {
  const navigate = useNavigate();
  return (
    <Listing flush minWidth={320} horizontalSpacing="md">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Caller</Table.Th>
          <Table.Th visibleFrom="sm">Agent</Table.Th>
          <Table.Th>Began</Table.Th>
          <Table.Th ta="right" visibleFrom="sm">
            Length
          </Table.Th>
          <Table.Th ta="right" visibleFrom="md">
            Turns
          </Table.Th>
          <Table.Th ta="right" visibleFrom="md">
            Answered in (p50)
          </Table.Th>
          <Table.Th>State</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {calls.map((c) => (
          <Table.Tr
            key={c.id}
            className="rowlink"
            onClick={() => navigate({ to: "/calls/$callId", params: { callId: c.id } })}
          >
            <Table.Td>
              <Group gap={10} wrap="nowrap">
                {c.direction === "outbound" ? (
                  <IconArrowUpRight size={17} color="var(--agent)" aria-label="Outbound" />
                ) : (
                  <IconArrowDownLeft size={17} color="var(--caller)" aria-label="Inbound" />
                )}
                <div>
                  <Anchor
                    renderRoot={(p) => <Link {...p} to="/calls/$callId" params={{ callId: c.id }} />}
                    c="inherit"
                    fw={600}
                    onClick={(e) => e.stopPropagation()}
                  >
                    {callerName(c)}
                  </Anchor>
                  <Text size="xs" c="dimmed">
                    {channelNames[c.channel] ?? c.channel}
                    <Text span inherit hiddenFrom="sm">
                      {c.agentName && `, with ${c.agentName}`}
                      {c.answeredAt && `, ${clock(c.durationMs)}`}
                    </Text>
                  </Text>
                </div>
              </Group>
            </Table.Td>
            <Table.Td visibleFrom="sm">{c.agentName || c.agentSlug || "–"}</Table.Td>
            <Table.Td>{when(c.startedAt)}</Table.Td>
            <Table.Td ta="right" className="num" visibleFrom="sm">
              {c.answeredAt ? clock(c.durationMs) : "–"}
            </Table.Td>
            <Table.Td ta="right" className="num" visibleFrom="md">
              {c.turns}
            </Table.Td>
            <Table.Td ta="right" className="num" visibleFrom="md">
              {latency(c.latency.p50Ms)}
            </Table.Td>
            <Table.Td>
              <CallStatus call={c} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}
