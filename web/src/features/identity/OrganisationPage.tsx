import { Button, Group, NumberInput, Select, SimpleGrid, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMemo } from "react";
import type { Organisation } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { since } from "../../ui/format";
import { done, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { OrganisationExports } from "../compliance/OrganisationExports";
import { useMay } from "./api";
import { readOrganisation, readOrigins, useChangeOrganisation, useSetOrigins } from "./organisationApi";

/** The organisation's name and what counts for all of it. */
export function OrganisationPage() {
  const may = useMay();
  return (
    <Page title="Organisation" lead="What counts for everybody here.">
      <Editing of={["organisation"]} read={readOrganisation} stays>
        {(begun) => <Settings begun={begun} />}
      </Editing>
      <Origins />
      {may("organisation:export") && <OrganisationExports />}
    </Page>
  );
}

function Settings({ begun }: { begun: Begun<Organisation> }) {
  const o = begun.value;
  const may = useMay()("organisation:update");
  const change = useChangeOrganisation();
  const zones = useMemo(() => [...new Set(["UTC", o.timeZone, ...Intl.supportedValuesOf("timeZone")])], [o.timeZone]);
  const form = useForm({
    initialValues: {
      name: o.name,
      address: o.address,
      timeZone: o.timeZone,
      sessionIdleMinutes: (o.sessionIdleMinutes ?? "") as number | "",
    },
    validate: {
      name: (v) => (v.trim() ? null : "How is your organisation called?"),
      address: (v) =>
        /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(v)
          ? null
          : "Small letters, digits and hyphens, such as city-clinic.",
      sessionIdleMinutes: (v) => (v === "" || (v >= 5 && v <= 1440) ? null : "Between 5 minutes and a day (1440)."),
    },
  });
  const submit = form.onSubmit(async (v) => {
    const mine = { name: v.name.trim(), address: v.address, timeZone: v.timeZone };
    const idle = Number(v.sessionIdleMinutes);
    try {
      await begun.save({ ...mine, sessionIdleMinutes: idle || null }, (tag) =>
        change.mutateAsync({ tag, ...mine, sessionIdleMinutes: idle }),
      );
      done("Saved.");
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <Section title="General">
      <form noValidate onSubmit={submit}>
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput label="Name" required maxLength={120} readOnly={!may} {...form.getInputProps("name")} />
            <TextInput
              label="Address"
              description={`Calls to sip:AGENT.${form.values.address || "address"}@… reach your agents. Calls to an older address no longer arrive.`}
              inputWrapperOrder={["label", "input", "description", "error"]}
              required
              maxLength={40}
              readOnly={!may}
              {...form.getInputProps("address")}
            />
            <Select
              label="Time zone"
              description="Months of use and days in reports begin by it"
              inputWrapperOrder={["label", "input", "description", "error"]}
              searchable
              allowDeselect={false}
              readOnly={!may}
              data={zones}
              {...form.getInputProps("timeZone")}
            />
            <NumberInput
              label="Sign people out after minutes without use"
              description="Left empty: as the installation says"
              inputWrapperOrder={["label", "input", "description", "error"]}
              min={5}
              max={1440}
              clampBehavior="none"
              allowDecimal={false}
              readOnly={!may}
              {...form.getInputProps("sessionIdleMinutes")}
            />
            <div>
              <Text size="sm" fw={500}>
                Where its data is
              </Text>
              <Text size="sm" mt={6}>
                {o.placement === "own" ? "A database of its own" : "A database shared with others, kept apart by row"}
                {o.region && `, region ${o.region}`}. Since {since(o.createdAt)}.
              </Text>
            </div>
          </SimpleGrid>
          {may && (
            <Group>
              <Button type="submit" loading={change.isPending} disabled={!form.isDirty()}>
                Save
              </Button>
            </Group>
          )}
        </Stack>
      </form>
    </Section>
  );
}

function Origins() {
  return (
    <Section
      title="Other sites that may call the API"
      lead="Pages of these sites may call the API from a browser, with a token of yours. None is the safe choice."
    >
      <Editing of={["origins"]} read={readOrigins} rows={1} stays>
        {(begun) => <OriginsForm begun={begun} />}
      </Editing>
    </Section>
  );
}

function OriginsForm({ begun }: { begun: Begun<{ items: string[] }> }) {
  const may = useMay()("organisation:update");
  const set = useSetOrigins();
  const form = useForm({ initialValues: { items: begun.value.items } });
  const submit = form.onSubmit(async ({ items }) => {
    try {
      await begun.save({ items }, (tag) => set.mutateAsync({ tag, items }));
      done("Saved.");
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form onSubmit={submit}>
      <Stack>
        <TagsInput
          label="Sites"
          placeholder={may ? "https://shop.example.org" : ""}
          readOnly={!may}
          splitChars={[",", " "]}
          {...form.getInputProps("items")}
        />
        {may && (
          <Group>
            <Button type="submit" loading={set.isPending} disabled={!form.isDirty()}>
              Save the sites
            </Button>
          </Group>
        )}
      </Stack>
    </form>
  );
}
