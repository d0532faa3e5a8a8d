import { Badge, Button, Group, Modal, Select, Stack, Switch, Table, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconPhoneOutgoing, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { CallerNumber, Trunk } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { done, failed, refuse } from "../../ui/notify";
import { RowActions } from "../../ui/RowActions";
import { Section } from "../../ui/Section";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import {
  readCallerNumber,
  useCallerNumbers,
  useChangeCallerNumber,
  useCreateCallerNumber,
  useDeleteCallerNumber,
} from "./trunkApi";

/** The numbers that may be shown to whoever is called. */
export function CallerNumbers({ trunks }: { trunks: Trunk[] }) {
  const numbers = useCallerNumbers();
  const [adding, dialog] = useDisclosure(false);
  const [changed, change] = useState<CallerNumber | null>(null);
  const may = useMay();
  const remove = useDeleteCallerNumber();
  const add = may("trunk:create") && (
    <Button variant="light" leftSection={<IconPlus size={16} />} onClick={dialog.open}>
      Add a number
    </Button>
  );
  const nameOf = (id: string) => trunks.find((t) => t.id === id)?.name ?? "Any trunk";
  return (
    <Section
      title="Numbers that calls show"
      lead="Only numbers that are yours. A call shows the one nearest to whom it calls, unless a campaign says otherwise."
      actions={add}
    >
      <Loaded query={numbers} rows={3}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty
              icon={<IconPhoneOutgoing size={22} />}
              title="No numbers yet"
              text="Without any the carrier decides what is shown to whoever is called."
            />
          ) : (
            <Listing minWidth={560}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Number</Table.Th>
                  <Table.Th>From</Table.Th>
                  <Table.Th>Trunk</Table.Th>
                  <Table.Th aria-label="Actions" />
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {items.map((n) => (
                  <Table.Tr key={n.id}>
                    <Table.Td>
                      <Text span fw={600}>
                        {n.number}
                      </Text>{" "}
                      {!n.enabled && <Badge color="gray">Off</Badge>}
                      {n.displayName && (
                        <Text size="xs" c="dimmed">
                          {n.displayName}
                        </Text>
                      )}
                    </Table.Td>
                    <Table.Td>{[n.country, n.region, n.area].filter(Boolean).join(" ") || "–"}</Table.Td>
                    <Table.Td>{n.trunkId ? nameOf(n.trunkId) : "Any trunk"}</Table.Td>
                    <Table.Td>
                      <RowActions
                        name={n.number}
                        change={may("trunk:update") ? () => change(n) : undefined}
                        remove={
                          may("trunk:delete")
                            ? {
                                text: "No call shows it any more.",
                                run: () =>
                                  remove.mutate(n.id, {
                                    onSuccess: () => done("The number was deleted."),
                                    onError: failed,
                                  }),
                              }
                            : undefined
                        }
                      />
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Listing>
          )
        }
      </Loaded>
      <More query={numbers} />
      <NewNumber opened={adding} close={dialog.close} trunks={trunks} />
      <Modal opened={changed !== null} onClose={() => change(null)} title={`Number ${changed?.number}`}>
        {changed && (
          <Editing of={["caller-number", changed.id]} read={readCallerNumber(changed.id)}>
            {(begun) => <ChangeNumber begun={begun} trunks={trunks} close={() => change(null)} />}
          </Editing>
        )}
      </Modal>
    </Section>
  );
}

const choices = (trunks: Trunk[]) => [
  { value: "", label: "Any trunk" },
  ...trunks.map((t) => ({ value: t.id, label: t.name })),
];

function NewNumber({ opened, close, trunks }: { opened: boolean; close: () => void; trunks: Trunk[] }) {
  const create = useCreateCallerNumber();
  const form = useForm({ initialValues: { number: "", displayName: "", trunkId: "" } });
  const submit = form.onSubmit(async ({ number, displayName, trunkId }) => {
    try {
      await create.mutateAsync({ number, ...(displayName ? { displayName } : {}), ...(trunkId ? { trunkId } : {}) });
      form.reset();
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <Modal opened={opened} onClose={close} title="Add a number">
      <form noValidate onSubmit={submit}>
        <Stack>
          <TextInput
            label="Number"
            description="In international form"
            placeholder="+49 30 123456"
            inputMode="tel"
            data-autofocus
            required
            {...form.getInputProps("number")}
          />
          <TextInput
            label="Name"
            description="Shown where the carrier passes it on"
            {...form.getInputProps("displayName")}
          />
          <Select label="Trunk" data={choices(trunks)} allowDeselect={false} {...form.getInputProps("trunkId")} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending}>
              Add the number
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function ChangeNumber(props: { begun: Begun<CallerNumber>; trunks: Trunk[]; close: () => void }) {
  const n = props.begun.value;
  const change = useChangeCallerNumber();
  const form = useForm({ initialValues: { displayName: n.displayName, trunkId: n.trunkId, enabled: n.enabled } });
  const submit = form.onSubmit(async (mine) => {
    try {
      await props.begun.save(mine, (tag) => change.mutateAsync({ id: n.id, tag, ...mine }));
      done("The number was changed.");
      props.close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput label="Name" maxLength={100} data-autofocus {...form.getInputProps("displayName")} />
        <Select label="Trunk" data={choices(props.trunks)} allowDeselect={false} {...form.getInputProps("trunkId")} />
        <Switch label="Calls may show it" {...form.getInputProps("enabled", { type: "checkbox" })} />
        <Group justify="flex-end">
          <Button variant="default" onClick={props.close}>
            Cancel
          </Button>
          <Button type="submit" loading={change.isPending}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
