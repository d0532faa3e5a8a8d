import { Badge, Button, Group, Progress, Stack, Table, Text } from "@mantine/core";
import { useEffect, useRef } from "react";
import type { LeadImport } from "../../api/types";
import { count, when, words } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { confirm, done, failed } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { save } from "../../ui/save";
import { useMay } from "../identity/api";
import { useRefresh } from "./api";
import { moving, useCancelImport, useImport, useImports, useRejects, useUndoImport } from "./importApi";

const states: Record<LeadImport["state"], string> = {
  uploaded: "Waits for you",
  waiting: "Begins soon",
  running: "Being read",
  done: "Read",
  failed: "Failed",
  cancelled: "Cancelled",
  undoing: "Being taken back",
  undone: "Taken back",
};

const colours: Partial<Record<LeadImport["state"], string>> = {
  done: "pine",
  failed: "red",
  running: "blue",
  waiting: "blue",
};

/** An import as it moves; what is shown of its campaign is read again when it has come to rest. */
function useMoving(campaignId: string, begun: LeadImport): LeadImport {
  const i = useImport(campaignId, begun.id, begun).data ?? begun;
  const refresh = useRefresh();
  const was = useRef(i.state);
  useEffect(() => {
    if (was.current !== i.state && !moving(i)) void refresh();
    was.current = i.state;
  }, [i, refresh]);
  return i;
}

/** How far an import is, and what came of it. */
export function ImportState({ campaignId, begun }: { campaignId: string; begun: LeadImport }) {
  const i = useMoving(campaignId, begun);
  return (
    <Stack gap="xs">
      <Group gap="xs" role="status">
        <Text size="sm" fw={600}>
          {i.name}
        </Text>
        <Badge color={colours[i.state] ?? "gray"}>{states[i.state]}</Badge>
      </Group>
      {moving(i) && (
        <Progress value={i.percent ?? 100} animated={i.percent === null || i.percent < 100} aria-label="Read so far" />
      )}
      <Counts of={i} />
      {i.error && (
        <Text size="sm" c="red">
          {i.error}
        </Text>
      )}
      <ImportActions campaignId={campaignId} of={i} />
    </Stack>
  );
}

function Counts({ of: i }: { of: LeadImport }) {
  const parts = [
    `${count(i.added, "person", "people")} added`,
    i.duplicates > 0 && `${i.duplicates.toLocaleString("en-GB")} on the list already`,
    i.inOtherCampaigns > 0 && `${i.inOtherCampaigns.toLocaleString("en-GB")} in other campaigns`,
    i.rejected > 0 && `${i.rejected.toLocaleString("en-GB")} cannot be called`,
    i.removed > 0 && `${i.removed.toLocaleString("en-GB")} taken back`,
  ].filter(Boolean);
  return (
    <Text size="sm" className="num">
      {parts.join(", ")}
      {moving(i) && ` (of ${i.rows.toLocaleString("en-GB")} lines so far)`}
    </Text>
  );
}

function ImportActions({ campaignId, of: i }: { campaignId: string; of: LeadImport }) {
  const may = useMay()("campaign:import");
  const cancel = useCancelImport();
  const undo = useUndoImport();
  const rejects = useRejects();
  const one = { id: campaignId, importId: i.id };
  return (
    <Group gap="xs">
      {i.rejected > 0 && !moving(i) && (
        <Button
          size="xs"
          variant="default"
          loading={rejects.isPending}
          onClick={() => rejects.mutate(one, { onSuccess: (b) => save(b, `rejected-${i.name}.csv`), onError: failed })}
        >
          Download the lines that cannot be called
        </Button>
      )}
      {may && (i.state === "running" || i.state === "waiting" || i.state === "uploaded") && (
        <Button
          size="xs"
          variant="default"
          loading={cancel.isPending}
          onClick={() =>
            cancel.mutate(one, {
              onSuccess: () => done("It is cancelled. Who was added stays on the list."),
              onError: failed,
            })
          }
        >
          Cancel
        </Button>
      )}
      {may && (i.state === "done" || i.state === "cancelled" || i.state === "failed") && i.added > 0 && (
        <Button
          size="xs"
          variant="subtle"
          color="red"
          onClick={() =>
            confirm({
              title: `Take ${i.name} back?`,
              text: "Everybody whom this file added is taken off the list, but for those who were called already.",
              action: "Take it back",
              onConfirm: () => undo.mutate(one, { onSuccess: () => done("It is being taken back."), onError: failed }),
            })
          }
        >
          Undo
        </Button>
      )}
    </Group>
  );
}

/** The files that were brought before. */
export function Imports({ campaignId }: { campaignId: string }) {
  const imports = useImports(campaignId);
  const items = imports.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <Section title="Files that were brought">
      <Listing minWidth={620} aria-label="Files that were brought">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>File</Table.Th>
            <Table.Th>When</Table.Th>
            <Table.Th>State</Table.Th>
            <Table.Th>What came of it</Table.Th>
            <Table.Th aria-label="Actions" />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {items.map((i) => (
            <Row key={i.id} campaignId={campaignId} begun={i} />
          ))}
        </Table.Tbody>
      </Listing>
      <More query={imports} />
    </Section>
  );
}

function Row({ campaignId, begun }: { campaignId: string; begun: LeadImport }) {
  const i = useMoving(campaignId, begun);
  return (
    <Table.Tr>
      <Table.Td style={{ overflowWrap: "anywhere" }}>{i.name}</Table.Td>
      <Table.Td>{when(i.createdAt)}</Table.Td>
      <Table.Td>
        <Badge color={colours[i.state] ?? "gray"}>{states[i.state] ?? words(i.state)}</Badge>
      </Table.Td>
      <Table.Td>
        <Counts of={i} />
      </Table.Td>
      <Table.Td>
        <ImportActions campaignId={campaignId} of={i} />
      </Table.Td>
    </Table.Tr>
  );
}
