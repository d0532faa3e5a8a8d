import { Button, Group, Modal, Paper, Stack, Table, TextInput } from "@mantine/core";
import { IconPlus, IconStack2 } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import type { Plan } from "../../api/types";
import { Listing } from "../../ui/Listing";
import { done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { RowActions } from "../../ui/RowActions";
import { Empty, Loaded } from "../../ui/states";
import { LimitInputs } from "./LimitFields";
import { amount, fromFields, kinds, toFields } from "./limits";
import { useDeletePlan, usePlans, useSavePlan } from "./superApi";

/** Plans: sets of limits that organisations share. */
export function PlansPage() {
  const plans = usePlans();
  const remove = useDeletePlan();
  const [open, setOpen] = useState<Plan | "new" | null>(null);
  const add = (
    <Button leftSection={<IconPlus size={16} />} onClick={() => setOpen("new")}>
      New plan
    </Button>
  );
  return (
    <Page
      title="Plans"
      lead="A plan's limits count for every organisation that has it, unless the organisation has its own."
      actions={add}
    >
      <Paper p="md">
        <Loaded query={plans} rows={2}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty
                icon={<IconStack2 size={22} />}
                title="No plans yet"
                text="Organisations without a plan have no limits but their own."
                action={add}
              />
            ) : (
              <Listing minWidth={460}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Name</Table.Th>
                    <Table.Th>Limits</Table.Th>
                    <Table.Th aria-label="Actions" />
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {data.items.map((p) => (
                    <Table.Tr key={p.id}>
                      <Table.Td fw={600}>{p.name}</Table.Td>
                      <Table.Td>{summary(p)}</Table.Td>
                      <Table.Td>
                        <RowActions
                          name={p.name}
                          change={() => setOpen(p)}
                          remove={{
                            text: "It goes only when no organisation has it.",
                            run: () =>
                              remove.mutate(p.id, { onSuccess: () => done("The plan was deleted."), onError: failed }),
                          }}
                        />
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Listing>
            )
          }
        </Loaded>
      </Paper>
      <Modal
        opened={open !== null}
        onClose={() => setOpen(null)}
        title={open && open !== "new" ? open.name : "New plan"}
      >
        {open && <PlanForm plan={open === "new" ? undefined : open} close={() => setOpen(null)} />}
      </Modal>
    </Page>
  );
}

function summary(p: Plan): string {
  const parts = kinds.flatMap(({ key, label }) => {
    const n = p.limits[key];
    return n === undefined ? [] : [`${label} ${amount(key, n)}`];
  });
  return parts.join(", ") || "None";
}

function PlanForm({ plan, close }: { plan?: Plan; close: () => void }) {
  const save = useSavePlan();
  const [name, setName] = useState(plan?.name ?? "");
  const [limits, setLimits] = useState(toFields(plan?.limits ?? {}));
  const submit = (e: FormEvent) => {
    e.preventDefault();
    save.mutate(
      { ...(plan ? { id: plan.id } : {}), name: name.trim(), limits: fromFields(limits) },
      {
        onSuccess: () => {
          done("The plan is saved.");
          close();
        },
        onError: failed,
      },
    );
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput
          label="Name"
          required
          maxLength={120}
          data-autofocus
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
        />
        <LimitInputs value={limits} onChange={setLimits} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending} disabled={!name.trim()}>
            Save the plan
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
