import { ActionIcon, Group, Text, Tooltip, useMantineColorScheme } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { IconMoon, IconSun } from "@tabler/icons-react";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import { useMay } from "../features/identity/api";
import { useFeedState } from "../realtime/hooks";
import { Impersonating } from "./Impersonating";
import { Logo } from "./Logo";
import { places as all, type Place } from "./places";
import { showShortcuts } from "./Shortcuts";
import css from "./shell.module.css";
import { UserMenu } from "./UserMenu";

/** How many places a phone has room for at its bottom. */
const atBottom = 5;

/** The places the person may go to. */
function usePlaces(): Place[] {
  const may = useMay();
  return all.filter((p) => p.opens.some(may.some));
}

/** What surrounds every page: where one can go, who one is, and the keyboard. */
export function Shell() {
  const navigate = useNavigate();
  const places = usePlaces();
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
      <Impersonating />
      <header className={css.top}>
        <Link to="/" className={css.brand}>
          <Logo size={26} /> Parley
        </Link>
        <Group gap="xs">
          <SchemeToggle />
          <UserMenu compact places={places.slice(atBottom).filter((p) => p.to !== "/settings")} />
        </Group>
      </header>
      <nav className={css.side} aria-label="Main">
        <Link to="/" className={css.brand}>
          <Logo /> Parley
        </Link>
        {places.map((p) => (
          <PlaceLink key={p.to} place={p} />
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
        {places.slice(0, atBottom).map((p) => (
          <PlaceLink key={p.to} place={p} />
        ))}
      </nav>
    </div>
  );
}

function PlaceLink({ place }: { place: Place }) {
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
