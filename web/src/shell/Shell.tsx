import { ActionIcon, Avatar, Group, Menu, Text, Tooltip, UnstyledButton, useMantineColorScheme } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import {
  IconDeviceLandlinePhone,
  IconHeadset,
  IconHome2,
  IconKeyboard,
  IconLogout,
  IconMoon,
  IconPhoneCall,
  IconSettings,
  IconSparkles,
  IconSun,
} from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useContext, useRef } from "react";
import { signOut, useMe } from "../features/identity/api";
import { FeedContext, useFeedState } from "../realtime/hooks";
import { failed } from "../ui/notify";
import { Logo } from "./Logo";
import { showShortcuts } from "./Shortcuts";
import css from "./shell.module.css";

const places = [
  { to: "/", label: "Overview", icon: IconHome2, key: "o" },
  { to: "/calls", label: "Calls", icon: IconPhoneCall, key: "c" },
  { to: "/agents", label: "Agents", icon: IconHeadset, key: "a" },
  { to: "/models", label: "Models", icon: IconSparkles, key: "m" },
  { to: "/phones", label: "Phones", icon: IconDeviceLandlinePhone, key: "p" },
  { to: "/settings", label: "Settings", icon: IconSettings, key: "s" },
] as const;

/** What surrounds every page: where one can go, who one is, and the keyboard. */
export function Shell() {
  const navigate = useNavigate();
  const went = useRef(0);
  useHotkeys([
    [
      "g",
      () => {
        went.current = performance.now();
      },
    ],
    ["shift+?", showShortcuts],
    ["?", showShortcuts],
    ["/", () => document.querySelector<HTMLInputElement>("[data-search]")?.focus()],
    ...places.map((p): [string, () => void] => [
      p.key,
      () => {
        if (performance.now() - went.current < 1200) void navigate({ to: p.to });
      },
    ]),
  ]);
  return (
    <div className={css.frame}>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className={css.top}>
        <Link to="/" className={css.brand}>
          <Logo size={26} /> Parley
        </Link>
        <Group gap="xs">
          <SchemeToggle />
          <UserMenu compact />
        </Group>
      </header>
      <nav className={css.side} aria-label="Main">
        <Link to="/" className={css.brand}>
          <Logo /> Parley
        </Link>
        {places.map((p) => (
          <Place key={p.to} place={p} />
        ))}
        <div className={css.foot}>
          <FeedLine />
          <Group justify="space-between" wrap="nowrap" gap="xs">
            <UserMenu />
            <SchemeToggle />
          </Group>
        </div>
      </nav>
      <main className={css.main} id="content" tabIndex={-1}>
        <Outlet />
      </main>
      <nav className={css.bottom} aria-label="Main, at the bottom">
        {places.slice(0, 5).map((p) => (
          <Place key={p.to} place={p} />
        ))}
      </nav>
    </div>
  );
}

function Place({ place }: { place: (typeof places)[number] }) {
  const { to, label, icon: Icon } = place;
  return (
    <Link to={to} className={css.link} activeOptions={{ exact: to === "/", includeSearch: false }}>
      <Icon size={20} stroke={1.7} aria-hidden />
      {label}
    </Link>
  );
}

function SchemeToggle() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const dark =
    colorScheme === "dark" || (colorScheme === "auto" && window.matchMedia("(prefers-color-scheme: dark)").matches);
  const label = dark ? "Use light colours" : "Use dark colours";
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        radius="xl"
        onClick={() => setColorScheme(dark ? "light" : "dark")}
        aria-label={label}
      >
        {dark ? <IconSun size={19} /> : <IconMoon size={19} />}
      </ActionIcon>
    </Tooltip>
  );
}

function UserMenu({ compact }: { compact?: boolean }) {
  const { data: me } = useMe();
  const queries = useQueryClient();
  const feed = useContext(FeedContext);
  const navigate = useNavigate();
  const out = useMutation({
    mutationFn: signOut,
    onSuccess: async () => {
      feed?.stop();
      await navigate({ to: "/sign-in", search: {} });
      queries.clear();
    },
    onError: failed,
  });
  if (!me) return null;
  const name = me.user.name || me.user.email;
  return (
    <Menu position={compact ? "bottom-end" : "top-start"} width={220}>
      <Menu.Target>
        <UnstyledButton aria-label={`Account of ${name}`} style={{ minWidth: 0, borderRadius: 12 }}>
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
      <Menu.Dropdown>
        <Menu.Label>
          {me.user.email} · {me.role}
        </Menu.Label>
        <Menu.Item leftSection={<IconSettings size={16} />} component={Link} to="/settings">
          Settings
        </Menu.Item>
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

/** Says when what is shown may be old. */
function FeedLine() {
  const state = useFeedState();
  if (state === "live" || state === "closed") return null;
  return (
    <Text size="xs" c="dimmed" px={10} role="status">
      {state === "waiting" ? "Live updates are interrupted; trying again…" : "Connecting to live updates…"}
    </Text>
  );
}
