import { NumberInput, Radio, SimpleGrid, Stack } from "@mantine/core";
import { Section } from "../../ui/Section";
import type { StepProps } from "./StepWho";
import { modes, unbegun } from "./words";

export function StepSpeed({ form, campaign }: StepProps) {
  const began = !unbegun(campaign.state);
  const { dialler } = form.values.settings;
  const number = (path: string, label: string, description: string, more: object = {}) => (
    <NumberInput
      label={label}
      description={description}
      min={0}
      clampBehavior="none"
      {...more}
      {...form.getInputProps(`settings.${path}`)}
    />
  );
  return (
    <Stack>
      <Section title="Who talks" lead={began ? "It stays as it was when the campaign began." : undefined}>
        <Radio.Group aria-label="Who talks" {...form.getInputProps("settings.dialler.mode")}>
          <Stack gap="xs">
            {Object.entries(modes).map(([value, m]) => (
              <Radio
                key={value}
                value={value}
                label={m.label}
                description={
                  value === "agentless" ? m.description : `${m.description}. Needs people who take calls at a desk`
                }
                disabled={began}
              />
            ))}
          </Stack>
        </Radio.Group>
      </Section>
      <Section
        title="How fast"
        lead="Limits of your own. Calls that come in, your plan and what your carrier takes may leave it less; the campaign's page says so."
      >
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          {number("dialler.lines", "Calls at once", "As usual: 5")}
          {number("dialler.perSecond", "Calls begun in a second", "As usual: 1. 0: as many as lines allow", {
            step: 0.5,
          })}
          {number("dialler.ringSeconds", "How long it rings", "As usual: 30 seconds; at least 15", { suffix: " s" })}
          {number("weight", "Share beside other campaigns", "1 is an equal share, 2 is twice as many lines", {
            min: 1,
          })}
          {dialler.mode === "ratio" &&
            number("dialler.ratio", "Calls for each free operator", "From 1 to 5", { step: 0.1, min: 1 })}
          {dialler.mode !== "agentless" && (
            <NumberInput
              label="Answered calls that may find nobody"
              description="As usual: 3 %. The law of a place may allow less"
              min={0}
              max={10}
              step={0.5}
              suffix=" %"
              value={typeof dialler.mostDropped === "number" ? Math.round(dialler.mostDropped * 1000) / 10 : ""}
              onChange={(v) =>
                form.setFieldValue("settings.dialler.mostDropped", typeof v === "number" ? v / 100 : (v as never))
              }
              error={form.errors["settings.dialler.mostDropped"]}
            />
          )}
        </SimpleGrid>
      </Section>
    </Stack>
  );
}
