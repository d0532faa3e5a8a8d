import { Badge, Button, Group, Modal, Paper, Stack, Table, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus } from "@tabler/icons-react";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Loaded } from "../../ui/states";
import { useMe } from "./api";
import { type SuperAdmin, useGrantSuper, useRevokeSuper, useSuperAdmins } from "./superApi";

/** Who administers the installation, and who shall. */
export function SuperAdminsPage() {
  const admins = useSuperAdmins();
  const [open, dialog] = useDisclosure(false);
  return (
    <Page
      title="Super-admins"
      lead="They see every organisation's name, plan and people, and may act as them with a reason. What they do stands in the platform log."
      actions={
        <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
          Add a super-admin
        </Button>
      }
    >
      <Paper p="md">
        <Loaded query={admins} rows={2}>
          {({ items }) => <Admins items={items} />}
        </Loaded>
      </Paper>
      <Modal opened={open} onClose={dialog.close} title="Add a super-admin">
        <Grant close={dialog.close} />
      </Modal>
    </Page>
  );
}

function Admins({ items }: { items: SuperAdmin[] }) {
  const { data: me } = useMe();
  const revoke = useRevokeSuper();
  const ask = (a: SuperAdmin) => {
    const self = a.userId === me?.user.id;
    confirm({
      title: self ? "Give up administering the installation?" : `${a.name || a.email} no longer administers it?`,
      text: `${self ? "You no longer see" : "They no longer see"} these pages, and acting as others ends at once. The account stays.`,
      action: "Revoke",
      onConfirm: () => revoke.mutate(a.userId, { onSuccess: () => done("It is revoked."), onError: failed }),
    });
  };
  return (
    <Listing minWidth={460}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {items.map((a) => (
          <Table.Tr key={a.userId}>
            <Table.Td>
              <Group gap="xs">
                <Text fw={600} size="sm">
                  {a.name || a.email}
                </Text>
                {a.userId === me?.user.id && <Badge>you</Badge>}
              </Group>
              <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
                {a.email}
              </Text>
            </Table.Td>
            <Table.Td ta="right">
              {items.length > 1 && (
                <Button
                  size="xs"
                  variant="subtle"
                  color="red"
                  aria-label={`Revoke ${a.name || a.email}`}
                  onClick={() => ask(a)}
                >
                  Revoke
                </Button>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function Grant({ close }: { close: () => void }) {
  const grant = useGrantSuper();
  const form = useForm({
    initialValues: { email: "" },
    validate: {
      email: (v) => (/^\S+@\S+\.\S+$/.test(v.trim()) ? null : "An e-mail address looks like name@example.org."),
    },
  });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit(({ email }) =>
        grant.mutate(email.trim(), {
          onSuccess: (a) => {
            done(`${a.name || a.email} administers the installation now.`);
            close();
          },
          onError: (e) => refuse(form, e),
        }),
      )}
    >
      <Stack>
        <TextInput
          label="E-mail"
          description="Of somebody who has an account here. Invite others into an organisation first."
          type="email"
          required
          data-autofocus
          {...form.getInputProps("email")}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={grant.isPending}>
            Add
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
