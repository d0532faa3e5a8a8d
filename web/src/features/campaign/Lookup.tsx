import { Alert, Badge, Button, Group, List, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useState } from "react";
import type { DoNotCallFound } from "../../api/types";
import { since } from "../../ui/format";
import { done, failed, refuse } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { useMay } from "../identity/api";
import { useAddNumbers, useDoNotCallLists, useLookup, useRemoveNumbers } from "./doNotCallApi";
import { ReasonWindow } from "./ReasonWindow";

export const sources: Record<string, string> = {
  voice: "said so in a call",
  key: "pressed the key in a call",
  api: "told by another system",
  import: "from a file",
  person: "entered by hand",
};

/** Asks for one number: who holds it, since when, and why. */
export function Lookup() {
  const look = useLookup();
  const [found, setFound] = useState<DoNotCallFound | null>(null);
  const form = useForm({
    initialValues: { number: "" },
    validate: { number: (v) => (v.trim() ? null : "Which number?") },
  });
  const ask = async (number: string) => {
    const [one] = await look.mutateAsync({ numbers: [number] });
    if (one && !one.number) {
      setFound(null);
      form.setFieldError("number", "This is no telephone number; write it with its country code: +49 30 123456.");
    } else setFound(one ?? null);
  };
  const submit = form.onSubmit(async ({ number }) => {
    try {
      await ask(number.trim());
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <Section title="May this number be called?" lead="Which lists and registers hold it, and what the person allowed.">
      <form noValidate onSubmit={submit}>
        <Group align="flex-start" gap="sm">
          <TextInput
            data-search
            aria-label="Number with its country code"
            placeholder="+49 30 123456"
            type="tel"
            {...form.getInputProps("number")}
            style={{ flex: "0 1 320px" }}
          />
          <Button type="submit" loading={look.isPending}>
            Look it up
          </Button>
        </Group>
      </form>
      {found && <Answer found={found} again={() => ask(found.number).catch(failed)} />}
    </Section>
  );
}

function Answer({ found, again }: { found: DoNotCallFound; again: () => unknown }) {
  const may = useMay()("donotcall:update");
  const lists = useDoNotCallLists().data?.items ?? [];
  const own = lists.find((l) => l.own);
  const name = (id: string) => lists.find((l) => l.id === id)?.name ?? "a list that was deleted";
  const add = useAddNumbers();
  const remove = useRemoveNumbers();
  const [from, takeFrom] = useState<string | null>(null);
  const held = found.entries.length > 0 || found.registers.length > 0;
  return (
    <Alert
      color={held ? "red" : "pine"}
      variant="light"
      role="status"
      title={held ? `${found.number} is held` : `${found.number} is on no list and no register`}
    >
      <Stack gap="xs">
        <List size="sm" spacing={4}>
          {found.entries.map((e) => (
            <List.Item key={e.listId}>
              <Group gap="xs">
                <span>
                  On <b>{name(e.listId)}</b> since {since(e.addedAt)}: {sources[e.source]}
                  {e.reason && `, “${e.reason}”`}
                </span>
                {may && (
                  <Button size="compact-xs" variant="default" onClick={() => takeFrom(e.listId)}>
                    Take it off
                  </Button>
                )}
              </Group>
            </List.Item>
          ))}
          {found.registers.map((r) => (
            <List.Item key={r}>
              On the public register <Badge color="gray">{r}</Badge>
            </List.Item>
          ))}
          {found.consent && (
            <List.Item>
              {found.consent === "given"
                ? "The person agreed to sales calls by an AI."
                : "The person withdrew their consent."}
            </List.Item>
          )}
          {found.removals.map((r) => (
            <List.Item key={r.listId + r.removedAt}>
              Taken off {name(r.listId)} {since(r.removedAt)}: “{r.reason}”
            </List.Item>
          ))}
        </List>
        {!held && <Text size="sm">The rules of its place, such as hours, count all the same.</Text>}
        {may && own && !found.entries.some((e) => e.listId === own.id) && (
          <Group>
            <Button
              size="xs"
              variant="default"
              loading={add.isPending}
              onClick={() =>
                add.mutate(
                  { id: own.id, numbers: [found.number], reason: "" },
                  {
                    onSuccess: () => {
                      done("Nobody calls this number from now on.");
                      again();
                    },
                    onError: failed,
                  },
                )
              }
            >
              Call it no more
            </Button>
          </Group>
        )}
      </Stack>
      <ReasonWindow
        opened={from !== null}
        close={() => takeFrom(null)}
        title={`Take ${found.number} off ${name(from ?? "")}?`}
        text="Campaigns may call it again. Who asked for no more calls must have changed their mind."
        action="Take it off"
        run={async (reason) => {
          await remove.mutateAsync({ id: from ?? "", numbers: [found.number], reason });
          done("The number is off the list.");
          again();
        }}
      />
    </Alert>
  );
}
