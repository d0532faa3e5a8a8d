import { Badge, Button, Group, Modal, PasswordInput, Stack, Table, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { bytes, since, words } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { save } from "../../ui/save";
import { Loaded } from "../../ui/states";
import { type Export, goesOn, useAskForExport, useDownloadExport, useExports, useRemoveExport } from "./exportApi";

/** A file of the whole organisation, made by a job and taken by an owner. */
export function OrganisationExports() {
  const exports = useExports();
  const [open, dialog] = useDisclosure(false);
  const running = exports.data?.items.some(goesOn) ?? false;
  return (
    <Section
      title="Take everything out"
      lead="A file with all that belongs to the organisation: settings, agents, calls with their recordings, and the audit trail. Any Parley server can import it."
      actions={
        exports.data &&
        !running && (
          <Button size="xs" variant="default" onClick={dialog.open}>
            Make the file
          </Button>
        )
      }
    >
      <Loaded query={exports} rows={1}>
        {({ items }) => (items.length > 0 ? <Files items={items} /> : null)}
      </Loaded>
      <Modal opened={open} onClose={dialog.close} title="Take everything out">
        <Ask close={dialog.close} />
      </Modal>
    </Section>
  );
}

function Files({ items }: { items: Export[] }) {
  return (
    <Listing minWidth={520} aria-label="Files of the organisation">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Asked for</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th ta="right">Size</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {items.map((e) => (
          <Table.Tr key={e.id}>
            <Table.Td>{since(e.requestedAt)}</Table.Td>
            <Table.Td>
              <State file={e} />
            </Table.Td>
            <Table.Td ta="right" className="num">
              {e.bytes > 0 ? bytes(e.bytes) : "–"}
            </Table.Td>
            <Table.Td>
              <Actions file={e} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

const colours: Record<Export["state"], string> = {
  waiting: "gray",
  running: "clay",
  ready: "pine",
  failed: "red",
  removed: "gray",
};

function State({ file: e }: { file: Export }) {
  return (
    <>
      <Badge color={colours[e.state]}>{words(e.state)}</Badge>
      <Text size="xs" c="dimmed" role={goesOn(e) ? "status" : undefined}>
        {e.state === "running" && e.stage}
        {e.state === "failed" && e.error}
        {e.state === "ready" && e.expiresAt && `Kept until ${since(e.expiresAt)}`}
        {e.state === "ready" &&
          e.downloads > 0 &&
          `, downloaded ${e.downloads === 1 ? "once" : `${e.downloads} times`}`}
      </Text>
    </>
  );
}

function Actions({ file: e }: { file: Export }) {
  const download = useDownloadExport();
  const remove = useRemoveExport();
  if (e.state === "failed" || e.state === "removed") return null;
  const ask = () =>
    confirm({
      title: goesOn(e) ? "Stop making the file?" : "Remove the file?",
      text: "Another one can be made at any time.",
      action: goesOn(e) ? "Stop" : "Remove",
      onConfirm: () => remove.mutate(e.id, { onSuccess: () => done("It is removed."), onError: failed }),
    });
  return (
    <Group gap={4} justify="flex-end" wrap="nowrap">
      {e.state === "ready" && (
        <Button
          size="xs"
          variant="default"
          loading={download.isPending}
          onClick={() =>
            download.mutate(e.id, { onSuccess: (blob) => save(blob, `organisation-${e.id}.parley`), onError: failed })
          }
        >
          Download
        </Button>
      )}
      <Button size="xs" variant="subtle" color="red" loading={remove.isPending} onClick={ask}>
        {goesOn(e) ? "Stop" : "Remove"}
      </Button>
    </Group>
  );
}

function Ask({ close }: { close: () => void }) {
  const ask = useAskForExport();
  const form = useForm({
    initialValues: { passphrase: "" },
    validate: { passphrase: (v) => (v.length >= 12 ? null : "Use a few words: 12 characters or more.") },
  });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit(({ passphrase }) =>
        ask.mutate(passphrase, {
          onSuccess: () => {
            done("The file is being made. You may leave this page.");
            close();
          },
          onError: (e) => refuse(form, e),
        }),
      )}
    >
      <Stack>
        <PasswordInput
          label="Passphrase"
          description="Encrypts the file. Whoever imports it needs it, and it is not kept here: note it down."
          required
          autoComplete="new-password"
          data-autofocus
          {...form.getInputProps("passphrase")}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={ask.isPending}>
            Make the file
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
