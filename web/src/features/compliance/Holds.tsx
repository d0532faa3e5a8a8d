import { Badge, Button, Group, Modal, Select, Stack, Switch, Table, Text, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconPlus } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import type { LegalHold } from "../../api/types";
import { since, when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { done, failed, refuse } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useNames } from "../identity/peopleApi";
import { useHold, useHolds, useRelease } from "./api";

/** Data that nothing deletes, neither retention nor erasure. */
export function Holds() {
  const may = useMay();
  const [released, setReleased] = useState(false);
  const holds = useHolds(released);
  const [open, setOpen] = useState(false);
  const [ending, end] = useState<LegalHold | null>(null);
  return (
    <Section
      title="Legal holds"
      lead="What is held is deleted neither by its term nor by an erasure, until the hold is released."
      actions={
        <>
          <Switch label="Released ones too" checked={released} onChange={(e) => setReleased(e.currentTarget.checked)} />
          {may("hold:create") && (
            <Button size="xs" variant="default" leftSection={<IconPlus size={14} />} onClick={() => setOpen(true)}>
              New hold
            </Button>
          )}
        </>
      }
    >
      <Loaded query={holds} rows={1}>
        {(data) =>
          data.items.length === 0 ? (
            <Text size="sm" c="dimmed">
              Nothing is held.
            </Text>
          ) : (
            <HoldTable holds={data.items} end={may("hold:release") ? end : undefined} />
          )
        }
      </Loaded>
      <More query={holds} />
      <Modal opened={open} onClose={() => setOpen(false)} title="New legal hold">
        <HoldForm close={() => setOpen(false)} />
      </Modal>
      <Modal opened={ending !== null} onClose={() => end(null)} title="Release the hold?">
        {ending && <ReleaseForm hold={ending} close={() => end(null)} />}
      </Modal>
    </Section>
  );
}

const scopes = { organisation: "Everything", call: "A call", person: "A person" };

function HoldTable({ holds, end }: { holds: LegalHold[]; end?: (h: LegalHold) => void }) {
  const names = useNames();
  return (
    <Listing minWidth={520}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>What</Table.Th>
          <Table.Th>Reason</Table.Th>
          <Table.Th>Since</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {holds.map((h) => (
          <Table.Tr key={h.id}>
            <Table.Td>
              {scopes[h.scope]}
              {h.subject && (
                <Text size="xs" className="mono">
                  {h.subject}
                </Text>
              )}
            </Table.Td>
            <Table.Td>{h.reason}</Table.Td>
            <Table.Td>
              {when(h.createdAt)}
              <Text size="xs" c="dimmed">
                {names.get(h.createdBy)}
              </Text>
            </Table.Td>
            <Table.Td ta="right">
              {h.releasedAt ? (
                <Badge color="gray" title={h.releaseReason}>
                  released {since(h.releasedAt)}
                </Badge>
              ) : (
                end && (
                  <Button
                    size="xs"
                    variant="subtle"
                    color="red"
                    onClick={() => end(h)}
                    aria-label={`Release: ${h.reason}`}
                  >
                    Release
                  </Button>
                )
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function HoldForm({ close }: { close: () => void }) {
  const hold = useHold();
  const form = useForm({
    initialValues: { scope: "call" as LegalHold["scope"], subject: "", reason: "" },
    validate: {
      subject: (v, all) => (all.scope === "organisation" || v.trim() ? null : "Say which."),
      reason: (v) => (v.trim() ? null : "Say why; it stays on record."),
    },
  });
  const { scope } = form.values;
  return (
    <form
      noValidate
      onSubmit={form.onSubmit((v) =>
        hold.mutate(
          {
            scope: v.scope,
            reason: v.reason.trim(),
            ...(v.scope === "organisation" ? {} : { subject: v.subject.trim() }),
          },
          {
            onSuccess: () => {
              done("It is held from now on.");
              close();
            },
            onError: (e) => refuse(form, e),
          },
        ),
      )}
    >
      <Stack>
        <Select
          label="What to keep"
          allowDeselect={false}
          data={Object.entries(scopes).map(([value, label]) => ({ value, label }))}
          {...form.getInputProps("scope")}
        />
        {scope === "call" && <TextInput label="The call's id" required {...form.getInputProps("subject")} />}
        {scope === "person" && (
          <TextInput
            label="Number or address"
            description="A number with its country code"
            placeholder="+49 30 123456"
            required
            {...form.getInputProps("subject")}
          />
        )}
        <Textarea label="Reason" required autosize minRows={2} maxLength={1000} {...form.getInputProps("reason")} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={hold.isPending}>
            Hold
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function ReleaseForm({ hold, close }: { hold: LegalHold; close: () => void }) {
  const release = useRelease();
  const [reason, setReason] = useState("");
  const submit = (e: FormEvent) => {
    e.preventDefault();
    release.mutate(
      { id: hold.id, reason: reason.trim() },
      {
        onSuccess: () => {
          done("The hold is released.");
          close();
        },
        onError: failed,
      },
    );
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <Text size="sm">
          {scopes[hold.scope]} {hold.subject} may be deleted again: what is past its term goes with the next daily run.
        </Text>
        <Textarea
          label="Reason"
          required
          autosize
          minRows={2}
          maxLength={1000}
          data-autofocus
          value={reason}
          onChange={(e) => setReason(e.currentTarget.value)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Keep it
          </Button>
          <Button type="submit" color="red.8" loading={release.isPending} disabled={!reason.trim()}>
            Release
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
