import { Badge, Button, Group, Stack, Text } from "@mantine/core";
import { IconPlugConnected } from "@tabler/icons-react";
import type { components } from "../../api/schema";
import { since } from "../../ui/format";
import { confirm, done, failed } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useForgetLink, useOwnLinks, useSessions } from "./accountApi";

type Link = components["schemas"]["OwnSSOLink"];

/** The person's accounts at identity providers, of all their organisations; nothing where there is none. */
export function OwnLinks() {
  const links = useOwnLinks();
  const sessions = useSessions();
  const method = sessions.data?.items.find((s) => s.current)?.method;
  // The server takes no change of how one signs in from who came in through a provider.
  const through = method === "oidc" || method === "saml";
  if (links.data?.items.length === 0) return null;
  return (
    <Section
      title="Accounts at identity providers"
      lead={`With these you sign in without a password of ours. ${
        through ? "To unlink one, sign in with your own password or passkey." : "Unlink one when it is no longer yours."
      }`}
    >
      <Loaded query={links} rows={1}>
        {({ items }) => (
          <Stack gap="md" component="ul" m={0} p={0} style={{ listStyle: "none" }}>
            {items.map((l) => (
              <LinkRow key={l.connectionId} link={l} fixed={through || !method} />
            ))}
          </Stack>
        )}
      </Loaded>
    </Section>
  );
}

function LinkRow({ link: l, fixed }: { link: Link; fixed: boolean }) {
  const forget = useForgetLink();
  const ask = () =>
    confirm({
      title: `Unlink your account at ${l.connectionName}?`,
      text: "At your next sign-in there, your account is found by your e-mail address again, if the organisation still lets you in.",
      action: "Unlink",
      onConfirm: () => forget.mutate(l.connectionId, { onSuccess: () => done("It is unlinked."), onError: failed }),
    });
  return (
    <Group component="li" justify="space-between" gap="sm">
      <Group gap="sm" wrap="nowrap" style={{ minWidth: 0 }}>
        <IconPlugConnected size={22} aria-hidden style={{ flexShrink: 0 }} />
        <div style={{ minWidth: 0 }}>
          <Group gap="xs">
            <Text fw={600}>{l.connectionName}</Text>
            {!l.enabled && <Badge color="gray">off</Badge>}
          </Group>
          <Text size="sm" c="dimmed">
            {l.organisation.name} · linked {since(l.createdAt)} · last used {since(l.lastUsedAt)}
          </Text>
          <Text size="xs" c="dimmed" className="mono" style={{ overflowWrap: "anywhere" }}>
            {l.subject}
          </Text>
        </div>
      </Group>
      {!fixed && (
        <Button
          size="xs"
          variant="subtle"
          color="red"
          loading={forget.isPending}
          aria-label={`Unlink ${l.connectionName}`}
          onClick={ask}
        >
          Unlink
        </Button>
      )}
    </Group>
  );
}
