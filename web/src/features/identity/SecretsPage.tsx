import { Anchor, Badge, Paper, Table, Text } from "@mantine/core";
import { IconKey } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { since } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "./api";
import { type Secret, useSecrets } from "./organisationApi";

/** What a secret is, in words. */
const kinds: Record<Secret["kind"], string> = {
  modelKey: "Key of a model vendor",
  phonePassword: "Password of a phone",
  trunkPassword: "Password of a trunk",
  webhookSecret: "Signs what campaigns tell other systems",
  ssoClientSecret: "Client secret at an identity provider",
  samlKey: "Signing key for an identity provider",
  scimToken: "Token for provisioning (SCIM)",
  apiToken: "API token",
};

/** The pages on which secrets are replaced and removed, and the permission that opens each. */
const owners = {
  model: { to: "/models", label: "Models", permission: "model:read" },
  phone: { to: "/phones", label: "Phones", permission: "phone:read" },
  trunk: { to: "/trunks", label: "Trunks", permission: "trunk:read" },
  ssoConnection: { to: "/settings/sso", label: "Single sign-on", permission: "sso:read" },
  organisation: { to: "/campaigns", label: "Campaigns, at a step “Results and cost”", permission: "campaign:read" },
  token: { to: "/settings/tokens", label: "API tokens", permission: "token:read" },
} as const;

/** Every secret that was placed here, what uses it and who set it; never a value. */
export function SecretsPage() {
  const secrets = useSecrets();
  return (
    <Page
      title="Secrets"
      lead="Every key, password and token placed here. Their values are never shown; each is replaced or removed where it is used."
    >
      <Paper p="md">
        <Loaded query={secrets} rows={5}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty
                icon={<IconKey size={22} />}
                title="No secrets yet"
                text="Keys of model vendors, passwords of phones and trunks, secrets of identity providers and API tokens are listed here."
              />
            ) : (
              <Secrets items={items} />
            )
          }
        </Loaded>
        <More query={secrets} />
      </Paper>
      <Text size="sm" c="dimmed">
        Sealed secrets are encrypted with a key of your organisation alone, which is itself wrapped by the
        installation's. Of hashed ones nothing is kept that could be read back. What belongs to the installation, such
        as a carrier's password, is set on the server and not listed here.
      </Text>
    </Page>
  );
}

function Secrets({ items }: { items: Secret[] }) {
  return (
    <Listing minWidth={760}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Secret</Table.Th>
          <Table.Th>Used by</Table.Th>
          <Table.Th>Set</Table.Th>
          <Table.Th>Last used</Table.Th>
          <Table.Th>Kept</Table.Th>
          <Table.Th>Replace or remove it</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {items.map((s) => (
          <Table.Tr key={s.id}>
            <Table.Td>
              <Text fw={600} size="sm" style={{ overflowWrap: "anywhere" }}>
                {s.name}
                {s.part && ` (${parts[s.part] ?? s.part})`}
              </Text>
              <Text size="xs" c="dimmed">
                {kinds[s.kind]}
              </Text>
              {s.expiresAt && <Expiry at={s.expiresAt} />}
            </Table.Td>
            <Table.Td>
              <Uses secret={s} />
            </Table.Td>
            <Table.Td>
              {s.setBy ? s.setBy.name || "Somebody who left" : "–"}
              {s.setAt && (
                <Text size="xs" c="dimmed">
                  {since(s.setAt)}
                </Text>
              )}
            </Table.Td>
            <Table.Td>{s.lastUsedAt ? since(s.lastUsedAt) : "–"}</Table.Td>
            <Table.Td>
              <Kept secret={s} />
            </Table.Td>
            <Table.Td>
              <Owner kind={s.objectKind} />
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

/** A vendor's services by the names the API has for them. */
const parts: Record<string, string> = { stt: "speech to text", llm: "language model", tts: "text to speech" };

function Expiry({ at }: { at: string }) {
  const over = new Date(at) < new Date();
  return (
    <Badge color={over ? "red" : "gray"} mt={4}>
      {over ? "expired" : "expires"} {since(at)}
    </Badge>
  );
}

function Uses({ secret: s }: { secret: Secret }) {
  const may = useMay();
  if (s.kind === "apiToken") return "Whoever holds it";
  if (s.usedBy.length === 0) return "Nothing yet";
  return s.usedBy.map((u) => {
    let shown: ReactNode = u.name;
    if (u.kind === "agent" && may.some("agent:read")) {
      shown = (
        <Anchor component={Link} to={`/agents/${u.id}`} size="sm" underline="always">
          {u.name}
        </Anchor>
      );
    }
    return <div key={`${u.kind} ${u.id}`}>{shown}</div>;
  });
}

function Kept({ secret: s }: { secret: Secret }) {
  if (s.stored === "hashed" || !s.key) return "Hashed";
  return (
    <>
      Sealed
      <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>
        {s.key.version === 0 ? "under the master key" : `data key ${s.key.version}`}
        {s.key.state !== "active" && `, ${s.key.state}: it moves to the new one within the hour`}
      </Text>
    </>
  );
}

function Owner({ kind }: { kind: Secret["objectKind"] }) {
  const { to, label, permission } = owners[kind];
  if (!useMay().some(permission)) return <>{label}</>;
  return (
    <Anchor component={Link} to={to} size="sm" underline="always">
      {label}
    </Anchor>
  );
}
