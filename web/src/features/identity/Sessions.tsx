import { Badge, Button, Group, Stack, Text } from "@mantine/core";
import { IconDeviceDesktop, IconDeviceMobile } from "@tabler/icons-react";
import type { Session } from "../../api/types";
import { since } from "../../ui/format";
import { done, failed } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useRevokeOthers, useRevokeSession, useSessions } from "./accountApi";

const ways: Record<Session["method"], string> = {
  password: "with the password",
  passkey: "with a passkey",
  oidc: "through single sign-on",
  saml: "through single sign-on",
  setup: "by setting up",
  invitation: "by an invitation",
};

/** Where the person is signed in. */
export function Sessions() {
  const sessions = useSessions();
  const others = useRevokeOthers();
  return (
    <Section
      title="Where you are signed in"
      lead="Something here that is not you? End it and change your password."
      actions={
        (sessions.data?.items.length ?? 0) > 1 && (
          <Button
            variant="default"
            size="xs"
            loading={others.isPending}
            onClick={() =>
              others.mutate(undefined, {
                onSuccess: (r) => done(r.revoked === 1 ? "One session ended." : `${r.revoked} sessions ended.`),
                onError: failed,
              })
            }
          >
            End all others
          </Button>
        )
      }
    >
      <Loaded query={sessions} rows={2}>
        {(data) => (
          <Stack gap="md" component="ul" m={0} p={0} style={{ listStyle: "none" }}>
            {data.items.map((s) => (
              <SessionRow key={s.id} session={s} />
            ))}
          </Stack>
        )}
      </Loaded>
    </Section>
  );
}

function SessionRow({ session: s }: { session: Session }) {
  const revoke = useRevokeSession();
  const Icon = /Android|iPhone|iPad/.test(s.device) ? IconDeviceMobile : IconDeviceDesktop;
  return (
    <Group component="li" justify="space-between" gap="sm">
      <Group gap="sm" wrap="nowrap" style={{ minWidth: 0 }}>
        <Icon size={22} aria-hidden style={{ flexShrink: 0 }} />
        <div style={{ minWidth: 0 }}>
          <Group gap="xs">
            <Text fw={600}>{s.device}</Text>
            {s.current && <Badge>this one</Badge>}
            {s.secondFactor && <Badge color="gray">second factor</Badge>}
            {s.impersonated && <Badge color="clay">an administrator acting as you</Badge>}
          </Group>
          <Text size="sm" c="dimmed">
            {s.organisation.name} · {s.ip} · {ways[s.method] ?? s.method} {since(s.createdAt)} · last used{" "}
            {since(s.lastUsedAt)}
          </Text>
        </div>
      </Group>
      {!s.current && (
        <Button
          size="xs"
          variant="subtle"
          color="red"
          loading={revoke.isPending}
          aria-label={`End the session of ${s.device}`}
          onClick={() => revoke.mutate(s.id, { onSuccess: () => done("The session ended."), onError: failed })}
        >
          End
        </Button>
      )}
    </Group>
  );
}
