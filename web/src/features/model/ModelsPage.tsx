import { ActionIcon, Badge, Button, Group, Menu, Paper, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { IconDots, IconPencil, IconPlus, IconSparkles, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import type { Model, Service } from "../../api/types";
import { since } from "../../ui/format";
import { confirm, done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Empty, Loaded, Rows } from "../../ui/states";
import { useMay } from "../identity/api";
import { useDeleteModel, useModels, useProbe } from "./api";
import { ModelDialog } from "./ModelForm";
import { ProbeLines } from "./Probe";
import { serviceNames } from "./presets";

export function ModelsPage() {
  const models = useModels();
  const [editing, setEditing] = useState<Model | "new" | null>(null);
  const add = useMay()("model:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={() => setEditing("new")}>
      Add a server
    </Button>
  );
  return (
    <Page title="Models" lead="What listens, thinks and speaks for your agents." actions={add}>
      <Loaded query={models} skeleton={<Rows n={3} height={130} />}>
        {({ items }) => {
          const own = items.filter((m) => !m.builtIn);
          return (
            <>
              <section>
                <Title order={2} mb="sm">
                  Your servers
                </Title>
                {own.length === 0 ? (
                  <Paper>
                    <Empty
                      icon={<IconSparkles size={22} />}
                      title="No server yet"
                      text="Add one that speaks the OpenAI API, such as Ollama, vLLM, speaches or OpenAI itself. Then an agent can follow a prompt instead of a flow."
                      action={add}
                    />
                  </Paper>
                ) : (
                  <SimpleGrid cols={{ base: 1, md: 2 }}>
                    {own.map((m) => (
                      <ModelCard key={m.id} model={m} edit={() => setEditing(m)} />
                    ))}
                  </SimpleGrid>
                )}
              </section>
              <section>
                <Title order={2} mb="sm">
                  Built in
                </Title>
                <SimpleGrid cols={{ base: 1, md: 2 }}>
                  {items
                    .filter((m) => m.builtIn)
                    .map((m) => (
                      <ModelCard key={m.id} model={m} />
                    ))}
                </SimpleGrid>
              </section>
            </>
          );
        }}
      </Loaded>
      {editing && <ModelDialog model={editing === "new" ? undefined : editing} close={() => setEditing(null)} />}
    </Page>
  );
}

const about: Record<string, string> = {
  local:
    "Offline, on this machine: the demo recogniser (it understands what a flow expects, not free speech) and two synthetic voices.",
  sim: "Simulated vendors with delays and failures that you set, for tests and rehearsal.",
};

function ModelCard({ model, edit }: { model: Model; edit?: () => void }) {
  const probe = useProbe();
  const may = useMay();
  const remove = useDeleteModel();
  const checked = model.status.checkedAt !== null;
  return (
    <Paper p="md">
      <Stack gap="sm" h="100%">
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <div>
            <Text fw={650}>{model.name}</Text>
            <Group gap={6} mt={4}>
              {model.services.map((s) => (
                <Badge key={s} color="gray">
                  {serviceNames[s as Service]}
                </Badge>
              ))}
            </Group>
          </div>
          <Group gap={4} wrap="nowrap">
            <Badge color={model.status.ok ? "pine" : checked ? "red" : "gray"}>
              {model.status.ok ? "Works" : checked ? "Does not work" : "Not checked"}
            </Badge>
            {edit && (may("model:update") || may("model:delete")) && (
              <Menu position="bottom-end">
                <Menu.Target>
                  <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${model.name}`}>
                    <IconDots size={18} />
                  </ActionIcon>
                </Menu.Target>
                <Menu.Dropdown>
                  {may("model:update") && (
                    <Menu.Item leftSection={<IconPencil size={16} />} onClick={edit}>
                      Change
                    </Menu.Item>
                  )}
                  {may("model:delete") && (
                    <Menu.Item
                      color="red"
                      leftSection={<IconTrash size={16} />}
                      onClick={() =>
                        confirm({
                          title: `Delete ${model.name}?`,
                          text: "Its keys are deleted too. Agents that use it can no longer take calls until they are given another.",
                          action: "Delete",
                          onConfirm: () =>
                            remove.mutate(model.id, {
                              onSuccess: () => done("The server was deleted."),
                              onError: failed,
                            }),
                        })
                      }
                    >
                      Delete
                    </Menu.Item>
                  )}
                </Menu.Dropdown>
              </Menu>
            )}
          </Group>
        </Group>
        {about[model.vendor] && <Text size="sm">{about[model.vendor]}</Text>}
        {Object.entries(model.baseUrls ?? {})
          .filter(([, url]) => url)
          .map(([s, url]) => (
            <Text key={s} size="sm" c="dimmed">
              {serviceNames[s as keyof typeof serviceNames]}: <span className="mono">{url}</span>
              {model.hasKey?.[s as keyof typeof serviceNames] ? ", with a key" : ""}
            </Text>
          ))}
        {probe.data ? (
          <ProbeLines result={probe.data} />
        ) : (
          model.status.message && (
            <Text size="sm" c="dimmed" style={{ whiteSpace: "pre-line" }}>
              {model.status.message}
            </Text>
          )
        )}
        <Group justify="space-between" mt="auto">
          <Text size="xs" c="dimmed">
            {checked ? `Checked ${since(model.status.checkedAt)}` : ""}
          </Text>
          {may("model:update") && (
            <Button
              size="xs"
              variant="default"
              loading={probe.isPending}
              onClick={() => probe.mutate({ id: model.id }, { onError: failed })}
            >
              Check now
            </Button>
          )}
        </Group>
      </Stack>
    </Paper>
  );
}
