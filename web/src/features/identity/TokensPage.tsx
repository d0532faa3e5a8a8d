import { Anchor, Badge, Button, Modal, Paper, Table, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconKey, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { ShownOnce } from "../../ui/ShownOnce";
import { Empty, Loaded } from "../../ui/states";
import { useMay, useRevokeToken, useTokens } from "./api";
import { NewToken } from "./NewToken";
import { useNames } from "./peopleApi";

/** API tokens: how programs sign in. */
export function TokensPage() {
  const tokens = useTokens();
  const revoke = useRevokeToken();
  const may = useMay();
  const names = useNames();
  const [open, dialog] = useDisclosure(false);
  const [secret, setSecret] = useState<string | null>(null);
  const add = may("token:create") && (
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
              <Listing minWidth={760}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Name</Table.Th>
                    <Table.Th>May do</Table.Th>
                    <Table.Th>From</Table.Th>
                    <Table.Th>Last used</Table.Th>
                    <Table.Th>Expires</Table.Th>
                    <Table.Th aria-label="Actions" />
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {data.items.map((t) => (
                    <Table.Tr key={t.id}>
                      <Table.Td>
                        <Text fw={600} size="sm">
                          {t.name}
                        </Text>
                        <Text size="xs" c="dimmed">
                          {names.has(t.userId) && `${names.get(t.userId)}, `}
                          {when(t.createdAt)}
                        </Text>
                      </Table.Td>
                      <Table.Td maw={220}>
                        <Listed items={t.scopes} none="All that its person may" />
                      </Table.Td>
                      <Table.Td maw={180}>
                        <Listed items={t.allowedIps} none="Everywhere" />
                      </Table.Td>
                      <Table.Td>
                        {t.lastUsedAt ? when(t.lastUsedAt) : <Badge color="gray">never</Badge>}
                        {t.lastUsedIp && (
                          <Text size="xs" c="dimmed" className="mono">
                            {t.lastUsedIp}
                          </Text>
                        )}
                      </Table.Td>
                      <Table.Td>
                        {!t.expiresAt ? (
                          "Does not"
                        ) : isPast(t.expiresAt) ? (
                          <Badge color="red">expired</Badge>
                        ) : (
                          when(t.expiresAt)
                        )}
                      </Table.Td>
                      <Table.Td ta="right">
                        {may("token:delete") && (
                          <Button
                            aria-label={`Revoke ${t.name}`}
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
                        )}
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Listing>
            )
          }
        </Loaded>
      </Paper>
      <Modal opened={open} onClose={dialog.close} title="New API token" size="lg" closeOnClickOutside={false}>
        <NewToken
          close={dialog.close}
          onMade={(s) => {
            dialog.close();
            setSecret(s);
          }}
        />
      </Modal>
      <ShownOnce title="Your new token" secret={secret} label="the token" close={() => setSecret(null)}>
        Send it as <code>Authorization: Bearer …</code>
      </ShownOnce>
    </Page>
  );
}

const isPast = (iso: string) => new Date(iso).getTime() <= Date.now();

function Listed({ items, none }: { items: string[]; none: string }) {
  if (items.length === 0) return <>{none}</>;
  return (
    <Text className="mono" size="xs" style={{ overflowWrap: "anywhere" }}>
      {items.join(", ")}
    </Text>
  );
}
