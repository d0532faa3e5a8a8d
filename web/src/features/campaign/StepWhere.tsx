import { Alert, Anchor, MultiSelect, Radio, Select, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { client, unwrap } from "../../api/client";
import { Section } from "../../ui/Section";
import { Failed, Rows } from "../../ui/states";
import { useMay } from "../identity/api";
import type { StepProps } from "./StepWho";

const choices = [
  { value: "rotate", label: "One after the other", description: "Each call shows the next number" },
  {
    value: "local",
    label: "A number from near the person",
    description: "Of their area or country where there is one, otherwise one after the other",
  },
  { value: "first", label: "Always the same", description: "The first that can be used" },
];

export function StepWhere({ form }: StepProps) {
  const may = useMay();
  return (
    <Stack>
      <Section
        title="Numbers that people see"
        lead="The numbers you may show come from your carrier, and people can call them back."
      >
        {may("trunk:read") ? (
          <FromWhere form={form} />
        ) : (
          <Text size="sm" c="dimmed">
            Your role does not show carriers and their numbers. Without a choice here, all of the organisation's are
            used.
          </Text>
        )}
        <Radio.Group label="Which one is shown" {...form.getInputProps("settings.callers.choice")}>
          <Stack gap="xs" mt="xs">
            {choices.map((c) => (
              <Radio key={c.value} {...c} />
            ))}
          </Stack>
        </Radio.Group>
      </Section>
    </Stack>
  );
}

const everything = { params: { query: { limit: 200 } } } as const;

function FromWhere({ form }: Pick<StepProps, "form">) {
  const numbers = useQuery({
    queryKey: ["caller-numbers"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/caller-numbers", { ...everything, signal })),
  });
  const trunks = useQuery({
    queryKey: ["trunks"],
    queryFn: ({ signal }) => unwrap(client.GET("/api/v1/trunks", { ...everything, signal })),
  });
  if (numbers.isError) return <Failed error={numbers.error} retry={() => numbers.refetch()} />;
  if (trunks.isError) return <Failed error={trunks.error} retry={() => trunks.refetch()} />;
  if (!numbers.data || !trunks.data) return <Rows n={2} />;
  const { trunk, numbers: chosen } = form.values.settings.callers;
  const trunkData = trunks.data.items.map((t) => ({
    value: t.id,
    label: t.enabled ? t.name : `${t.name} (switched off)`,
  }));
  if (trunk && !trunkData.some((t) => t.value === trunk))
    trunkData.push({ value: trunk, label: "One that was deleted" });
  const numberData = numbers.data.items.map((n) => ({
    value: n.id,
    label: [n.number, n.displayName, n.enabled ? "" : "switched off"].filter(Boolean).join(", "),
  }));
  for (const id of chosen ?? []) {
    if (!numberData.some((n) => n.value === id)) numberData.push({ value: id, label: "One that was deleted" });
  }
  return (
    <>
      {trunkData.length === 0 && (
        <Alert color="clay" variant="light" title="There is no trunk">
          <Text size="sm">
            A trunk is the line to a carrier, which brings calls to phone numbers. Until there is one, nobody outside
            can be called.{" "}
            <Anchor renderRoot={(p) => <Link {...p} to="/trunks" />} size="sm" c="inherit" underline="always">
              Go to trunks
            </Anchor>
          </Text>
        </Alert>
      )}
      <MultiSelect
        label="Numbers"
        description="None chosen: all of the organisation's"
        placeholder={(chosen ?? []).length === 0 ? "All" : undefined}
        data={numberData}
        searchable
        nothingFoundMessage="There is no such number"
        {...form.getInputProps("settings.callers.numbers")}
      />
      <Select
        label="Trunk"
        description="The line to a carrier that brings the calls"
        data={[{ value: "", label: "The one of the number shown" }, ...trunkData]}
        allowDeselect={false}
        {...form.getInputProps("settings.callers.trunk")}
      />
    </>
  );
}
