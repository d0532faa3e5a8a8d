import { Avatar, Group, Menu, Text, UnstyledButton } from "@mantine/core";
import {
  IconBuilding,
  IconCheck,
  IconKeyboard,
  IconLogout,
  IconSettings,
  IconShield,
  IconUser,
} from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useContext } from "react";
import type { Account } from "../api/types";
import { signOut, switchOrganisation, useArrive, useMe } from "../features/identity/api";
import { FeedContext } from "../realtime/hooks";
import { words } from "../ui/format";
import { failed } from "../ui/notify";
import type { Place } from "./places";
import { showShortcuts } from "./Shortcuts";

/** Who one is, in which organisation, and the ways out; and to `places` that have no room elsewhere. */
export function UserMenu({ compact, places = [] }: { compact?: boolean; places?: readonly Place[] }) {
  const { data: me } = useMe();
  const arrive = useArrive();
  const feed = useContext(FeedContext);
  const navigate = useNavigate();
  const leave = async () => {
    feed?.stop();
    await navigate({ to: "/sign-in", search: {} });
    arrive(undefined);
  };
  const out = useMutation({
    mutationFn: signOut,
    onSuccess: leave,
    // Also when the server cannot be reached nothing stays on the screen; the session then ends by itself.
    onError: async (error) => {
      failed(error);
      await leave();
    },
  });
  if (!me) return null;
  const name = me.user.name || me.user.email;
  return (
    <Menu position={compact ? "bottom-end" : "top-start"} width={250}>
      <Menu.Target>
        <UnstyledButton
          aria-label={`Account of ${name}, ${me.organisation.name}`}
          style={{ minWidth: 0, borderRadius: 12 }}
        >
          <Group gap={9} wrap="nowrap">
            <Avatar size={32} color="clay" name={name} radius="xl" />
            {!compact && (
              <div style={{ minWidth: 0 }}>
                <Text size="sm" fw={600} truncate>
                  {name}
                </Text>
                <Text size="xs" c="dimmed" truncate>
                  {me.organisation.name}
                </Text>
              </div>
            )}
          </Group>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown mah="80dvh" style={{ overflowY: "auto" }}>
        <Menu.Label style={{ overflowWrap: "anywhere" }}>
          {me.user.email} · {words(me.roleName)}
        </Menu.Label>
        <Organisations me={me} />
        {places.map(({ to, label, icon: Icon }) => (
          <Menu.Item key={to} leftSection={<Icon size={16} />} component={Link} to={to}>
            {label}
          </Menu.Item>
        ))}
        {!me.impersonatedBy && (
          <Menu.Item leftSection={<IconUser size={16} />} component={Link} to="/account">
            Your account
          </Menu.Item>
        )}
        <Menu.Item leftSection={<IconSettings size={16} />} component={Link} to="/settings">
          Settings
        </Menu.Item>
        {me.superAdmin && !me.impersonatedBy && (
          <Menu.Item leftSection={<IconShield size={16} />} component={Link} to="/super">
            Installation
          </Menu.Item>
        )}
        <Menu.Item leftSection={<IconKeyboard size={16} />} onClick={showShortcuts}>
          Keyboard shortcuts
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => out.mutate()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** The organisations the person may switch to. */
function Organisations({ me }: { me: Account }) {
  const change = useMutation({
    mutationFn: switchOrganisation,
    onSuccess: () => location.assign("/"), // everything on the page belongs to the other organisation
    onError: failed,
  });
  if (me.impersonatedBy || me.memberships.length < 2) return null;
  return (
    <>
      {me.memberships.map((m) => {
        const here = m.organisation.id === me.organisation.id;
        return (
          <Menu.Item
            key={m.organisation.id}
            aria-current={here || undefined}
            disabled={m.suspended}
            leftSection={here ? <IconCheck size={16} /> : <IconBuilding size={16} />}
            onClick={() => !here && change.mutate(m.organisation.id)}
          >
            {m.organisation.name}
            {m.suspended && " (suspended)"}
          </Menu.Item>
        );
      })}
      <Menu.Divider />
    </>
  );
}
