import { ActionIcon, Anchor, Badge, Button, Group, Menu, Modal, Stack, Tabs, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDebouncedValue, useDisclosure, useHotkeys } from "@mantine/hooks";
import { modals } from "@mantine/modals";
import { IconArrowLeft, IconDots, IconMicrophone, IconPencil, IconTrash } from "@tabler/icons-react";
import { Link, useBlocker, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useState } from "react";
import { formErrors } from "../../api/client";
import type { Agent, Definition, Flow } from "../../api/types";
import { confirm, done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Loaded, Rows } from "../../ui/states";
import { useMay, useSip } from "../identity/api";
import { TalkPanel } from "../voice/TalkPanel";
import css from "./agent.module.css";
import { useAgent, useDeleteAgent, useProblems, usePublish, useRenameAgent, useSaveVersion, useVersion } from "./api";
import { same } from "./definition";
import { FlowEditor } from "./FlowEditor";
import { KnowledgeForm } from "./KnowledgeForm";
import { PromptForm } from "./PromptForm";
import { LimitsForm, ToolsForm, VoiceForm } from "./SettingsForms";
import { Versions } from "./Versions";

export function AgentPage() {
  const { agentId } = useParams({ from: "/app/agents/$agentId" });
  const agent = useAgent(agentId);
  const latest = useVersion(agentId, agent.data?.latestVersion);
  return (
    <Loaded query={agent} skeleton={<Rows n={4} height={90} />}>
      {(a) => (
        <Loaded query={latest} skeleton={<Rows n={4} height={90} />}>
          {(v) => <Editor key={a.id} agent={a} saved={v.definition} number={v.number} />}
        </Loaded>
      )}
    </Loaded>
  );
}

const emptyFlow: Flow = { data: {}, nodes: [{ id: "start", type: "start", data: { text: "Welcome." } }], edges: [] };

function Editor({ agent, saved, number }: { agent: Agent; saved: Definition; number: number }) {
  const sip = useSip();
  const { tab = "talk", talk = false } = useSearch({ from: "/app/agents/$agentId" });
  const navigate = useNavigate({ from: "/agents/$agentId" });
  const [draft, setDraft] = useState<Definition>(saved);
  const [loaded, setLoaded] = useState(0); // raised when another version is put into the editor
  const [savedAs, setSavedAs] = useState(number);
  const [settled] = useDebouncedValue(draft, 400);
  const problems = useProblems(settled);
  const save = useSaveVersion(agent.id);
  const publish = usePublish(agent.id);
  const may = useMay();
  const dirty = !same(draft, saved);

  // Somebody else's newer version replaces what is shown, unless there is work in progress here.
  useEffect(() => {
    if (number === savedAs) return;
    setSavedAs(number);
    if (!dirty) {
      setDraft(saved);
      setLoaded((n) => n + 1);
    }
  }, [number, savedAs, dirty, saved]);

  useBlocker({
    shouldBlockFn: async ({ next, current }) => {
      if (!dirty || next.pathname === current.pathname) return false;
      return !(await askToLeave());
    },
    enableBeforeUnload: () => dirty,
  });

  const change = useCallback((part: Partial<Definition>) => setDraft((d) => ({ ...d, ...part })), []);
  const changeFlow = useCallback((flow: Flow) => setDraft((d) => ({ ...d, flow })), []);
  const store = (andPublish: boolean, note = "") =>
    save.mutate(
      { definition: draft, note },
      {
        onSuccess: (v) => {
          setSavedAs(v.number);
          if (!andPublish) {
            done(
              `Saved as version ${v.number}. Calls still use ${agent.publishedVersion ? `version ${agent.publishedVersion}` : "none"}.`,
            );
            return;
          }
          publish.mutate(v.number, {
            onSuccess: () => done(`Version ${v.number} takes the calls from now on.`),
            onError: failed,
          });
        },
        onError: failed,
      },
    );
  useHotkeys([["mod+S", () => dirty && store(false)]], []);

  const unpublished = !dirty && agent.publishedVersion !== agent.latestVersion;
  const list = problems.data ?? [];
  const wrong = list.filter((p) => p.severity === "error").length;
  return (
    <Page
      title={agent.name}
      wide
      above={
        <Anchor renderRoot={(p) => <Link {...p} to="/agents" />} size="sm">
          <Group gap={4}>
            <IconArrowLeft size={15} /> Agents
          </Group>
        </Anchor>
      }
      lead={
        <Group gap={10}>
          <span className="mono">{sip(agent.slug)}</span>
          <Badge color={agent.publishedVersion ? "pine" : "gray"}>
            {agent.publishedVersion ? `Version ${agent.publishedVersion} takes calls` : "Takes no calls yet"}
          </Badge>
          {dirty && <Badge color="clay">Not saved</Badge>}
        </Group>
      }
      actions={
        <>
          {may.some("call:create") && (
            <Button
              variant={talk ? "light" : "default"}
              leftSection={<IconMicrophone size={16} />}
              onClick={() => navigate({ search: (s) => ({ ...s, talk: talk ? undefined : true }), replace: true })}
              aria-pressed={talk}
            >
              Talk
            </Button>
          )}
          {unpublished
            ? may.some("agent:publish") && (
                <Button
                  loading={publish.isPending}
                  onClick={() =>
                    publish.mutate(agent.latestVersion, {
                      onSuccess: () => done(`Version ${agent.latestVersion} takes the calls from now on.`),
                      onError: failed,
                    })
                  }
                >
                  Publish version {agent.latestVersion}
                </Button>
              )
            : may.some("agent:update") && (
                <>
                  <Button variant="default" disabled={!dirty} loading={save.isPending} onClick={() => store(false)}>
                    Save
                  </Button>
                  {may.some("agent:publish") && (
                    <Button disabled={!dirty} loading={save.isPending || publish.isPending} onClick={() => store(true)}>
                      Save and publish
                    </Button>
                  )}
                </>
              )}
          {(may.some("agent:update") || may.some("agent:delete")) && <More agent={agent} />}
        </>
      }
    >
      <div className={css.split} data-talk={talk}>
        <Tabs
          value={tab}
          onChange={(t) =>
            navigate({ search: (s) => ({ ...s, tab: t && t !== "talk" ? t : undefined }), replace: true })
          }
          keepMounted={false}
          miw={0}
        >
          <Tabs.List mb="md" style={{ flexWrap: "nowrap", overflowX: "auto" }}>
            <Tabs.Tab
              value="talk"
              rightSection={
                wrong > 0 ? (
                  <Badge size="xs" color="red" circle>
                    {wrong}
                  </Badge>
                ) : undefined
              }
            >
              {draft.kind === "flow" ? "Flow" : "Prompt"}
            </Tabs.Tab>
            {draft.kind === "flow" && <Tabs.Tab value="knows">What it knows</Tabs.Tab>}
            <Tabs.Tab value="voice">Voice and models</Tabs.Tab>
            {draft.kind === "prompt" && <Tabs.Tab value="tools">Tools</Tabs.Tab>}
            <Tabs.Tab value="limits">Turn-taking and limits</Tabs.Tab>
            <Tabs.Tab value="versions">Versions</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="talk">
            {draft.kind === "flow" ? (
              <FlowEditor key={loaded} flow={draft.flow ?? emptyFlow} onChange={changeFlow} problems={list} />
            ) : (
              <PromptForm definition={draft} change={change} problems={list} />
            )}
          </Tabs.Panel>
          <Tabs.Panel value="knows">
            <KnowledgeForm
              key={loaded}
              data={draft.flow?.data ?? {}}
              change={(data) => changeFlow({ ...(draft.flow ?? emptyFlow), data })}
              problems={list}
            />
          </Tabs.Panel>
          <Tabs.Panel value="voice">
            <VoiceForm definition={draft} change={change} problems={list} />
          </Tabs.Panel>
          <Tabs.Panel value="tools">
            <ToolsForm key={loaded} definition={draft} change={change} problems={list} />
          </Tabs.Panel>
          <Tabs.Panel value="limits">
            <LimitsForm definition={draft} change={change} problems={list} />
          </Tabs.Panel>
          <Tabs.Panel value="versions">
            <Versions
              agent={agent}
              draft={draft}
              dirty={dirty}
              load={(d) => {
                setDraft(d);
                setLoaded((n) => n + 1);
                void navigate({ search: (s) => ({ ...s, tab: undefined }), replace: true });
              }}
              store={(note) => store(false, note)}
            />
          </Tabs.Panel>
        </Tabs>
        {talk && (
          <div className={css.talk}>
            <TalkPanel
              key={agent.latestVersion}
              agent={agent}
              version={agent.latestVersion}
              note={talkNote(agent, dirty)}
            />
          </div>
        )}
      </div>
    </Page>
  );
}

