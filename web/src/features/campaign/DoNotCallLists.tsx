import {
  ActionIcon,
  Badge,
  Button,
  Group,
  Menu,
  Modal,
  Select,
  Stack,
  Table,
  Text,
  Textarea,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconDots, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { DoNotCallList } from "../../api/types";
import { count, when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { done, failed, refuse } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { save } from "../../ui/save";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { countries } from "./countries";
import {
  useAddNumbers,
  useCreateList,
  useDeleteList,
  useDoNotCallLists,
  useExportList,
  useImportList,
  useUpdateList,
} from "./doNotCallApi";
import { FileForm } from "./FileForm";
import { ReasonWindow } from "./ReasonWindow";

type Asking =
  | { what: "change" | "add" | "file" | "delete"; list: DoNotCallList }
  | { what: "new"; list?: undefined }
  | null;

export function DoNotCallLists() {
  const lists = useDoNotCallLists();
  const may = useMay()("donotcall:update");
  const [asking, ask] = useState<Asking>(null);
  const remove = useDeleteList();
  const close = () => ask(null);
  return (
    <Section
      title="Lists of your own"
      lead="Whoever says “don't call me again”, or presses the key for it, is put on the organisation's own list at once."
      actions={
        may && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => ask({ what: "new" })}>
            New list
          </Button>
        )
      }
    >
      <Loaded query={lists} rows={2}>
        {({ items }) => (
          <Listing minWidth={620}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>List</Table.Th>
                <Table.Th>Asked</Table.Th>
                <Table.Th ta="right">Numbers</Table.Th>
                <Table.Th>Changed</Table.Th>
                <Table.Th aria-label="Actions" />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((l) => (
                <Row key={l.id} list={l} ask={ask} />
              ))}
            </Table.Tbody>
          </Listing>
        )}
      </Loaded>
      <More query={lists} />
      <Modal
        opened={asking?.what === "new" || asking?.what === "change"}
        onClose={close}
        title={asking?.list ? `Change ${asking.list.name}` : "New list"}
      >
        {(asking?.what === "new" || asking?.what === "change") && <ListForm list={asking.list} close={close} />}
      </Modal>
      <Modal opened={asking?.what === "add"} onClose={close} title={`Add numbers to ${asking?.list?.name}`}>
        {asking?.what === "add" && <AddForm list={asking.list} close={close} />}
      </Modal>
      <Modal opened={asking?.what === "file"} onClose={close} title={`Add a file to ${asking?.list?.name}`}>
        {asking?.what === "file" && <ListFile list={asking.list} close={close} />}
      </Modal>
      <ReasonWindow
        opened={asking?.what === "delete"}
        close={close}
        title={`Delete ${asking?.list?.name}?`}
        text="Its numbers can be called again, unless another list holds them."
        action="Delete it"
        run={async (reason) => {
          await remove.mutateAsync({ id: asking?.list?.id ?? "", reason });
          done("The list was deleted.");
        }}
      />
    </Section>
  );
}

