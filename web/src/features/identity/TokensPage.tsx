import {
  Alert,
  Anchor,
  Badge,
  Button,
  Group,
  Modal,
  Paper,
  Select,
  Stack,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { formErrors } from "../../api/client";
import { Copy } from "../../ui/Copy";
import { when } from "../../ui/format";
import { confirm, done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useCreateToken, useRevokeToken, useTokens } from "./api";

/** API tokens: how programs sign in. */
export function TokensPage() {
  const tokens = useTokens();
  const revoke = useRevokeToken();
  const [open, dialog] = useDisclosure(false);
  const add = (
    <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
      New token
    </Button>
  );
  return (
    <Page
      title="API tokens"
      lead={
        <>
          For programs that use Parley. The{" "}
          <Anchor href="/docs" underline="always">
            API reference
          </Anchor>{" "}
          says what they can do.
        </>
      }
      actions={add}
    >
      <Paper p="md">
        <Loaded query={tokens}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty
                icon={<IconKey size={22} />}
                title="No tokens yet"
                text="Make one for each program, so that one can be revoked without the others."
                action={add}
              />
            ) : (
              <Table.ScrollContainer minWidth={560}>
                <Table>
                  <Table.Thead>
                    <Table.Tr>
                      <Table.Th>Name</Table.Th>
                      <Table.Th>Made</Table.Th>
                      <Table.Th>Last used</Table.Th>
                      <Table.Th>Expires</Table.Th>
                      <Table.Th aria-label="Actions" />
                    </Table.Tr>
                  </Table.Thead>
                  <Table.Tbody>
                    {data.items.map((t) => (
                      <Table.Tr key={t.id}>
                        <Table.Td fw={600}>{t.name}</Table.Td>
                        <Table.Td>{when(t.createdAt)}</Table.Td>
                        <Table.Td>{t.lastUsedAt ? when(t.lastUsedAt) : <Badge color="gray">never</Badge>}</Table.Td>
                        <Table.Td>{t.expiresAt ? when(t.expiresAt) : "Does not"}</Table.Td>
                        <Table.Td ta="right">
                          <Button
                            size="xs"
                            variant="subtle"
                            color="red"
                            onClick={() =>
                              confirm({
                                title: `Revoke “${t.name}”?`,
                                text: "Programs that use it are refused from now on. This cannot be undone.",
                                action: "Revoke",
                                onConfirm: () =>
                                  revoke.mutate(t.id, {
                                    onSuccess: () => done("The token was revoked."),
                                    onError: failed,
                                  }),
                              })
                            }
                          >
                            Revoke
                          </Button>
                        </Table.Td>
                      </Table.Tr>
                    ))}
                  </Table.Tbody>
                </Table>
              </Table.ScrollContainer>
            )
          }
        </Loaded>
      </Paper>
      <NewToken opened={open} close={dialog.close} />
    </Page>
  );
}

function NewToken({ opened, close }: { opened: boolean; close: () => void }) {
  const create = useCreateToken();
  const [secret, setSecret] = useState("");
  const form = useForm({
    initialValues: { name: "", days: "90" },
    validate: { name: (v) => (v.trim() ? null : "Say what will use it.") },
  });
  const leave = () => {
    close();
    setSecret("");
    form.reset();
  };
  return (
    <Modal
      opened={opened}
      onClose={leave}
      title={secret ? "Your new token" : "New API token"}
      closeOnClickOutside={!secret}
    >
      {secret ? (
        <Stack>
          <Alert color="clay" variant="light">
            Copy it now. Only a hash of it is kept, so it cannot be shown again.
          </Alert>
          <Paper p="sm">
            <Copy value={secret} label="the token" />
          </Paper>
          <Text size="sm" c="dimmed">
            Send it as <code>Authorization: Bearer …</code>
          </Text>
          <Button onClick={leave}>I have it</Button>
        </Stack>
      ) : (
        <form
          onSubmit={form.onSubmit(({ name, days }) => {
            const expiresAt =
              days === "never" ? undefined : new Date(Date.now() + Number(days) * 86_400_000).toISOString();
            create.mutate(
              { name: name.trim(), ...(expiresAt ? { expiresAt } : {}) },
              {
                onSuccess: (t) => setSecret(t.secret),
                onError: (e) => {
                  form.setErrors(formErrors(e));
                  failed(e);
                },
              },
            );
          })}
        >
          <Stack>
            <TextInput
              label="What will use it?"
              placeholder="Nightly export"
              data-autofocus
              {...form.getInputProps("name")}
            />
            <Select
              label="Valid for"
              allowDeselect={false}
              data={[
                { value: "30", label: "30 days" },
                { value: "90", label: "90 days" },
                { value: "365", label: "A year" },
                { value: "never", label: "Until it is revoked" },
              ]}
              {...form.getInputProps("days")}
            />
            <Group justify="flex-end">
              <Button variant="default" onClick={leave}>
                Cancel
              </Button>
              <Button type="submit" loading={create.isPending}>
                Make the token
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}