/** Which version the panel talks with, where that may surprise. */
function talkNote(agent: Agent, dirty: boolean): string | undefined {
  if (dirty) return `You talk with version ${agent.latestVersion}, as it was saved last.`;
  if (agent.publishedVersion !== agent.latestVersion)
    return `You try version ${agent.latestVersion}, which takes no calls yet.`;
  return undefined;
}

function askToLeave(): Promise<boolean> {
  return new Promise((resolve) =>
    modals.openConfirmModal({
      title: "Leave without saving?",
      children: <Text size="sm">What you changed in this agent is not saved.</Text>,
      labels: { confirm: "Leave", cancel: "Stay" },
      confirmProps: { color: "red.8" },
      onConfirm: () => resolve(true),
      onCancel: () => resolve(false),
      onClose: () => resolve(false),
    }),
  );
}

function More({ agent }: { agent: Agent }) {
  const sip = useSip();
  const [open, dialog] = useDisclosure(false);
  const remove = useDeleteAgent();
  const may = useMay();
  const rename = useRenameAgent(agent.id);
  const navigate = useNavigate();
  const form = useForm({ initialValues: { name: agent.name, slug: agent.slug } });
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon variant="default" size={36} radius="xl" aria-label="More">
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {may.some("agent:update") && (
            <Menu.Item leftSection={<IconPencil size={16} />} onClick={dialog.open}>
              Rename
            </Menu.Item>
          )}
          {may.some("agent:delete") && (
            <Menu.Item
              color="red"
              leftSection={<IconTrash size={16} />}
              onClick={() =>
                confirm({
                  title: `Delete ${agent.name}?`,
                  text: `Calls to ${sip(agent.slug)} are refused from then on. Its calls so far stay in the list.`,
                  action: "Delete",
                  onConfirm: () =>
                    remove.mutate(agent.id, {
                      onSuccess: () => {
                        done("The agent was deleted.");
                        void navigate({ to: "/agents", ignoreBlocker: true });
                      },
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
      <Modal opened={open} onClose={dialog.close} title="Rename">
        <form
          onSubmit={form.onSubmit((v) =>
            rename.mutate(v, {
              onSuccess: () => {
                dialog.close();
                done("Renamed.");
              },
              onError: (e) => {
                form.setErrors(formErrors(e));
                failed(e);
              },
            }),
          )}
        >
          <Stack>
            <TextInput label="Name" required {...form.getInputProps("name")} />
            <TextInput
              label="Address"
              description={`Phones call ${sip(form.values.slug)}`}
              required
              {...form.getInputProps("slug")}
            />
            <Button type="submit" loading={rename.isPending}>
              Rename
            </Button>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
