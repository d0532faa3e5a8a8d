import { Anchor, Badge, Button, Group, Tabs } from "@mantine/core";
import { useDebouncedValue, useHotkeys } from "@mantine/hooks";
import { IconArrowLeft, IconMicrophone } from "@tabler/icons-react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Agent, AgentVersion, Definition, Flow } from "../../api/types";
import { difference } from "../../ui/diff";
import { unlessChanged } from "../../ui/Editing";
import { useLeaving } from "../../ui/leaving";
import { done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Loaded, Rows } from "../../ui/states";
import { useMay, useSip } from "../identity/api";
import { TalkPanel } from "../voice/TalkPanel";
import { AgentMenu } from "./AgentMenu";
import css from "./agent.module.css";
import { readLatest, useAgent, useProblems, usePublish, useSaveVersion, useVersion } from "./api";
import { prune, same } from "./definition";
import { FlowEditor } from "./FlowEditor";
import { KnowledgeForm } from "./KnowledgeForm";
import { PromptForm } from "./PromptForm";
import { LimitsForm, ToolsForm, VoiceForm } from "./SettingsForms";
import { Versions } from "./Versions";

export function AgentPage() {
  const { agentId } = useParams({ from: "/app/agents/$agentId" });
  const agent = useAgent(agentId);
  const latest = useVersion(agentId, agent.data?.value.latestVersion);
  return (
    <Loaded query={agent} skeleton={<Rows n={4} height={90} />}>
      {({ value: a, tag }) => (
        <Loaded query={latest} skeleton={<Rows n={4} height={90} />}>
          {(v) => <Editor key={a.id} agent={a} tag={tag} saved={v.definition} number={v.number} />}
        </Loaded>
      )}
    </Loaded>
  );
}

const emptyFlow: Flow = { data: {}, nodes: [{ id: "start", type: "start", data: { text: "Welcome." } }], edges: [] };

type EditorProps = { agent: Agent; tag: string; saved: Definition; number: number };

function Editor({ agent, tag, saved, number }: EditorProps) {
  const sip = useSip();
  const { tab = "talk", talk = false } = useSearch({ from: "/app/agents/$agentId" });
  const navigate = useNavigate({ from: "/agents/$agentId" });
  const [draft, setDraft] = useState<Definition>(saved);
  const [loaded, setLoaded] = useState(0); // raised when another version is put into the editor
  const [base, setBase] = useState(number); // the version that the draft began from
  const [settled] = useDebouncedValue(draft, 400);
  const problems = useProblems(settled);
  const save = useSaveVersion(agent.id);
  const publish = usePublish(agent.id);
  const may = useMay();
  const dirty = !same(draft, saved);

  // Somebody else's newer version replaces what is shown, unless there is work in progress here.
  useEffect(() => {
    if (number === base || dirty) return;
    setBase(number);
    setDraft(saved);
    setLoaded((n) => n + 1);
  }, [number, base, dirty, saved]);
  // The state of the agent that the draft began from; its name or what is published may have changed since.
  const begun = useRef(tag);
  if (agent.latestVersion === base) begun.current = tag;

  useLeaving({ dirty, text: "What you changed in this agent is not saved." });

  const change = useCallback((part: Partial<Definition>) => setDraft((d) => ({ ...d, ...part })), []);
  const changeFlow = useCallback((flow: Flow) => setDraft((d) => ({ ...d, flow })), []);
  const take = (version: AgentVersion) => {
    setBase(version.number);
    setDraft(version.definition);
    setLoaded((n) => n + 1);
  };
  const store = async (andPublish: boolean, note = "") => {
    try {
      const v = await unlessChanged({
        tag: begun.current,
        write: (t) => save.mutateAsync({ definition: draft, note, tag: t }),
        read: () => readLatest(agent.id),
        differ: (theirs) => (theirs.number === base ? [] : difference(prune(theirs.definition), prune(draft))),
        take: (theirs) => take(theirs.value),
      });
      setBase(v.number);
      if (andPublish) await publish.mutateAsync(v.number);
      done(
        andPublish
          ? `Version ${v.number} takes the calls from now on.`
          : `Saved as version ${v.number}. Calls still use ${agent.publishedVersion ? `version ${agent.publishedVersion}` : "none"}.`,
      );
    } catch (e) {
      failed(e);
    }
  };
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
          <AgentMenu agent={agent} />
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
