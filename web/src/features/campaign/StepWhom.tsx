import { Select, Stack, Text } from "@mantine/core";
import { count } from "../../ui/format";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useProgress } from "./api";
import { countries } from "./countries";
import { DoNotCallChoice } from "./DoNotCallChoice";
import { Imports } from "./Imports";
import { ImportWizard } from "./ImportWizard";
import type { StepProps } from "./StepWho";
import { leadStateName, over, unbegun } from "./words";

export function StepWhom({ form, campaign }: StepProps) {
  const began = !unbegun(campaign.state);
  const may = useMay();
  const progress = useProgress(campaign.id);
  return (
    <Stack>
      <Section title="The list" lead="The people who are called. A number is on a campaign's list once.">
        <Loaded query={progress} rows={1}>
          {(p) => {
            const all = Object.values(p.leads).reduce((a, b) => a + b, 0);
            if (all === 0) return <Text size="sm">Nobody is on the list yet.</Text>;
            const parts = Object.entries(p.leads)
              .filter(([, n]) => n > 0)
              .map(([state, n]) => `${leadStateName(state).toLowerCase()}: ${n.toLocaleString("en-GB")}`);
            return (
              <Text size="sm">
                <b>{count(all, "person", "people")}</b> ({parts.join(", ")})
              </Text>
            );
          }}
        </Loaded>
        <Select
          label="Country of numbers without a country code"
          description={
            began ? "It stays: the list was read with it." : "030 123456 is +49 30 123456 where it is Germany"
          }
          placeholder="None: such numbers are refused"
          data={countries()}
          searchable
          clearable
          disabled={began}
          maw={400}
          {...form.getInputProps("settings.country")}
          value={form.values.settings.country || null}
          onChange={(v) => form.setFieldValue("settings.country", v ?? "")}
        />
      </Section>
      <DoNotCallChoice form={form} />
      {may("campaign:import") && !over(campaign.state) && (
        <Section title="Bring a list" lead="It is read in the background; you can go on meanwhile, or leave the page.">
          <ImportWizard campaign={campaign} />
        </Section>
      )}
      <Imports campaignId={campaign.id} />
    </Stack>
  );
}
