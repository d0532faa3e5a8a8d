import { Badge, Button, Group, SimpleGrid, Table, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Erasure } from "../../api/types";
import { when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { save } from "../../ui/save";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useErase, useErasures, useExportPerson } from "./api";

/** What one person may ask for: a copy of everything, or that it is erased. */
export function Persons() {
  const may = useMay();
  const [subject, setSubject] = useState("");
  const [reason, setReason] = useState("");
  const copy = useExportPerson();
  const erase = useErase();
  const who = subject.trim();
  return (
    <Section
      title="One person's data"
      lead="By their number with its country code, or their address. Both are kept in the audit trail, without the number."
    >
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label="Number or address"
          placeholder="+49 30 123456"
          value={subject}
          onChange={(e) => setSubject(e.currentTarget.value)}
        />
        {may("person:erase") && (
          <TextInput
            label="Reason of an erasure"
            placeholder="Asked for by letter of 3 March"
            value={reason}
            onChange={(e) => setReason(e.currentTarget.value)}
          />
        )}
      </SimpleGrid>
      <Group>
        {may("person:export") && (
          <Button
            variant="default"
            disabled={!who}
            loading={copy.isPending}
            onClick={() => copy.mutate(who, { onSuccess: (blob) => save(blob, "person.zip"), onError: failed })}
          >
            Export everything
          </Button>
        )}
        {may("person:erase") && (
          <Button
            color="red.8"
            disabled={!who || !reason.trim()}
            loading={erase.isPending}
            onClick={() =>
              confirm({
                title: `Erase everything of ${who}?`,
                text: "Calls, recordings, transcripts and consents of this person are gone for ever, but for what is under a legal hold.",
                action: "Erase",
                onConfirm: () =>
                  erase.mutate(
                    { subject: who, reason: reason.trim() },
                    {
                      onSuccess: () => {
                        setSubject("");
                        setReason("");
                        done("The erasure has begun. Its certificate comes below.");
                      },
                      onError: failed,
                    },
                  ),
              })
            }
          >
            Erase everything
          </Button>
        )}
      </Group>
      {may("person:erase") && <Erasures />}
    </Section>
  );
}

function Erasures() {
  const erasures = useErasures();
  return (
    <Loaded query={erasures} rows={1}>
      {(items) =>
        items.length > 0 && (
          <Listing minWidth={460}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Erasure</Table.Th>
                <Table.Th>Reason</Table.Th>
                <Table.Th>Erased</Table.Th>
                <Table.Th aria-label="Certificate" />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((e) => (
                <Row key={e.id} erasure={e} />
              ))}
            </Table.Tbody>
          </Listing>
        )
      }
    </Loaded>
  );
}

function Row({ erasure: e }: { erasure: Erasure }) {
  const c = e.certificate;
  const total = c ? Object.values(c.erased).reduce((a, b) => a + b, 0) : 0;
  return (
    <Table.Tr>
      <Table.Td>{when(e.requestedAt)}</Table.Td>
      <Table.Td>{e.reason}</Table.Td>
      <Table.Td>
        {c ? (
          <>
            {total}
            {c.kept > 0 && (
              <Text size="xs" c="dimmed">
                {c.kept} calls are held
              </Text>
            )}
          </>
        ) : (
          <Badge color="clay">under way</Badge>
        )}
      </Table.Td>
      <Table.Td ta="right">
        {c && (
          <Button
            size="xs"
            variant="subtle"
            onClick={() => save(new Blob([JSON.stringify(e, null, 2)]), `erasure-${e.id}.json`)}
          >
            Certificate
          </Button>
        )}
      </Table.Td>
    </Table.Tr>
  );
}
