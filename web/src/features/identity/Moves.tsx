import { Alert, Badge, Button, Group, Modal, Progress, Radio, Select, Stack, Table, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import type { SuperOrganisation } from "../../api/types";
import { count, when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { ended, type Move, useArrival, useCancelMove, useMove, useMoves, useRegions } from "./superApi";

type Place = { placement: string; region?: string };
const words = (p: Place) =>
  `${p.placement === "own" ? "a database of its own" : "the shared database"}${p.region ? ` in ${p.region}` : ""}`;

/** Where an organisation's data is, and how it is moved while people work. */
export function Moves({ o }: { o: SuperOrganisation }) {
  const moves = useMoves(o.id);
  const [open, dialog] = useDisclosure(false);
  const running = moves.data?.items.find((m) => !ended(m));
  const past = moves.data?.items.filter(ended) ?? [];
  useArrival(running !== undefined);
  return (
    <Section
      title="Where its data is"
      lead={`Now in ${words(o)}. It can move while people work and calls run: it is copied, compared, and then switched over.`}
      actions={
        moves.data &&
        !running && (
          <Button size="xs" variant="default" onClick={dialog.open}>
            Move it
          </Button>
        )
      }
    >
      <Loaded query={moves} rows={1}>
        {() => (
          <>
            {running && <Running o={o} move={running} />}
            {past.length > 0 && <Past moves={past} />}
            <More query={moves} />
          </>
        )}
      </Loaded>
      <Modal opened={open} onClose={dialog.close} title={`Move ${o.name}`}>
        <MoveForm o={o} close={dialog.close} />
      </Modal>
    </Section>
  );
}

const states: Record<Move["state"], string> = {
  waiting: "Waiting for its turn",
  copying: "Copying",
  switching: "Switching over",
  cleaning: "Moved; the old copy is being removed",
  moved: "Moved",
  rolled_back: "Taken back",
};

function Running({ o, move: m }: { o: SuperOrganisation; move: Move }) {
  const cancel = useCancelMove();
  const part = m.total > 0 ? Math.min(100, (m.rows / m.total) * 100) : 0;
  return (
    <Stack gap="xs" role="status">
      <Group justify="space-between">
        <Text fw={600} size="sm">
          {m.cancelling ? "Taking it back" : states[m.state]}: to {words(m.to)}
        </Text>
        {!m.cancelling && (m.state === "waiting" || m.state === "copying") && (
          <Button
            size="xs"
            variant="subtle"
            color="red"
            loading={cancel.isPending}
            onClick={() =>
              confirm({
                title: "Stop the move?",
                text: "The data stays where it is, and the copy made so far is removed.",
                action: "Stop it",
                onConfirm: () =>
                  cancel.mutate(o.id, { onSuccess: () => done("The move is being taken back."), onError: failed }),
              })
            }
          >
            Stop
          </Button>
        )}
      </Group>
      <Progress value={part} size={8} radius="xl" aria-label={`${Math.round(part)} percent of the rows are copied`} />
      <Text size="sm" c="dimmed">
        {m.total > 0
          ? `${m.rows.toLocaleString("en-GB")} of ${count(m.total, "row", "rows")}`
          : "The rows are being counted"}
        {m.changes > 0 && `, ${count(m.changes, "change", "changes")} made meanwhile brought along`}.
      </Text>
      {m.problem && (
        <Alert color="clay" variant="light" title="The last try failed; it is tried again each minute">
          {m.problem}
        </Alert>
      )}
    </Stack>
  );
}

function Past({ moves }: { moves: Move[] }) {
  return (
    <Listing minWidth={520} aria-label="Earlier moves">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Ended</Table.Th>
          <Table.Th>From</Table.Th>
          <Table.Th>To</Table.Th>
          <Table.Th>Outcome</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {moves.map((m) => (
          <Table.Tr key={m.id}>
            <Table.Td>{when(m.endedAt)}</Table.Td>
            <Table.Td>{words(m.from)}</Table.Td>
            <Table.Td>{words(m.to)}</Table.Td>
            <Table.Td>
              <Badge color={m.state === "moved" ? "pine" : "clay"}>{states[m.state]}</Badge>
              {m.problem && (
                <Text size="xs" c="dimmed">
                  {m.problem}
                </Text>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function MoveForm({ o, close }: { o: SuperOrganisation; close: () => void }) {
  const move = useMove();
  const regions = useRegions();
  const form = useForm({
    initialValues: { placement: (o.placement === "own" ? "shared" : "own") as "shared" | "own", region: "" },
  });
  const { placement, region } = form.values;
  const named = (regions.data?.items ?? []).filter((r) => r.name);
  const submit = form.onSubmit((v) =>
    move.mutate(
      { id: o.id, placement: v.placement, ...(v.placement === "own" && v.region ? { region: v.region } : {}) },
      {
        onSuccess: () => {
          done("The move has begun.");
          close();
        },
        onError: (e) => refuse(form, e),
      },
    ),
  );
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <Radio.Group label="To" {...form.getInputProps("placement")}>
          <Stack gap="xs" mt="xs">
            <Radio value="shared" label="The database shared with others" />
            <Radio value="own" label="A database of its own" />
          </Stack>
        </Radio.Group>
        {placement === "own" && named.length > 0 && (
          <Select
            label="Region"
            placeholder="The installation's own"
            clearable
            data={named.map((r) => r.name)}
            value={region || null}
            onChange={(v) => form.setFieldValue("region", v ?? "")}
            error={form.errors.region}
          />
        )}
        <Text size="sm" c="dimmed">
          People may go on working. At the end those who write wait for a moment. Until then you can stop it.
        </Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={move.isPending}>
            Move it
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
