import { Autocomplete, Badge, Button, Group, Modal, Paper, Stack, Table, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDebouncedValue, useDisclosure } from "@mantine/hooks";
import { IconPlus, IconSearch, IconSignature } from "@tabler/icons-react";
import { useState } from "react";
import type { Consent } from "../../api/types";
import { since, when, words } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useNames } from "../identity/peopleApi";
import { useConsents, useGiveConsent, useRevokeConsent } from "./api";

/** What people agreed to, and what shows it. */
export function ConsentsPage() {
  const may = useMay();
  const [text, setText] = useState("");
  const [subject] = useDebouncedValue(text.trim(), 300);
  const consents = useConsents(subject);
  const [open, dialog] = useDisclosure(false);
  const add = may("consent:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
      Record a consent
    </Button>
  );
  return (
    <Page title="Consents" lead="Who agreed to what, when, and what shows it." actions={add}>
      <Paper p="md">
        <Stack>
          <TextInput
            label="Number or address"
            description="A number with its country code, in full"
            placeholder="+49 30 123456"
            leftSection={<IconSearch size={16} />}
            maw={320}
            data-search
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
          />
          <Loaded query={consents}>
            {(data) =>
              data.items.length > 0 ? (
                <ConsentTable consents={data.items} />
              ) : subject ? (
                <Empty
                  icon={<IconSignature size={22} />}
                  title="Nothing from this person"
                  text="The number or address must be written in full."
                />
              ) : (
                <Empty
                  icon={<IconSignature size={22} />}
                  title="No consents yet"
                  text="Record one when somebody agreed to be recorded or called. Programs can do it through the API."
                  action={add}
                />
              )
            }
          </Loaded>
          <More query={consents} />
        </Stack>
      </Paper>
      <Modal opened={open} onClose={dialog.close} title="Record a consent">
        <ConsentForm close={dialog.close} />
      </Modal>
    </Page>
  );
}

function ConsentTable({ consents }: { consents: Consent[] }) {
  const may = useMay()("consent:update");
  const names = useNames();
  const revoke = useRevokeConsent();
  const ask = (c: Consent) =>
    confirm({
      title: "Withdraw the consent?",
      text: `From now on ${c.subject} has not agreed to: ${words(c.scope)}. The record stays, with the day of the withdrawal.`,
      action: "Withdraw it",
      onConfirm: () => revoke.mutate(c.id, { onSuccess: () => done("The consent is withdrawn."), onError: failed }),
    });
  return (
    <Listing minWidth={720}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Who</Table.Th>
          <Table.Th>To what</Table.Th>
          <Table.Th>Shown by</Table.Th>
          <Table.Th>Given</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {consents.map((c) => (
          <Table.Tr key={c.id}>
            <Table.Td className="mono">{c.subject}</Table.Td>
            <Table.Td>{words(c.scope)}</Table.Td>
            <Table.Td maw={240} style={{ overflowWrap: "anywhere" }}>
              {words(c.source)}
              <Text size="xs" c="dimmed">
                {c.proof}
              </Text>
            </Table.Td>
            <Table.Td>
              {when(c.givenAt)}
              <Text size="xs" c="dimmed">
                {names.get(c.createdBy)}
              </Text>
            </Table.Td>
            <Table.Td>
              <State consent={c} />
            </Table.Td>
            <Table.Td ta="right">
              {may && !c.revokedAt && (
                <Button
                  size="xs"
                  variant="subtle"
                  color="red"
                  aria-label={`Withdraw the consent of ${c.subject} to ${words(c.scope)}`}
                  onClick={() => ask(c)}
                >
                  Withdraw
                </Button>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function State({ consent: c }: { consent: Consent }) {
  if (c.revokedAt) return <Badge color="red">withdrawn {since(c.revokedAt)}</Badge>;
  if (!c.valid) return <Badge color="gray">expired {since(c.expiresAt)}</Badge>;
  return <Badge color="pine">{c.expiresAt ? `until ${since(c.expiresAt)}` : "valid"}</Badge>;
}

function ConsentForm({ close }: { close: () => void }) {
  const give = useGiveConsent();
  const form = useForm({
    initialValues: { subject: "", scope: "recording", source: "call", proof: "", expiresAt: "" },
    validate: {
      subject: (v) => (v.trim() ? null : "Whose consent is it?"),
      scope: (v) => (v.trim() ? null : "What did they agree to?"),
      source: (v) => (v.trim() ? null : "Where did they say so?"),
    },
  });
  const submit = form.onSubmit(({ expiresAt, ...v }) =>
    give.mutate(
      {
        subject: v.subject.trim(),
        scope: code(v.scope),
        source: code(v.source),
        ...(v.proof.trim() ? { proof: v.proof.trim() } : {}),
        ...(expiresAt ? { expiresAt: new Date(`${expiresAt}T23:59:59`).toISOString() } : {}),
      },
      {
        onSuccess: () => {
          done("The consent is recorded.");
          close();
        },
        onError: (e) => refuse(form, e),
      },
    ),
  );
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput
          label="Number or address"
          description="A number with its country code"
          placeholder="+49 30 123456"
          required
          data-autofocus
          {...form.getInputProps("subject")}
        />
        <Autocomplete
          label="To what"
          description="Or type another purpose"
          required
          data={["recording", "marketing_calls", "transcription"]}
          {...form.getInputProps("scope")}
        />
        <Autocomplete
          label="Where they said so"
          required
          data={["call", "form", "letter", "e-mail"]}
          {...form.getInputProps("source")}
        />
        <TextInput
          label="What shows it"
          description="A call's id, a document's name, or their words"
          maxLength={1000}
          {...form.getInputProps("proof")}
        />
        <TextInput
          type="date"
          label="Until"
          description="Left empty: until it is withdrawn"
          {...form.getInputProps("expiresAt")}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={give.isPending}>
            Record it
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** "Marketing calls" → "marketing_calls": one purpose has one spelling. */
const code = (text: string) => text.trim().toLowerCase().replaceAll(/\s+/g, "_");
