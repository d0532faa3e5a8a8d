import { Text } from "@mantine/core";
import { IconLock } from "@tabler/icons-react";
import { Link, Navigate, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { Empty } from "../../ui/states";
import { useMay } from "./api";
import { sections } from "./sections";
import css from "./settings.module.css";

/** The settings of an organisation: a list of sections beside the one that is open. */
export function SettingsLayout() {
  const may = useMay();
  const list = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  // On a phone the list is a row that scrolls; the section that is open shall be in sight.
  useEffect(() => {
    list.current?.querySelector(`[href="${pathname}"]`)?.scrollIntoView({ inline: "center", block: "nearest" });
  }, [pathname]);
  return (
    <div className={css.frame}>
      <nav ref={list} className={css.nav} aria-label="Settings">
        <Text size="xs" c="dimmed" fw={600} className={css.label}>
          Settings
        </Text>
        {sections
          .filter((s) => may.some(s.permission))
          .map((s) => (
            <Link key={s.to} to={s.to} className={css.link}>
              {s.label}
            </Link>
          ))}
      </nav>
      <div className={css.body}>
        <Outlet />
      </div>
    </div>
  );
}

/** The first section the person may see. */
export function SettingsStart() {
  const may = useMay();
  const first = sections.find((s) => may.some(s.permission));
  if (first) return <Navigate to={first.to} replace />;
  return (
    <Empty
      icon={<IconLock size={22} />}
      title="You may not see the settings"
      text="Your role includes none of them. Ask an owner or administrator of your organisation."
    />
  );
}
