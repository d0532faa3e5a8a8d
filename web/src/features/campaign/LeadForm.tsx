import { ActionIcon, Button, Group, Input, Select, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useState } from "react";
import type { Campaign, Lead } from "../../api/types";
import { done, refuse } from "../../ui/notify";
import { countries } from "./countries";
import { useAddLead, useFirstLeads, useUpdateLead } from "./leadsApi";
import { zones } from "./zone";

type Props = { campaign: Campaign; lead?: Lead; close: () => void };

/** Adds a person to a list, or changes what is known of one. */
export function LeadForm({ campaign, lead, close }: Props) {
  const add = useAddLead();
  const update = useUpdateLead();
  const others = useFirstLeads(campaign.id, {}).data?.items ?? [];
  const form = useForm({
    initialValues: {
      number: lead?.number ?? "",
      name: lead?.name ?? "",
      country: lead?.country ?? "",
      region: lead?.region ?? "",
      zone: lead?.zone ?? "",
      variables: lead?.variables ?? Object.fromEntries(namesOf(others).map((n) => [n, ""])),
    },
    validate: { number: (v) => (v.trim() ? null : "Which number?") },
  });
  const called = (lead?.attempts ?? 0) > 0;
  const submit = form.onSubmit(async (v) => {
    const values = { ...v, variables: Object.fromEntries(Object.entries(v.variables).filter(([, x]) => x.trim())) };
    try {
      if (lead) {
        const { number, ...rest } = values;
        await update.mutateAsync({
          id: campaign.id,
          leadId: lead.id,
          ...rest,
          ...(number === lead.number ? {} : { number }),
        });
        done("It was changed.");
      } else {
        const r = await add.mutateAsync({ id: campaign.id, ...values });
        if (r?.result !== "added") {
          form.setErrors({ [r?.field || "number"]: r?.reason || `${r?.number} is on this list already.` });
          return;
        }
        done(`${v.name.trim() || r.number} is on the list.`);
      }
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput
          label="Number"
          description={called ? "It was called already, so it stays on record" : undefined}
          placeholder="+49 30 123456"
          type="tel"
          maxLength={40}
          required
          disabled={called}
          data-autofocus
          {...form.getInputProps("number")}
        />
        <TextInput label="Name" maxLength={200} {...form.getInputProps("name")} />
        <Group grow align="flex-start">
          <Select
            label="Country of their address"
            placeholder="As their number"
            data={countries()}
            searchable
            clearable
            {...form.getInputProps("country")}
            value={form.values.country || null}
            onChange={(v) => form.setFieldValue("country", v ?? "")}
          />
          <TextInput label="State or region" placeholder="FL" maxLength={3} {...form.getInputProps("region")} />
        </Group>
        <Select
          label="Time zone"
          description="Empty: as number and address tell"
          placeholder="As their number"
          data={form.values.zone && !zones.includes(form.values.zone) ? [form.values.zone, ...zones] : zones}
          searchable
          clearable
          {...form.getInputProps("zone")}
          value={form.values.zone || null}
          onChange={(v) => form.setFieldValue("zone", v ?? "")}
        />
        <Variables
          of={form.values.variables}
          change={(v) => form.setFieldValue("variables", v)}
          error={form.errors.variables}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={add.isPending || update.isPending}>
            {lead ? "Save" : "Add"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** What is known of others is asked of a new one, too. */
const namesOf = (leads: Lead[]) =>
  [...new Set(leads.flatMap((l) => Object.keys(l.variables ?? {})))].sort().slice(0, 20);

type VariablesProps = {
  of: Record<string, string>;
  change: (v: Record<string, string>) => void;
  error?: React.ReactNode;
};

/** What the agent knows of a person: names and values. */
function Variables({ of, change, error }: VariablesProps) {
  const [rows, setRows] = useState(() =>
    Object.entries(of).map(([name, value], key) => ({ key, name, value, own: false })),
  );
  const set = (next: typeof rows) => {
    setRows(next);
    change(Object.fromEntries(next.filter((r) => r.name.trim()).map((r) => [r.name.trim(), r.value])));
  };
  const put = (key: number, part: { name?: string; value?: string }) =>
    set(rows.map((r) => (r.key === key ? { ...r, ...part } : r)));
  return (
    <Input.Wrapper label="What the agent knows of them" error={error} labelElement="div">
      <Stack gap="xs" mt={4} mb={error ? 4 : 0}>
        {rows.map((r) => (
          <Group key={r.key} wrap="nowrap" gap="xs" align="flex-end">
            {r.own ? (
              <TextInput
                aria-label="What it is called"
                placeholder="order_number"
                value={r.name}
                onChange={(e) => put(r.key, { name: e.currentTarget.value })}
                style={{ flex: 1 }}
              />
            ) : null}
            <TextInput
              label={r.own ? undefined : r.name}
              aria-label={r.own ? `Value of ${r.name || "the new one"}` : undefined}
              placeholder={r.own ? "4711" : undefined}
              value={r.value}
              onChange={(e) => put(r.key, { value: e.currentTarget.value })}
              style={{ flex: 1 }}
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              size={36}
              aria-label={`Remove ${r.name || "this row"}`}
              onClick={() => set(rows.filter((x) => x.key !== r.key))}
            >
              <IconX size={16} />
            </ActionIcon>
          </Group>
        ))}
        <Group>
          <Button
            size="xs"
            variant="default"
            leftSection={<IconPlus size={14} />}
            onClick={() =>
              setRows([...rows, { key: Math.max(-1, ...rows.map((r) => r.key)) + 1, name: "", value: "", own: true }])
            }
          >
            Something else
          </Button>
        </Group>
      </Stack>
    </Input.Wrapper>
  );
}
