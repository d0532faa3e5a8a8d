import { Alert, Anchor, Radio, Select, Stack, Text, Textarea, TextInput } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { Campaign } from "../../api/types";
import { Section } from "../../ui/Section";
import { useAgents } from "../agent/api";
import { useMay } from "../identity/api";
import type { DraftForm } from "./useDraft";
import { purposes, unbegun } from "./words";

export type StepProps = { form: DraftForm; campaign: Campaign };

const keys = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "*", "#"];

export function StepWho({ form, campaign }: StepProps) {
  const began = !unbegun(campaign.state);
  return (
    <Stack>
      <Section title="Who calls" lead="The agent that talks with the people, and why they are called.">
        <TextInput label="Name of the campaign" maxLength={100} required {...form.getInputProps("name")} />
        <AgentChoice form={form} />
        <Radio.Group
          label="Why people are called"
          description={
            began
              ? "It stays as it was when the campaign began."
              : "Rules on calling depend on it. Choose what the people called would say, not what sounds best."
          }
          {...form.getInputProps("settings.purpose")}
        >
          <Stack gap="xs" mt="xs">
            {purposes.map((p) => (
              <Radio key={p.value} value={p.value} label={p.label} description={p.description} disabled={began} />
            ))}
          </Stack>
        </Radio.Group>
      </Section>
      <Section
        title="What everybody hears first"
        lead="It is said before anything else, and kept with the call as proof that it was."
      >
        <Textarea
          label="That an AI speaks"
          description="Many places ask for it: the EU's AI Act does from 2 August 2026. Empty: nothing is said."
          autosize
          minRows={2}
          maxLength={500}
          {...form.getInputProps("settings.disclosure.ai")}
        />
        <Textarea
          label="That the call is recorded"
          description="Empty: nothing is said"
          placeholder="This call is recorded."
          autosize
          minRows={2}
          maxLength={500}
          {...form.getInputProps("settings.disclosure.recording")}
        />
        <Select
          label="Key by which people say that they want no more calls"
          description="They may always say so in words, too. Whoever does is not called again by any campaign."
          data={[{ value: "", label: "No key" }, ...keys.map((k) => ({ value: k, label: k }))]}
          allowDeselect={false}
          styles={{ input: { maxWidth: 140 } }}
          {...form.getInputProps("settings.optOutKey")}
        />
      </Section>
    </Stack>
  );
}

function AgentChoice({ form }: { form: DraftForm }) {
  const sees = useMay().some("agent:read");
  const agents = useAgents();
  const field = form.getInputProps("settings.agent");
  if (!sees) return <TextInput label="Agent" description="By its short name" maxLength={64} {...field} />;
  if (!agents.data) return null;
  const ready = agents.data.items.filter((a) => a.publishedVersion !== null);
  const chosen = form.values.settings.agent;
  const known = agents.data.items.find((a) => a.slug === chosen || a.id === chosen);
  if (ready.length === 0) {
    return (
      <Alert color="clay" variant="light" title="No agent is ready">
        <Text size="sm">
          An agent can call when a version of it is published.{" "}
          <Anchor renderRoot={(p) => <Link {...p} to="/agents" />} size="sm" underline="always">
            Go to agents
          </Anchor>
        </Text>
      </Alert>
    );
  }
  const data = ready.map((a) => ({ value: a.slug, label: a.name }));
  if (chosen && !data.some((d) => d.value === chosen)) {
    data.push({ value: chosen, label: known ? `${known.name} (not published)` : chosen });
  }
  return (
    <Select
      label="Agent"
      description="Its published version talks"
      placeholder="Choose one"
      data={data}
      searchable
      allowDeselect={false}
      {...field}
      value={chosen || null}
    />
  );
}
