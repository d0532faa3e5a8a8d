import {
  Alert,
  Anchor,
  Button,
  Group,
  Loader,
  NumberInput,
  Paper,
  Select,
  SimpleGrid,
  Slider,
  Stack,
  Switch,
  Text,
  Textarea,
  TextInput,
  Title,
} from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Definition, Interruption, Limits, Model, ModelChoice, Problem, Service, Tool } from "../../api/types";
import { useModels } from "../model/api";
import { serviceNames } from "../model/presets";
import css from "./agent.module.css";
import { about, Sheet } from "./Sheet";

type Props = { definition: Definition; change: (part: Partial<Definition>) => void; problems: Problem[] };

const listens: Record<Service, string> = { stt: "Listens with", llm: "Thinks with", tts: "Speaks with" };

export function VoiceForm({ definition, change, problems }: Props) {
  const models = useModels();
  const voice = definition.voice ?? {};
  const needed: Service[] = definition.kind === "prompt" ? ["stt", "llm", "tts"] : ["stt", "tts"];
  return (
    <Sheet problems={about(problems, "voice", "models", "language")}>
      {models.isPending && <Loader size="sm" aria-label="Loading the models" />}
      {models.isError && (
        <Alert color="red" variant="light">
          The list of models cannot be read now.
        </Alert>
      )}
      {models.data &&
        needed.map((s) => (
          <Choice
            key={s}
            service={s}
            models={models.data.items}
            value={definition.models?.[s] ?? {}}
            change={(c) => change({ models: { ...definition.models, [s]: c } })}
          />
        ))}
      <Text size="sm" c="dimmed">
        More servers are added under{" "}
        <Anchor renderRoot={(p) => <Link {...p} to="/models" />} size="sm" underline="always">
          Models
        </Anchor>
        .
      </Text>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label="Voice"
          placeholder="The usual one"
          value={voice.voice ?? ""}
          onChange={(e) => change({ voice: { ...voice, voice: e.currentTarget.value } })}
        />
        <TextInput
          label="Language"
          placeholder="en-US"
          value={definition.language ?? ""}
          onChange={(e) => change({ language: e.currentTarget.value })}
        />
      </SimpleGrid>
      <div>
        <Text size="sm" fw={500} mb={6}>
          Speed
        </Text>
        <Slider
          min={0.5}
          max={2}
          step={0.05}
          label={(v) => `${v}×`}
          marks={[
            { value: 0.5, label: "0.5×" },
            { value: 1, label: "1×" },
            { value: 2, label: "2×" },
          ]}
          value={voice.speed || 1}
          onChange={(speed) => change({ voice: { ...voice, speed } })}
          thumbLabel="Speed of speech"
          mb="lg"
        />
      </div>
    </Sheet>
  );
}

function Choice(props: { service: Service; models: Model[]; value: ModelChoice; change: (c: ModelChoice) => void }) {
  const { service, models, value, change } = props;
  const fit = models.filter((m) => m.services.includes(service));
  const chosen = fit.find((m) => (m.builtIn ? m.vendor === (value.vendor || "local") : m.id === value.modelId));
  return (
    <SimpleGrid cols={{ base: 1, sm: 2 }}>
      <Select
        label={listens[service]}
        placeholder={service === "llm" ? "Choose a language model" : "Choose"}
        data={fit.map((m) => ({ value: m.id, label: m.name }))}
        value={chosen?.id ?? null}
        allowDeselect={false}
        onChange={(id) => {
          const m = fit.find((x) => x.id === id);
          if (m) change(m.builtIn ? { vendor: m.vendor } : { vendor: m.vendor, modelId: m.id });
        }}
        nothingFoundMessage={`No server offers ${serviceNames[service].toLowerCase()}`}
      />
      {chosen && !chosen.builtIn && (
        <TextInput
          label="Model"
          placeholder={chosen.defaults?.[service] || "The server's usual one"}
          value={value.model ?? ""}
          onChange={(e) => change({ ...value, model: e.currentTarget.value })}
        />
      )}
    </SimpleGrid>
  );
}

export function LimitsForm({ definition, change, problems }: Props) {
  const limits = definition.limits ?? {};
  const turn = definition.interruption ?? {};
  const limit = (key: keyof Limits, label: string, description: string, usual: string, unit = 1000) => (
    <NumberInput
      label={label}
      description={description}
      placeholder={usual}
      suffix={unit === 1000 ? " s" : unit === 60_000 ? " min" : " ms"}
      min={0}
      decimalScale={1}
      value={limits[key] ? limits[key] / unit : ""}
      onChange={(v) =>
        change({ limits: { ...limits, [key]: typeof v === "number" && v > 0 ? Math.round(v * unit) : undefined } })
      }
    />
  );
  const ms = (key: Exclude<keyof Interruption, "off">, label: string, description: string, usual: string) => (
    <NumberInput
      label={label}
      description={description}
      placeholder={usual}
      suffix=" ms"
      min={0}
      step={50}
      value={turn[key] ?? ""}
      onChange={(v) => change({ interruption: { ...turn, [key]: typeof v === "number" && v > 0 ? v : undefined } })}
    />
  );
  return (
    <Sheet problems={about(problems, "limits", "interruption")}>
      <Title order={2} size="h3">
        Turn-taking
      </Title>
      <Switch
        label="Callers may interrupt by speaking"
        description="The agent pauses at once, and goes on when it was only a noise or an “uh-huh”."
        checked={!turn.off}
        onChange={(e) => change({ interruption: { ...turn, off: e.currentTarget.checked ? undefined : true } })}
      />
      <SimpleGrid cols={{ base: 1, sm: 3 }}>
        {ms("endpointMs", "Silence that ends a turn", "Shorter answers sooner, longer cuts in less", "550 ms")}
        {ms("minSpeechMs", "Shortest speech", "Shorter sounds are noise", "80 ms")}
        {ms("cutAfterMs", "Interrupts for good", "After speech this long", "450 ms")}
      </SimpleGrid>
      <Title order={2} size="h3" mt="sm">
        Limits
      </Title>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        {limit("maxDurationMs", "Longest call", "Then it says goodbye", "60 min", 60_000)}
        {limit("idleMs", "Silence", "Then it asks again, and says goodbye in the end", "8 s")}
        {limit("replyTimeoutMs", "Longest wait for an answer", "Then it apologises", "15 s")}
        {limit("fillerAfterMs", "“One moment” after", "When no answer has come by then", "1.2 s")}
      </SimpleGrid>
    </Sheet>
  );
}

