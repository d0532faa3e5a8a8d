import { Badge, Button, Group, Modal, Stack, Switch, Table, Text, TextInput } from "@mantine/core";
import { IconPlugConnected, IconPlus } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { Copy } from "../../ui/Copy";
import { Editing } from "../../ui/Editing";
import { count } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { confirm, done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "./api";
import { Links, Provisioning } from "./Provisioning";
import { SsoForm } from "./SsoForm";
import { SsoTest } from "./SsoTest";
import {
  type Connection,
  readConnection,
  useAddDomain,
  useConnections,
  useDeleteConnection,
  useEnable,
  useRemoveDomain,
  useSetSSOPolicy,
  useSSOPolicy,
  useVerifyDomain,
} from "./ssoApi";

/** Connections to the organisation's identity providers. */
export function SsoPage() {
  const may = useMay();
  const connections = useConnections();
  const [edited, edit] = useState<Connection | "new" | null>(null);
  const add = may("sso:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={() => edit("new")}>
      New connection
    </Button>
  );
  return (
    <Page
      title="Single sign-on"
      lead="People sign in with the account they have at your identity provider."
      actions={add}
    >
      <Loaded query={connections} rows={3}>
        {(items) =>
          items.length === 0 ? (
            <Empty
              icon={<IconPlugConnected size={22} />}
              title="No connections yet"
              text="Connect a provider that speaks OpenID Connect or SAML, such as Entra ID, Okta, Google or Keycloak."
              action={add}
            />
          ) : (
            <Stack gap="lg">
              {items.map((c) => (
                <ConnectionBox key={c.id} connection={c} edit={() => edit(c)} />
              ))}
            </Stack>
          )
        }
      </Loaded>
      <Policy />
      <Modal
        opened={edited !== null}
        onClose={() => edit(null)}
        title={edited && edited !== "new" ? edited.name : "New connection"}
        size="lg"
        closeOnClickOutside={false}
      >
        {edited === "new" && <SsoForm close={() => edit(null)} />}
        {edited && edited !== "new" && (
          <Editing of={["sso-connection", edited.id]} read={readConnection(edited.id)} rows={6}>
            {(begun) => <SsoForm begun={begun} close={() => edit(null)} />}
          </Editing>
        )}
      </Modal>
    </Page>
  );
}

function Policy() {
  const may = useMay();
  const policy = useSSOPolicy();
  const set = useSetSSOPolicy();
  return (
    <Section title="Passwords">
      <Loaded query={policy} rows={1}>
        {(p) => (
          <Switch
            label="Only single sign-on"
            description="Passwords and passkeys are refused to everybody but owners, who keep a way in when the provider is down."
            checked={p.ssoOnly}
            disabled={!may("sso:update") || set.isPending}
            onChange={(e) => set.mutate(e.currentTarget.checked, { onSuccess: () => done("Saved."), onError: failed })}
          />
        )}
      </Loaded>
    </Section>
  );
}

function ConnectionBox({ connection: c, edit }: { connection: Connection; edit: () => void }) {
  const may = useMay();
  const enable = useEnable();
  const remove = useDeleteConnection();
  const addresses: [string, string | undefined][] = [
    ["Redirect URI", c.here.redirectUri],
    ["Entity ID, and our metadata", c.here.entityId],
    ["Assertion consumer service", c.here.acsUrl],
    ["Begins a sign-in", c.here.startUrl],
  ];
  return (
    <Section
      title={c.name}
      lead={
        <>
          {c.protocol === "oidc" ? "OpenID Connect" : "SAML"}{" "}
          <Badge color={c.enabled ? "pine" : "gray"}>{c.enabled ? "in use" : "off"}</Badge>{" "}
          {c.secondFactor && <Badge color="gray">second factor asked for</Badge>}{" "}
          {c.longestSessionHours > 0 && (
            <Badge color="gray">sessions end after {count(c.longestSessionHours, "hour", "hours")}</Badge>
          )}
        </>
      }
      actions={
        may("sso:update") && (
          <>
            <Switch
              label="People may use it"
              checked={c.enabled}
              disabled={enable.isPending}
              onChange={(e) =>
                enable.mutate(
                  { id: c.id, enabled: e.currentTarget.checked },
                  { onSuccess: () => done("Saved."), onError: failed },
                )
              }
            />
            <Button size="xs" variant="default" onClick={edit} aria-label={`Change ${c.name}`}>
              Change
            </Button>
            {may("sso:delete") && (
              <Button
                size="xs"
                variant="subtle"
                color="red"
                aria-label={`Delete ${c.name}`}
                onClick={() =>
                  confirm({
                    title: `Delete ${c.name}?`,
                    text: "Nobody signs in through it any more, and its provisioning ends. The people stay.",
                    action: "Delete",
                    onConfirm: () => remove.mutate(c.id, { onSuccess: () => done("It was deleted."), onError: failed }),
                  })
                }
              >
                Delete
              </Button>
            )}
          </>
        )
      }
    >
      <Text fw={600} size="sm">
        Enter this at the provider
      </Text>
      {addresses.map(
        ([name, value]) =>
          value && (
            <div key={name}>
              <Text size="xs" c="dimmed">
                {name}
              </Text>
              <Copy value={value} label={name} />
            </div>
          ),
      )}
      {may("sso:update") && <SsoTest connection={c} />}
      <Domains connection={c} />
      <Provisioning connection={c} />
      <Links connection={c} />
    </Section>
  );
}

function Domains({ connection: c }: { connection: Connection }) {
  const may = useMay()("sso:update");
  const add = useAddDomain();
  const verify = useVerifyDomain();
  const remove = useRemoveDomain();
  const [text, setText] = useState("");
  const submit = (e: FormEvent) => {
    e.preventDefault();
    add.mutate({ id: c.id, domain: text.trim() }, { onSuccess: () => setText(""), onError: failed });
  };
  return (
    <Stack gap="xs">
      <Text fw={600} size="sm">
        E-mail domains
      </Text>
      <Text size="sm" c="dimmed">
        Who types an address of a verified domain is led to this provider.
      </Text>
      {c.domains.length > 0 && (
        <Listing minWidth={460}>
          <Table.Tbody>
            {c.domains.map((d) => (
              <Table.Tr key={d.domain}>
                <Table.Td>
                  <Text fw={600} size="sm">
                    {d.domain}{" "}
                    <Badge color={d.verified ? "pine" : "clay"}>{d.verified ? "verified" : "to be verified"}</Badge>
                  </Text>
                  {!d.verified && (
                    <>
                      <Text size="xs" c="dimmed" mt={4}>
                        Add a TXT record to the domain's DNS:
                      </Text>
                      <Copy value={d.recordName} label="the record's name" />
                      <Copy value={d.recordValue} label="the record's value" />
                    </>
                  )}
                </Table.Td>
                <Table.Td>
                  {may && (
                    <Group gap={4} justify="flex-end" wrap="nowrap">
                      {!d.verified && (
                        <Button
                          size="xs"
                          variant="default"
                          loading={verify.isPending}
                          onClick={() =>
                            verify.mutate(
                              { id: c.id, domain: d.domain },
                              { onSuccess: () => done("The domain is yours."), onError: failed },
                            )
                          }
                        >
                          Verify
                        </Button>
                      )}
                      <Button
                        size="xs"
                        variant="subtle"
                        color="red"
                        aria-label={`Remove ${d.domain}`}
                        onClick={() => remove.mutate({ id: c.id, domain: d.domain }, { onError: failed })}
                      >
                        Remove
                      </Button>
                    </Group>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Listing>
      )}
      {may && (
        <form onSubmit={submit}>
          <Group align="flex-end" gap="xs">
            <TextInput
              label="New domain"
              placeholder="example.org"
              value={text}
              onChange={(e) => setText(e.currentTarget.value)}
            />
            <Button type="submit" variant="default" disabled={!text.trim()} loading={add.isPending}>
              Add
            </Button>
          </Group>
        </form>
      )}
    </Stack>
  );
}
