import { Button, Center, Code, Group, Paper, Select, Table, Text } from "@mantine/core";
import { IconListDetails } from "@tabler/icons-react";
import { useState } from "react";
import type { Entry } from "../../api/types";
import { Listing } from "../../ui/Listing";
import { Empty, Loaded } from "../../ui/states";
import { useEvents } from "./api";

const kinds = [
  "call.answered", "call.ended", "signal", "frames.digest", "vad.start", "vad.end", "turn.end_of_speech", "turn.backchannel",
  "stt.partial", "stt.final", "llm.first_token", "llm.done", "tts.first_audio", "playout.first_frame", "playout.paused",
  "playout.resumed", "playout.cut", "agent.said", "caller.text", "dtmf", "tool.call", "tool.result", "flow.node", "activity",
  "hold", "filler", "apology", "idle", "answerer", "disclosure", "message", "outcome", "vendor.error", "alert",
]; // biome-ignore format: a list of names

/** The call's event log. */
export function Events({ id }: { id: string }) {
  const [kind, setKind] = useState<string | null>(null);
  const events = useEvents(id, kind ?? "");
  return (
    <>
      <Group mb="sm">
        <Select
          aria-label="Kind of event"
          placeholder="Every kind"
          data={kinds}
          value={kind}
          onChange={setKind}
          clearable
          searchable
          w={220}
        />
      </Group>
      <Loaded query={events} rows={8}>
        {(data) => {
          const items = data.pages.flatMap((p) => p.items);
          if (items.length === 0) {
            return (
              <Empty
                icon={<IconListDetails size={22} />}
                title="No events"
                text={kind ? `Nothing of the kind ${kind} happened.` : "The log is empty so far."}
              />
            );
          }
          return (
            <Paper p={0} style={{ overflow: "hidden" }}>
              <Listing flush minWidth={620} verticalSpacing={6} horizontalSpacing="md">
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th w={90}>At</Table.Th>
                    <Table.Th w={60}>Turn</Table.Th>
                    <Table.Th w={170}>Kind</Table.Th>
                    <Table.Th>What</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((e) => (
                    <Row key={e.seq} entry={e} />
                  ))}
                </Table.Tbody>
              </Listing>
              {events.hasNextPage && (
                <Center p="md">
                  <Button variant="default" onClick={() => events.fetchNextPage()} loading={events.isFetchingNextPage}>
                    Show more
                  </Button>
                </Center>
              )}
            </Paper>
          );
        }}
      </Loaded>
    </>
  );
}

function Row({ entry }: { entry: Entry }) {
  const data = Object.entries(entry.data ?? {}).filter(([k]) => k !== "raw");
  return (
    <Table.Tr>
      <Table.Td className="num mono">{(entry.atUs / 1e6).toFixed(3)}</Table.Td>
      <Table.Td className="num">{entry.turn ?? ""}</Table.Td>
      <Table.Td className="mono">{entry.kind}</Table.Td>
      <Table.Td>
        {entry.text && <Text size="sm">{entry.text}</Text>}
        {data.length > 0 && (
          <Group gap={6}>
            {data.map(([k, v]) => (
              <Code key={k} style={{ overflowWrap: "anywhere" }}>
                {k}: {String(typeof v === "object" ? JSON.stringify(v) : v).slice(0, 200)}
              </Code>
            ))}
          </Group>
        )}
      </Table.Td>
    </Table.Tr>
  );
}
