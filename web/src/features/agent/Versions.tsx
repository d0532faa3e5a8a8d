import { Badge, Button, Center, Group, Paper, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { Agent, AgentVersion, Definition } from "../../api/types";
import { when } from "../../ui/format";
import { done, failed } from "../../ui/notify";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import css from "./agent.module.css";
import { usePublish, useVersions } from "./api";
import { differences } from "./definition";

type Props = {
  agent: Agent;
  draft: Definition;
  dirty: boolean;
  load: (d: Definition) => void;
  store: (note: string) => void;
};

/** The agent's versions, newest first: which takes calls, what was changed, and how to go back. */
export function Versions({ agent, draft, dirty, load, store }: Props) {
  const versions = useVersions(agent.id);
  const publish = usePublish(agent.id);
  const may = useMay();
  const [note, setNote] = useState("");
  return (
    <Paper p="lg">
      <Loaded query={versions}>
        {(data) => {
          const items = data.pages.flatMap((p) => p.items);
          const newest = items[0];
          return (
            <Stack>
              {dirty && newest && (
                <Group align="flex-end">
                  <TextInput
                    label="Note for the next version"
                    description={`Changed since version ${newest.number}: ${differences(newest.definition, draft).join("; ") || "places on the canvas"}`}
                    flex={1}
                    value={note}
                    onChange={(e) => setNote(e.currentTarget.value)}
                  />
                  <Button
                    onClick={() => {
                      store(note);
                      setNote("");
                    }}
                  >
                    Save with the note
                  </Button>
                </Group>
              )}
              <ol className={css.versions}>
                {items.map((v, i) => (
                  <li key={v.id}>
                    <div style={{ minWidth: 0, flex: 1 }}>
                      <Group gap={8}>
                        <Text fw={650}>Version {v.number}</Text>
                        {v.number === agent.publishedVersion && <Badge color="pine">takes calls</Badge>}
                        <Text size="sm" c="dimmed">
                          {when(v.createdAt)}
                        </Text>
                      </Group>
                      <Text size="sm">{v.note || summary(v, items[i + 1])}</Text>
                    </div>
                    <Group gap="xs">
                      {may.some("agent:update") && (
                        <Button size="xs" variant="default" onClick={() => load(v.definition)}>
                          Edit from here
                        </Button>
                      )}
                      {may.some("agent:publish") && v.number !== agent.publishedVersion && (
                        <Button
                          size="xs"
                          variant="light"
                          loading={publish.isPending && publish.variables === v.number}
                          onClick={() =>
                            publish.mutate(v.number, {
                              onSuccess: () => done(`Version ${v.number} takes the calls from now on.`),
                              onError: failed,
                            })
                          }
                        >
                          Publish
                        </Button>
                      )}
                    </Group>
                  </li>
                ))}
              </ol>
              {versions.hasNextPage && (
                <Center>
                  <Button
                    variant="default"
                    onClick={() => versions.fetchNextPage()}
                    loading={versions.isFetchingNextPage}
                  >
                    Show older versions
                  </Button>
                </Center>
              )}
            </Stack>
          );
        }}
      </Loaded>
    </Paper>
  );
}

function summary(v: AgentVersion, before: AgentVersion | undefined): string {
  if (!before) return v.number === 1 ? "The first version." : "";
  return `Changed: ${differences(before.definition, v.definition).join("; ") || "places on the canvas"}`;
}
