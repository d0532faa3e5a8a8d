import { Button, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Campaign, LeadDetail } from "../../api/types";
import { since } from "../../ui/format";
import { done, refuse } from "../../ui/notify";
import { useCallBack } from "./leadsApi";
import { clockOf, fromWall, placeOf, toWall } from "./zone";

/** Arranges a call at a time, on the clock of the person who is called. */
export function CallBackForm(props: { campaign: Campaign; lead: LeadDetail; close: () => void }) {
  const { campaign, lead, close } = props;
  const callBack = useCallBack();
  const known = lead.zones ?? [];
  const zones = known.length > 0 ? known : [campaign.settings.schedule.zone];
  const form = useForm({
    initialValues: { zone: lead.zone || (zones[0] ?? "UTC"), at: "" },
    validate: { at: (v) => (v ? null : "When?") },
  });
  const { zone, at } = form.values;
  const instant = fromWall(at, zone);
  const submit = form.onSubmit(async () => {
    if (!instant) return;
    try {
      await callBack.mutateAsync({ id: campaign.id, leadId: lead.id, at: instant });
      done(`${lead.name || lead.number} is called ${since(instant)}, before others.`);
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        {zones.length > 1 ? (
          <Select
            label="On whose clock"
            description="The number may be in any of these time zones. Choose the one the person meant"
            data={zones}
            allowDeselect={false}
            searchable
            {...form.getInputProps("zone")}
          />
        ) : null}
        <Text size="sm">
          {known.length > 0 ? "Where the person is" : "Where they are is not known. On the campaign's clock"} (
          {placeOf(zone)}) it is now <b>{clockOf(new Date(), zone)}</b>.
        </Text>
        <TextInput
          type="datetime-local"
          label="Day and time there"
          description="Within 90 days"
          required
          data-autofocus
          min={toWall(new Date().toISOString(), zone)}
          {...form.getInputProps("at")}
        />
        <Text size="sm" c="dimmed" role="status">
          {instant && `On your clock: ${since(instant)}. `}
          The hours in which people may be called there count all the same: outside of them the call waits.
        </Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={callBack.isPending}>
            Call then
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
