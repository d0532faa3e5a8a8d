import { Anchor, Badge, Button, Group, List, Stack, Table, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Explanation } from "../../api/types";
import { since } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { type Asked, useExplanation } from "./leadsApi";
import { ruleName } from "./words";

const here = (d: Date) => new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/** Why a number was called, or not, at a time. */
export function WhyPage() {
  const [asked, ask] = useState<Asked | null>(null);
  const answer = useExplanation(asked);
  const form = useForm({
    initialValues: { number: "", at: here(new Date()) },
    validate: {
      number: (v) =>
        /^\+[0-9]{6,15}$/.test(v.replaceAll(/[\s()-]/g, "")) ? null : "With its country code: +49 30 123456.",
      at: (v) => (v ? null : "When?"),
    },
  });
  const submit = form.onSubmit(({ number, at }) => {
    ask({ number: number.replaceAll(/[\s()-]/g, ""), at: new Date(at).toISOString() });
    if (asked) void answer.refetch();
  });
  return (
    <Page
      title="Why was it called?"
      lead="Each time a campaign comes to a number, every rule is asked, and the decision is kept: why it was called, or was not."
    >
      <Section title="Number and time">
        <form noValidate onSubmit={submit}>
          <Group align="flex-start" gap="sm">
            <TextInput
              label="Number"
              placeholder="+49 30 123456"
              type="tel"
              style={{ flex: "1 1 220px" }}
              {...form.getInputProps("number")}
            />
            <TextInput
              type="datetime-local"
              label="At, on your clock"
              style={{ flex: "1 1 220px" }}
              {...form.getInputProps("at")}
            />
            <Button type="submit" mt={25} loading={answer.isFetching}>
              Explain
            </Button>
          </Group>
        </form>
      </Section>
      {asked && (
        <Loaded query={answer} rows={3}>
          {(e) => <Answer of={e} />}
        </Loaded>
      )}
    </Page>
  );
}

function Answer({ of: e }: { of: Explanation }) {
  return (
    <Section
      title={e.called ? "It was called" : e.decision ? "It was not called" : "Nothing was decided"}
      lead={e.decision ? `Decided ${since(e.decision.at)}` : undefined}
      actions={
        e.callId && (
          <Anchor renderRoot={(p) => <Link {...p} to="/calls/$callId" params={{ callId: e.callId }} />} size="sm">
            Open the call
          </Anchor>
        )
      }
    >
      <List size="sm" spacing={4}>
        {e.sentences.map((s) => (
          <List.Item key={s}>{s}</List.Item>
        ))}
      </List>
      {e.decision && (
        <Stack gap="xs">
          <Listing minWidth={520} verticalSpacing="xs" aria-label="Rules that were asked">
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Rule</Table.Th>
                <Table.Th>What it says</Table.Th>
                <Table.Th>Answer</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {e.decision.checks.map((c) => (
                <Table.Tr key={c.rule}>
                  <Table.Td>{ruleName(c.rule)}</Table.Td>
                  <Table.Td>{c.says}</Table.Td>
                  <Table.Td>
                    <Badge color={c.passed ? "pine" : "red"}>{c.passed ? "May" : "May not"}</Badge>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Listing>
          <Text size="xs" c="dimmed" className="mono" style={{ overflowWrap: "anywhere" }}>
            {e.decision.id} {e.decision.hash}
          </Text>
        </Stack>
      )}
    </Section>
  );
}
