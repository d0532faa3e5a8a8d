import { Anchor, Badge, Button, Group, Modal, Paper, Radio, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconHeadset, IconMicrophone, IconPlus } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { formErrors } from "../../api/client";
import type { Agent, AgentTemplate } from "../../api/types";
import { Copy } from "../../ui/Copy";
import { since, slugify } from "../../ui/format";
import { failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Empty, Loaded, Rows } from "../../ui/states";
import { useMay, useSip } from "../identity/api";
import css from "./agent.module.css";
import { useAgents, useCreateAgent, useTemplates } from "./api";

export function AgentsPage() {
  const agents = useAgents();
  const [open, dialog] = useDisclosure(false);
  const add = useMay()("agent:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
      New agent
    </Button>
  );
  return (
    <Page title="Agents" lead="Who answers. Each agent has an address of its own." actions={add}>
      <Loaded query={agents} skeleton={<Rows n={2} height={150} />}>
        {({ items }) =>
          items.length === 0 ? (
            <Paper>
              <Empty
                icon={<IconHeadset size={22} />}
                title="No agents yet"
                text="Begin with a template: a front desk that needs no language model, or a prompt for one."
                action={add}
              />
            </Paper>
          ) : (
            <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
              {items.map((a) => (
                <AgentCard key={a.id} agent={a} />
              ))}
            </SimpleGrid>
          )
        }
      </Loaded>
      <NewAgent opened={open} close={dialog.close} taken={agents.data?.items.map((a) => a.slug) ?? []} />
    </Page>
  );
}

function AgentCard({ agent }: { agent: Agent }) {
  const sip = useSip();
  const talk = useMay().some("call:create");
  return (
    <Paper p="lg" className={css.card}>
      <Group justify="space-between" wrap="nowrap" align="flex-start">
        <Anchor
          renderRoot={(p) => <Link {...p} to="/agents/$agentId" params={{ agentId: agent.id }} />}
          c="inherit"
          fw={650}
          size="lg"
          ff="heading"
        >
          {agent.name}
        </Anchor>
        <Badge color={agent.status === "published" ? "pine" : "gray"}>
          {agent.status === "published" ? `Version ${agent.publishedVersion}` : "Draft"}
        </Badge>
      </Group>
      <Text size="sm" c="dimmed">
        {agent.kind === "flow"
          ? "Follows a drawn flow; needs no language model."
          : "Follows a prompt, with a language model."}
      </Text>
      <Copy value={sip(agent.slug)} label="the SIP address" />
      <Group justify="space-between" mt="xs">
        <Text size="xs" c="dimmed">
          Changed {since(agent.updatedAt)}
        </Text>
        {talk && (
          <Button
            size="xs"
            variant="light"
            leftSection={<IconMicrophone size={15} />}
            disabled={agent.publishedVersion === null}
            renderRoot={(p) => (
              <Link {...p} to="/agents/$agentId" params={{ agentId: agent.id }} search={{ talk: true }} />
            )}
          >
            Talk
          </Button>
        )}
      </Group>
    </Paper>
  );
}

const blank: AgentTemplate = {
  id: "blank-prompt",
  name: "A prompt",
  description: "Write what a language model shall be and do. Needs a server under Models.",
  definition: {
    kind: "prompt",
    greeting: "Hello, how can I help you?",
    prompt:
      "You answer the telephone of a small company. Be brief and friendly: two sentences at most. Ask when something is unclear.",
    models: { llm: { vendor: "sim" }, stt: { vendor: "sim" } },
    tools: [{ kind: "hangup" }],
  },
};

function NewAgent({ opened, close, taken }: { opened: boolean; close: () => void; taken: string[] }) {
  const sip = useSip();
  const templates = useTemplates();
  const create = useCreateAgent();
  const navigate = useNavigate();
  const offered = templates.data?.items ?? [];
  const all = offered.some((t) => t.definition.kind === "prompt") ? offered : [...offered, blank];
  const form = useForm({
    initialValues: { name: "", slug: "", template: "" },
    validate: {
      name: (v) => (v.trim() ? null : "Give the agent a name."),
      slug: (v) =>
        !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(v)
          ? "Lower-case letters, digits and dashes."
          : taken.includes(v)
            ? "Another agent has this address."
            : null,
    },
  });
  const template = all.find((t) => t.id === form.values.template) ?? all[0];
  return (
    <Modal opened={opened} onClose={close} title="New agent" size="lg">
      <form
        onSubmit={form.onSubmit((v) => {
          if (!template) return;
          create.mutate(
            { name: v.name.trim(), slug: v.slug, definition: template.definition },
            {
              onSuccess: (a) => navigate({ to: "/agents/$agentId", params: { agentId: a.id } }),
              onError: (e) => {
                form.setErrors(formErrors(e));
                failed(e);
              },
            },
          );
        })}
      >
        <Stack>
          <Radio.Group
            label="Begin with"
            value={template?.id ?? ""}
            onChange={(v) => form.setFieldValue("template", v)}
          >
            <Stack gap="xs" mt={6}>
              {all.map((t) => (
                <Radio.Card key={t.id} value={t.id} p="sm" radius="lg">
                  <Group wrap="nowrap" align="flex-start">
                    <Radio.Indicator mt={3} />
                    <div>
                      <Text fw={600}>{t.name}</Text>
                      <Text size="sm" c="dimmed">
                        {t.description}
                      </Text>
                    </div>
                  </Group>
                </Radio.Card>
              ))}
            </Stack>
          </Radio.Group>
          <TextInput
            label="Name"
            placeholder="Front desk"
            required
            data-autofocus
            {...form.getInputProps("name")}
            onChange={(e) => {
              const follows = form.values.slug === slugify(form.values.name);
              form.setFieldValue("name", e.currentTarget.value);
              if (follows) form.setFieldValue("slug", slugify(e.currentTarget.value));
            }}
          />
          <TextInput
            label="Address"
            description={`Phones call ${sip(form.values.slug || "…")}`}
            required
            {...form.getInputProps("slug")}
          />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending} disabled={!template}>
              Create the agent
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