function Row({ list: l, ask }: { list: DoNotCallList; ask: (a: Asking) => void }) {
  const may = useMay()("donotcall:update");
  const out = useExportList();
  return (
    <Table.Tr>
      <Table.Td>
        <Text size="sm" fw={600}>
          {l.name} {l.own && <Badge color="pine">Opt-outs</Badge>}
        </Text>
        {l.description && (
          <Text size="xs" c="dimmed">
            {l.description}
          </Text>
        )}
      </Table.Td>
      <Table.Td>{l.scope === "organisation" ? "Before every call" : "By campaigns that name it"}</Table.Td>
      <Table.Td ta="right" className="num">
        {l.numbers.toLocaleString("en-GB")}
      </Table.Td>
      <Table.Td>{when(l.updatedAt)}</Table.Td>
      <Table.Td ta="right">
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${l.name}`}>
              <IconDots size={18} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {may && <Menu.Item onClick={() => ask({ what: "add", list: l })}>Add numbers</Menu.Item>}
            {may && <Menu.Item onClick={() => ask({ what: "file", list: l })}>Add a file</Menu.Item>}
            <Menu.Item
              onClick={() => out.mutate(l.id, { onSuccess: (b) => save(b, "do-not-call.csv"), onError: failed })}
            >
              Download as CSV
            </Menu.Item>
            {may && <Menu.Item onClick={() => ask({ what: "change", list: l })}>Change</Menu.Item>}
            {may && !l.own && (
              <Menu.Item color="red" onClick={() => ask({ what: "delete", list: l })}>
                Delete
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
      </Table.Td>
    </Table.Tr>
  );
}

const scopes = [
  { value: "organisation", label: "Before every call" },
  { value: "campaign", label: "Only by campaigns that name it" },
];

function ListForm({ list, close }: { list?: DoNotCallList; close: () => void }) {
  const create = useCreateList();
  const update = useUpdateList();
  const form = useForm({
    initialValues: {
      name: list?.name ?? "",
      description: list?.description ?? "",
      scope: list?.scope ?? ("organisation" as DoNotCallList["scope"]),
    },
    validate: { name: (v) => (v.trim() ? null : "Give it a name.") },
  });
  const submit = form.onSubmit(async (v) => {
    try {
      const body = { ...v, name: v.name.trim(), description: v.description.trim() };
      await (list ? update.mutateAsync({ id: list.id, ...body }) : create.mutateAsync(body));
      done(list ? "The list was changed." : "The list was made. It is empty.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput label="Name" required maxLength={100} data-autofocus {...form.getInputProps("name")} />
        <TextInput label="What for" maxLength={1000} {...form.getInputProps("description")} />
        <Select
          label="When it is asked"
          description={list?.own ? "The organisation's own is always asked" : undefined}
          data={scopes}
          allowDeselect={false}
          disabled={list?.own}
          {...form.getInputProps("scope")}
        />
        <Buttons close={close} action={list ? "Save" : "Make the list"} busy={create.isPending || update.isPending} />
      </Stack>
    </form>
  );
}

function Buttons({ close, action, busy }: { close: () => void; action: string; busy: boolean }) {
  return (
    <Group justify="flex-end">
      <Button variant="default" onClick={close}>
        Cancel
      </Button>
      <Button type="submit" loading={busy}>
        {action}
      </Button>
    </Group>
  );
}

function Country(props: { value?: string; onChange?: (v: string) => void }) {
  return (
    <Select
      label="Country of numbers without a country code"
      placeholder="None: such numbers are refused"
      data={countries()}
      searchable
      clearable
      value={props.value || null}
      onChange={(v) => props.onChange?.(v ?? "")}
    />
  );
}

function AddForm({ list, close }: { list: DoNotCallList; close: () => void }) {
  const add = useAddNumbers();
  const form = useForm({
    initialValues: { numbers: "", country: "", reason: "" },
    validate: { numbers: (v) => (v.trim() ? null : "Which numbers?") },
  });
  const submit = form.onSubmit(async (v) => {
    const numbers = v.numbers
      .split(/[\n,;]+/)
      .map((n) => n.trim())
      .filter(Boolean);
    try {
      const r = await add.mutateAsync({
        id: list.id,
        numbers,
        reason: v.reason.trim(),
        ...(v.country ? { country: v.country } : {}),
      });
      const refused = r.refused ?? [];
      if (refused.length > 0) {
        form.setValues({ numbers: refused.map((x) => x.number).join("\n") });
        form.setFieldError(
          "numbers",
          `${r.added} added. These are no telephone numbers; write them with their country code.`,
        );
        return;
      }
      done(`${count(r.added, "number", "numbers")} added${r.known > 0 ? `, ${r.known} were on the list` : ""}.`);
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <Textarea
          label="Numbers"
          description="One a line"
          placeholder="+49 30 123456"
          autosize
          minRows={4}
          maxRows={12}
          required
          data-autofocus
          {...form.getInputProps("numbers")}
        />
        <Country {...form.getInputProps("country")} />
        <TextInput label="Why" description="May stay empty" maxLength={1000} {...form.getInputProps("reason")} />
        <Buttons close={close} action="Add them" busy={add.isPending} />
      </Stack>
    </form>
  );
}

function ListFile({ list, close }: { list: DoNotCallList; close: () => void }) {
  const add = useImportList();
  return (
    <FileForm
      text="A CSV file or a text with a number on each line, at most 64 MB."
      accept=".csv,.txt,text/csv,text/plain"
      begin={{ country: "" }}
      action="Add them"
      close={close}
      send={async (file, { country }) => {
        const r = await add.mutateAsync({ id: list.id, file, country });
        return `${count(r.added, "number", "numbers")} added; ${count(r.refused, "line", "lines")} of ${r.lines} had none.`;
      }}
    >
      {(form) => <Country {...form.getInputProps("country")} />}
    </FileForm>
  );
}
