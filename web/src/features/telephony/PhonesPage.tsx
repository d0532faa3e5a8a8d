import {
  ActionIcon,
  Alert,
  Badge,
  Button,
  Checkbox,
  Group,
  Menu,
  Modal,
  Paper,
  PasswordInput,
  Stack,
  Table,
  Text,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDisclosure } from "@mantine/hooks";
import { IconDeviceLandlinePhone, IconDots, IconKey, IconPencil, IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { formErrors } from "../../api/client";
import type { Phone, PhoneServer } from "../../api/types";
import { Copy } from "../../ui/Copy";
import { since } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useNames } from "../identity/peopleApi";
import { useCreatePhone, useDeletePhone, useNewPassword, usePhoneServer, usePhones } from "./api";
import { ChangePhone } from "./ChangePhone";

type Secret = { username: string; password: string };

export function PhonesPage() {
  const phones = usePhones();
  const [open, dialog] = useDisclosure(false);
  const [secret, setSecret] = useState<Secret | null>(null);
  const [changed, change] = useState<Phone | null>(null);
  const add = useMay()("phone:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
      Add a phone
    </Button>
  );
  return (
    <Page
      title="Phones"
      lead="SIP phones and softphones that may register here. They can call agents, and calls can be put through to them."
      actions={add}
    >
      <Paper p={0} style={{ overflow: "hidden" }}>
        <Loaded query={phones}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty
                icon={<IconDeviceLandlinePhone size={22} />}
                title="No phones yet"
                text="Agents can be called without one. Add a phone for people whom agents put callers through to."
                action={add}
              />
            ) : (
              <PhoneTable phones={items} onSecret={setSecret} onChange={change} />
            )
          }
        </Loaded>
      </Paper>
      <NewPhone
        opened={open}
        close={dialog.close}
        onMade={(s) => {
          dialog.close();
          setSecret(s);
        }}
      />
      <ChangePhone phone={changed} close={() => change(null)} />
      <Modal
        opened={secret !== null}
        onClose={() => setSecret(null)}
        title="Connect the phone"
        closeOnClickOutside={false}
      >
        {secret && <Instructions secret={secret} close={() => setSecret(null)} />}
      </Modal>
    </Page>
  );
}

type TableProps = { phones: Phone[]; onSecret: (s: Secret) => void; onChange: (p: Phone) => void };