const toolNames = { hangup: "Hang up", transfer: "Put through", http: "Call a web address" } as const;

export function ToolsForm({ definition, change, problems }: Props) {
  const tools = definition.tools ?? [];
  const set = (at: number, t: Tool) => change({ tools: tools.map((x, i) => (i === at ? t : x)) });
  const add = (t: Tool) => change({ tools: [...tools, t] });
  return (
    <Sheet problems={about(problems, "tools")}>
      <Text size="sm" c="dimmed">
        What the language model may do besides talking.
      </Text>
      {tools.map((t, i) => (
        <Paper key={`tool-${i.toString()}`} p="md" className={css.intent}>
          <Group justify="space-between" mb={t.kind === "hangup" ? 0 : "xs"}>
            <Text fw={600}>{toolNames[t.kind]}</Text>
            <Button
              size="xs"
              variant="subtle"
              color="red"
              onClick={() => change({ tools: tools.filter((_, j) => j !== i) })}
            >
              Remove
            </Button>
          </Group>
          {t.kind === "transfer" && <Targets tool={t} set={(x) => set(i, x)} />}
          {t.kind === "http" && <Http tool={t} set={(x) => set(i, x)} />}
        </Paper>
      ))}
      <Group>
        {!tools.some((t) => t.kind === "hangup") && (
          <Button
            variant="default"
            size="xs"
            leftSection={<IconPlus size={14} />}
            onClick={() => add({ kind: "hangup" })}
          >
            Hang up
          </Button>
        )}
        {!tools.some((t) => t.kind === "transfer") && (
          <Button
            variant="default"
            size="xs"
            leftSection={<IconPlus size={14} />}
            onClick={() => add({ kind: "transfer", targets: {} })}
          >
            Put through
          </Button>
        )}
        <Button
          variant="default"
          size="xs"
          leftSection={<IconPlus size={14} />}
          onClick={() =>
            add({ kind: "http", name: "", description: "", url: "", parameters: { type: "object", properties: {} } })
          }
        >
          Call a web address
        </Button>
      </Group>
    </Sheet>
  );
}

function Targets({ tool, set }: { tool: Tool; set: (t: Tool) => void }) {
  const [text, setText] = useState(() =>
    Object.entries(tool.targets ?? {})
      .map(([k, v]) => `${k} = ${v}`)
      .join("\n"),
  );
  return (
    <Textarea
      label="Places"
      description="One a line: name = phone, SIP address or number"
      placeholder={"reception = reception\nsales = sip:sales@example.org"}
      autosize
      minRows={3}
      value={text}
      onChange={(e) => {
        setText(e.currentTarget.value);
        set({ ...tool, targets: readTargets(e.currentTarget.value) });
      }}
    />
  );
}

export function readTargets(text: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    const name = line.slice(0, at).trim();
    const target = line.slice(at + 1).trim();
    if (at > 0 && name && target) out[name] = target;
  }
  return out;
}

function Http({ tool, set }: { tool: Tool; set: (t: Tool) => void }) {
  const [schema, setSchema] = useState(() => JSON.stringify(tool.parameters ?? {}, null, 2));
  const [bad, setBad] = useState("");
  return (
    <Stack gap="xs">
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
        <TextInput
          label="Name"
          placeholder="find_order"
          value={tool.name ?? ""}
          onChange={(e) => set({ ...tool, name: e.currentTarget.value })}
        />
        <NumberInput
          label="Time-out"
          suffix=" ms"
          placeholder="10000 ms"
          min={100}
          max={30_000}
          value={tool.timeoutMs ?? ""}
          onChange={(v) => set({ ...tool, timeoutMs: typeof v === "number" && v > 0 ? v : undefined })}
        />
      </SimpleGrid>
      <TextInput
        label="When to use it"
        value={tool.description ?? ""}
        onChange={(e) => set({ ...tool, description: e.currentTarget.value })}
      />
      <TextInput
        label="Address"
        placeholder="https://example.org/orders"
        value={tool.url ?? ""}
        onChange={(e) => set({ ...tool, url: e.currentTarget.value })}
      />
      <Textarea
        label="Arguments"
        description="A JSON Schema"
        className="mono"
        autosize
        minRows={4}
        value={schema}
        error={bad}
        onChange={(e) => {
          setSchema(e.currentTarget.value);
          try {
            const parameters = JSON.parse(e.currentTarget.value);
            setBad("");
            set({ ...tool, parameters });
          } catch {
            setBad("This is not JSON yet; the last valid schema is kept.");
          }
        }}
      />
    </Stack>
  );
}
