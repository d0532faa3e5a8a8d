import { Badge, Button, Group, Stack, Table, Text } from "@mantine/core";
import { useState } from "react";
import { Copy } from "../../ui/Copy";
import { since } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { confirm, done, failed } from "../../ui/notify";
import { ShownOnce } from "../../ui/ShownOnce";
import { Loaded } from "../../ui/states";
import { useMay } from "./api";
import { useNames } from "./peopleApi";
import { type Connection, useLinks, useMakeScimToken, useRevokeScimToken, useScimTokens, useUnlink } from "./ssoApi";

/** The tokens with which a provider makes, changes and removes people by itself (SCIM). */
export function Provisioning({ connection: c }: { connection: Connection }) {
  const may = useMay()("sso:update");
  const tokens = useScimTokens(c.id);
  const make = useMakeScimToken();
  const revoke = useRevokeScimToken();
  const [secret, setSecret] = useState<string | null>(null);
  const ask = (tokenId: string) =>
    confirm({
      title: "Revoke the token?",
      text: "The provider can no longer make, change or remove people here until it has another one.",
      action: "Revoke",
      onConfirm: () =>
        revoke.mutate({ id: c.id, tokenId }, { onSuccess: () => done("The token was revoked."), onError: failed }),
    });
  return (
    <Stack gap="xs">
      <Text fw={600} size="sm">
        Provisioning (SCIM)
      </Text>
      <Text size="sm" c="dimmed">
        The provider makes people and teams here, and lets them go. Enter this address and a token there.
      </Text>
      <Copy value={c.here.scimUrl} label="the SCIM address" />
      <Loaded query={tokens} rows={1}>
        {({ items }) =>
          items.length > 0 && (
            <Listing minWidth={420} aria-label={`SCIM tokens of ${c.name}`}>
              <Table.Tbody>
                {items.map((t) => (
                  <Table.Tr key={t.id}>
                    <Table.Td>Token of {since(t.createdAt)}</Table.Td>
                    <Table.Td>
                      {t.lastUsedAt ? `Last used ${since(t.lastUsedAt)}` : <Badge color="gray">never used</Badge>}
                    </Table.Td>
                    <Table.Td ta="right">
                      {may && (
                        <Button
                          size="xs"
                          variant="subtle"
                          color="red"
                          aria-label={`Revoke the token of ${since(t.createdAt)}`}
                          onClick={() => ask(t.id)}
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
      {may && (
        <Group>
          <Button
            variant="default"
            loading={make.isPending}
            onClick={() => make.mutate(c.id, { onSuccess: (t) => setSecret(t.secret), onError: failed })}
          >
            New SCIM token
          </Button>
        </Group>
      )}
      <ShownOnce title="The SCIM token" secret={secret} label="the token" close={() => setSecret(null)}>
        Enter it at {c.name}, beside the address {c.here.scimUrl}
      </ShownOnce>
    </Stack>
  );
}

/** People whose account at the provider is known. */
export function Links({ connection: c }: { connection: Connection }) {
  const may = useMay()("sso:update");
  const links = useLinks(c.id);
  const names = useNames();
  const unlink = useUnlink();
  const ask = (userId: string) =>
    confirm({
      title: `Forget the account of ${names.get(userId) ?? "this person"}?`,
      text: "Use it when they got another account at the provider. At their next sign-in they are known again by their e-mail address.",
      action: "Forget it",
      onConfirm: () =>
        unlink.mutate({ id: c.id, userId }, { onSuccess: () => done("It is forgotten."), onError: failed }),
    });
  return (
    <Loaded query={links} rows={1}>
      {({ items }) =>
        items.length > 0 && (
          <Stack gap="xs">
            <Text fw={600} size="sm">
              Accounts at {c.name}
            </Text>
            <Listing minWidth={460} aria-label={`Accounts at ${c.name}`}>
              <Table.Tbody>
                {items.map((l) => (
                  <Table.Tr key={l.userId}>
                    <Table.Td>
                      <Text fw={600} size="sm">
                        {names.get(l.userId) ?? l.userId}
                      </Text>
                      <Text size="xs" c="dimmed" className="mono" style={{ overflowWrap: "anywhere" }}>
                        {l.subject}
                      </Text>
                    </Table.Td>
                    <Table.Td>Last sign-in {since(l.lastUsedAt)}</Table.Td>
                    <Table.Td ta="right">
                      {may && (
                        <Button
                          size="xs"
                          variant="subtle"
                          color="red"
                          aria-label={`Forget the account of ${names.get(l.userId) ?? l.userId}`}
                          onClick={() => ask(l.userId)}
                        >
                          Forget
                        </Button>
                      )}
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Listing>
            <More query={links} />
          </Stack>
        )
      }
    </Loaded>
  );
}