function PhoneTable({ phones, onSecret, onChange }: TableProps) {
  const remove = useDeletePhone();
  const renew = useNewPassword();
  const names = useNames();
  const may = useMay();
  return (
    <Listing flush minWidth={640} horizontalSpacing="md">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>User name</Table.Th>
          <Table.Th>Name</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th>Where</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {phones.map((p) => (
          <Table.Tr key={p.id}>
            <Table.Td fw={600}>{p.username}</Table.Td>
            <Table.Td>
              {p.displayName || "–"}
              {(p.userId || p.encryptedOnly) && (
                <Text size="xs" c="dimmed">
                  {[p.userId && names.get(p.userId), p.encryptedOnly && "only encrypted"].filter(Boolean).join(", ")}
                </Text>
              )}
            </Table.Td>
            <Table.Td>
              <Badge color={p.registered ? "pine" : "gray"}>{p.registered ? "Registered" : "Not registered"}</Badge>
            </Table.Td>
            <Table.Td>
              {(p.contacts ?? []).map((c) => (
                <div key={c.uri}>
                  <Text size="sm">{c.userAgent || c.uri}</Text>
                  <Text size="xs" c="dimmed">
                    {c.transport.toUpperCase()}, until {since(c.expiresAt)}
                  </Text>
                </div>
              ))}
            </Table.Td>
            <Table.Td ta="right">
              {(may("phone:update") || may("phone:delete")) && (
                <Menu position="bottom-end">
                  <Menu.Target>
                    <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${p.username}`}>
                      <IconDots size={18} />
                    </ActionIcon>
                  </Menu.Target>
                  <Menu.Dropdown>
                    {may("phone:update") && (
                      <Menu.Item leftSection={<IconPencil size={16} />} onClick={() => onChange(p)}>
                        Change
                      </Menu.Item>
                    )}
                    {may("phone:update") && (
                      <Menu.Item
                        leftSection={<IconKey size={16} />}
                        onClick={() =>
                          confirm({
                            title: `New password for ${p.username}?`,
                            text: "The old one stops working, and the phone is signed off until it has the new one.",
                            action: "Make a new password",
                            onConfirm: () =>
                              renew.mutate(p.id, {
                                onSuccess: (r) => onSecret({ username: p.username, password: r.password ?? "" }),
                                onError: failed,
                              }),
                          })
                        }
                      >
                        New password
                      </Menu.Item>
                    )}
                    {may("phone:delete") && (
                      <Menu.Item
                        color="red"
                        leftSection={<IconTrash size={16} />}
                        onClick={() =>
                          confirm({
                            title: `Delete ${p.username}?`,
                            text: "The phone can no longer register or be called. Calls already made stay in the list.",
                            action: "Delete",
                            onConfirm: () =>
                              remove.mutate(p.id, {
                                onSuccess: () => done("The phone was deleted."),
                                onError: failed,
                              }),
                          })
                        }
                      >
                        Delete
                      </Menu.Item>
                    )}
                  </Menu.Dropdown>
                </Menu>
              )}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function NewPhone(props: { opened: boolean; close: () => void; onMade: (s: Secret) => void }) {
  const create = useCreatePhone();
  const server = usePhoneServer();
  const form = useForm({
    initialValues: { username: "", displayName: "", password: "", encryptedOnly: false },
    validate: {
      username: (v) => (/^[a-zA-Z0-9._-]+$/.test(v) ? null : "Letters, digits, dots and dashes, such as “reception”."),
    },
  });
  return (
    <Modal opened={props.opened} onClose={props.close} title="Add a phone">
      <form
        onSubmit={form.onSubmit((v) =>
          create.mutate(
            {
              username: v.username,
              ...(v.displayName ? { displayName: v.displayName } : {}),
              ...(v.password ? { password: v.password } : {}),
              ...(v.encryptedOnly ? { encryptedOnly: true } : {}),
            },
            {
              onSuccess: (p) => {
                form.reset();
                props.onMade({ username: p.username, password: p.password || v.password });
              },
              onError: (e) => {
                const errors = formErrors(e);
                form.setErrors(errors);
                if (Object.keys(errors).length === 0) failed(e);
              },
            },
          ),
        )}
      >
        <Stack>
          <TextInput
            label="User name"
            description="What the phone registers as"
            placeholder="reception"
            data-autofocus
            required
            {...form.getInputProps("username")}
          />
          <TextInput label="Name" placeholder="Reception" {...form.getInputProps("displayName")} />
          <PasswordInput
            label="Password"
            description="Leave it empty and a strong one is made"
            autoComplete="new-password"
            {...form.getInputProps("password")}
          />
          {(server.data?.tlsPort ?? 0) > 0 && !server.data?.encryptedOnly && (
            <Checkbox
              label="Only encrypted"
              description="It registers and calls by TLS with SRTP only"
              {...form.getInputProps("encryptedOnly", { type: "checkbox" })}
            />
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={props.close}>
              Cancel
            </Button>
            <Button type="submit" loading={create.isPending}>
              Add the phone
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

// How the phone reaches the server.
function transports(server?: PhoneServer) {
  if (!server) return "Use UDP or TCP and the server's SIP port (5060 unless it was changed).";
  const plain = `UDP or TCP and port ${server.port}`;
  if (server.tlsPort === 0) return `Use ${plain}.`;
  if (server.encryptedOnly) return `Use TLS and port ${server.tlsPort}, and turn SRTP on: nothing else is taken here.`;
  return `Use TLS and port ${server.tlsPort} with SRTP, or ${plain} where the phone has no TLS.`;
}

function Instructions({ secret, close }: { secret: Secret; close: () => void }) {
  const server = usePhoneServer();
  const rows = [
    ["Server or domain", location.hostname],
    ["User name", secret.username],
    ["Password", secret.password],
  ] as const;
  return (
    <Stack>
      <Alert color="clay" variant="light">
        Copy the password now. It is not kept in a form that can be read, so it cannot be shown again.
      </Alert>
      <Text size="sm">In the softphone (Linphone, baresip, Zoiper, a desk phone) add a SIP account with:</Text>
      {rows.map(([k, v]) => (
        <Group key={k} justify="space-between" wrap="nowrap">
          <Text size="sm" c="dimmed">
            {k}
          </Text>
          <Copy value={v} label={k.toLowerCase()} />
        </Group>
      ))}
      <Text size="sm" c="dimmed">
        {transports(server.data)} Then call <code>front-desk</code>.
      </Text>
      <Button onClick={close}>I have it</Button>
    </Stack>
  );
}
