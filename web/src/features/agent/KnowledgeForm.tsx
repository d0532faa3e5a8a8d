import {
  ActionIcon,
  Button,
  Group,
  NumberInput,
  SimpleGrid,
  Stack,
  TagsInput,
  Text,
  Textarea,
  TextInput,
  Title,
} from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import type { Department, FlowData, Problem } from "../../api/types";
import { formatHours, readHours } from "./hours";
import { about, Sheet } from "./Sheet";
import { SpokenList } from "./Spoken";

const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const dayNames = {
  mon: "Monday",
  tue: "Tuesday",
  wed: "Wednesday",
  thu: "Thursday",
  fri: "Friday",
  sat: "Saturday",
  sun: "Sunday",
};

type Props = { data: FlowData; change: (d: FlowData) => void; problems: Problem[] };

/** What a flow knows of the place it speaks for: name, hours, departments, facts. */
export function KnowledgeForm({ data, change, problems }: Props) {
  const set = (part: Partial<FlowData>) => change({ ...data, ...part });
  return (
    <Sheet problems={about(problems, "flow.data")}>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label="Name of the place"
          value={data.name ?? ""}
          onChange={(e) => set({ name: e.currentTarget.value })}
        />
        <TextInput
          label="Time zone"
          placeholder="Europe/Dublin"
          value={data.timeZone ?? ""}
          onChange={(e) => set({ timeZone: e.currentTarget.value })}
        />
      </SimpleGrid>
      <TextInput label="Address" value={data.address ?? ""} onChange={(e) => set({ address: e.currentTarget.value })} />
      <Title order={2} size="h3" mt="sm">
        Opening hours
      </Title>
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="xs">
        {days.map((d) => (
          <Hours
            key={d}
            name={dayNames[d]}
            spans={data.hours?.[d] ?? []}
            change={(spans) => set({ hours: { ...data.hours, [d]: spans } })}
          />
        ))}
      </SimpleGrid>
      <TagsInput
        label="Days off"
        placeholder="2026-12-25"
        value={data.closed ?? []}
        onChange={(closed) => set({ closed })}
      />
      <Title order={2} size="h3" mt="sm">
        Appointments
      </Title>
      <Group grow>
        <NumberInput
          label="Length"
          suffix=" min"
          placeholder="30 min"
          min={5}
          max={480}
          value={data.slotMinutes ?? ""}
          onChange={(v) => set({ slotMinutes: typeof v === "number" ? v : undefined })}
        />
        <NumberInput
          label="How far ahead"
          suffix=" days"
          placeholder="60 days"
          min={1}
          max={366}
          value={data.daysAhead ?? ""}
          onChange={(v) => set({ daysAhead: typeof v === "number" ? v : undefined })}
        />
      </Group>
      <Title order={2} size="h3" mt="sm">
        Departments
      </Title>
      <Departments list={data.departments ?? []} change={(departments) => set({ departments })} />
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <TextInput
          label="Reception"
          description="Phone, SIP address or number for callers who ask for a person"
          value={data.reception?.target ?? ""}
          onChange={(e) => set({ reception: { ...data.reception, target: e.currentTarget.value } })}
        />
        <TextInput
          label="When nobody answers there"
          description="What is said then"
          value={data.reception?.message ?? ""}
          onChange={(e) => set({ reception: { ...data.reception, message: e.currentTarget.value } })}
        />
      </SimpleGrid>
      <Title order={2} size="h3" mt="sm">
        Facts
      </Title>
      <Facts facts={data.facts ?? {}} change={(facts) => set({ facts })} />
    </Sheet>
  );
}

function Hours(props: {
  name: string;
  spans: { from: string; to: string }[];
  change: (s: { from: string; to: string }[]) => void;
}) {
  const [text, setText] = useState(formatHours(props.spans));
  const read = readHours(text);
  return (
    <TextInput
      label={props.name}
      placeholder="Closed"
      value={text}
      error={read === null ? "Write 08:00-12:00, 13:00-18:00, or nothing" : undefined}
      onChange={(e) => {
        setText(e.currentTarget.value);
        const spans = readHours(e.currentTarget.value);
        if (spans) props.change(spans);
      }}
    />
  );
}

function Departments({ list, change }: { list: Department[]; change: (d: Department[]) => void }) {
  return (
    <SpokenList
      items={list}
      change={change}
      one="department"
      name={(d) => d.name}
      make={(id) => ({ id, name: "" })}
      first={(d, set) => (
        <>
          <TextInput label="Name" flex={2} value={d.name} onChange={(e) => set({ name: e.currentTarget.value })} />
          <TextInput
            label="Put through to"
            flex={2}
            value={d.target ?? ""}
            onChange={(e) => set({ target: e.currentTarget.value })}
          />
        </>
      )}
      last={(d, set) => (
        <TextInput
          label="Said when nobody answers"
          mt={6}
          value={d.message ?? ""}
          onChange={(e) => set({ message: e.currentTarget.value })}
        />
      )}
    />
  );
}

function Facts({ facts, change }: { facts: Record<string, string>; change: (f: Record<string, string>) => void }) {
  const [name, setName] = useState("");
  const names = Object.keys(facts);
  return (
    <Stack gap="xs">
      {names.map((k) => (
        <Group key={k} gap="xs" wrap="nowrap" align="flex-start">
          <Textarea
            label={k}
            flex={1}
            autosize
            value={facts[k] ?? ""}
            onChange={(e) => change({ ...facts, [k]: e.currentTarget.value })}
          />
          <ActionIcon
            variant="subtle"
            color="red"
            size="lg"
            mt={25}
            aria-label={`Remove the fact ${k}`}
            onClick={() => change(Object.fromEntries(Object.entries(facts).filter(([x]) => x !== k)))}
          >
            <IconTrash size={17} />
          </ActionIcon>
        </Group>
      ))}
      {names.length === 0 && (
        <Text size="sm" c="dimmed">
          A fact is a sentence with a name, such as “parking”. An Inform step tells it, and {"{parking}"} puts it into
          any text.
        </Text>
      )}
      <Group gap="xs">
        <TextInput
          aria-label="Name of a new fact"
          placeholder="parking"
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
        />
        <Button
          variant="default"
          disabled={!/^[A-Za-z][\w-]*$/.test(name) || name in facts}
          onClick={() => {
            change({ ...facts, [name]: "" });
            setName("");
          }}
        >
          Add a fact
        </Button>
      </Group>
    </Stack>
  );
}
