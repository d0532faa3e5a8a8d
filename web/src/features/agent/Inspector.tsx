import {
  ActionIcon,
  Alert,
  Autocomplete,
  Button,
  Checkbox,
  Group,
  NumberInput,
  Select,
  Stack,
  Text,
  Textarea,
  TextInput,
  Title,
} from "@mantine/core";
import { IconTrash, IconX } from "@tabler/icons-react";
import type { FlowData, FlowIntent, FlowNodeData, Problem } from "../../api/types";
import type { StepNode } from "./graph";
import { SpokenList } from "./Spoken";
import { steps } from "./steps";

type Props = {
  node: StepNode;
  flowData: FlowData;
  problems: Problem[];
  change: (step: FlowNodeData) => void;
  remove?: () => void;
  close: () => void;
};

/** The settings of the step that is selected. */
export function Inspector({ node, flowData, problems, change, remove, close }: Props) {
  const { kind, step } = node.data;
  const set = (part: FlowNodeData) => change({ ...step, ...part });
  const says = !["repeat"].includes(kind);
  return (
    <Stack gap="sm" p="md">
      <Group justify="space-between" wrap="nowrap">
        <div>
          <Title order={3}>{steps[kind].name}</Title>
          <Text size="xs" c="dimmed">
            {steps[kind].about} · <span className="mono">{node.id}</span>
          </Text>
        </div>
        <ActionIcon variant="subtle" color="gray" onClick={close} aria-label="Close the settings">
          <IconX size={18} />
        </ActionIcon>
      </Group>
      {problems.map((p) => (
        <Alert key={p.location + p.message} color={p.severity === "error" ? "red" : "clay"} variant="light" p="xs">
          {p.message}
        </Alert>
      ))}
      <TextInput
        label="Label"
        placeholder={steps[kind].name}
        value={step.label ?? ""}
        onChange={(e) => set({ label: e.currentTarget.value })}
      />
      {says && (
        <Textarea
          label="Says"
          description={
            ["start", "say", "ask", "collect", "hangup"].includes(kind)
              ? "{name}, {hours}, {open}, {address}, a fact or a variable in braces is filled in"
              : "Empty: its usual words"
          }
          autosize
          minRows={2}
          maxRows={8}
          value={step.text ?? ""}
          onChange={(e) => set({ text: e.currentTarget.value })}
        />
      )}
      {(kind === "ask" || kind === "collect") && (
        <Textarea
          label="When not understood"
          autosize
          minRows={2}
          value={step.reprompt ?? ""}
          onChange={(e) => set({ reprompt: e.currentTarget.value })}
        />
      )}
      {kind === "ask" && <Intents intents={step.intents ?? []} change={(intents) => set({ intents })} />}
      {kind === "collect" && <Collect step={step} set={set} />}
      {kind === "info" && (
        <Autocomplete
          label="Tells"
          data={["hours", "address", ...Object.keys(flowData.facts ?? {})]}
          value={step.topic ?? ""}
          onChange={(topic) => set({ topic })}
        />
      )}
      {kind === "route" && (
        <Select
          label="Department"
          placeholder="Ask the caller which"
          clearable
          data={(flowData.departments ?? []).map((d) => ({ value: d.id, label: d.name }))}
          value={step.department || null}
          onChange={(v) => set({ department: v ?? "" })}
        />
      )}
      <TextInput
        label="Outcome"
        description="Recorded for the call when this step is reached"
        value={step.outcome ?? ""}
        onChange={(e) => set({ outcome: e.currentTarget.value })}
      />
      {remove && (
        <Button variant="subtle" color="red" leftSection={<IconTrash size={16} />} onClick={remove}>
          Delete the step
        </Button>
      )}
    </Stack>
  );
}

function Intents({ intents, change }: { intents: FlowIntent[]; change: (i: FlowIntent[]) => void }) {
  return (
    <div>
      <Text size="sm" fw={500} mb={4}>
        What the caller may want
      </Text>
      <SpokenList
        items={intents}
        change={change}
        one="choice"
        size="xs"
        name={(intent) => intent.label ?? ""}
        make={(id) => ({ id, label: "", phrases: [] })}
        first={(intent, set) => (
          <TextInput
            label="Called"
            size="xs"
            flex={1}
            value={intent.label ?? ""}
            placeholder={intent.id}
            onChange={(e) => set({ label: e.currentTarget.value })}
          />
        )}
      />
    </div>
  );
}

function Collect({ step, set }: { step: FlowNodeData; set: (part: FlowNodeData) => void }) {
  return (
    <>
      <Select
        label="What"
        allowDeselect={false}
        data={[
          { value: "day", label: "A day" },
          { value: "time", label: "A time" },
          { value: "digits", label: "Digits" },
          { value: "phone", label: "A telephone number" },
          { value: "yesno", label: "Yes or no" },
        ]}
        value={step.slot ?? null}
        onChange={(slot) => set({ slot: slot ?? "digits" })}
      />
      <TextInput
        label="Kept as"
        description="The variable's name, for {braces}"
        value={step.variable ?? ""}
        onChange={(e) => set({ variable: e.currentTarget.value })}
      />
      {step.slot === "digits" && (
        <Group grow>
          <NumberInput
            label="Fewest digits"
            min={1}
            max={32}
            value={step.minDigits ?? ""}
            onChange={(v) => set({ minDigits: typeof v === "number" ? v : undefined })}
          />
          <NumberInput
            label="Most digits"
            min={1}
            max={32}
            value={step.maxDigits ?? ""}
            onChange={(v) => set({ maxDigits: typeof v === "number" ? v : undefined })}
          />
        </Group>
      )}
      <Checkbox
        label="Read it back and ask whether it is right"
        checked={step.confirm ?? false}
        onChange={(e) => set({ confirm: e.currentTarget.checked })}
      />
    </>
  );
}
