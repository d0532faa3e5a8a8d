import { Text } from "@mantine/core";
import { IconLock } from "@tabler/icons-react";
import { Link, type LinkProps, Navigate, Outlet, useLocation } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { ApiError } from "../../api/client";
import { Empty, Failed } from "../../ui/states";
import { useMay, useMe } from "./api";
import { sections, superSections } from "./sections";
import css from "./settings.module.css";

type Listed = { to: LinkProps["to"]; label: string; exact?: boolean };

/** A list of sections beside the one that is open. */
function Frame({ label, list: items }: { label: string; list: readonly Listed[] }) {
  const list = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  // On a phone the list is a row that scrolls; the section that is open shall be in sight.
  useEffect(() => {
    list.current?.querySelector(`[href="${pathname}"]`)?.scrollIntoView({ inline: "center", block: "nearest" });
  }, [pathname]);
  return (
    <div className={css.frame}>
      <nav ref={list} className={css.nav} aria-label={label}>
        <Text size="xs" c="dimmed" fw={600} className={css.label}>
          {label}
        </Text>
        {items.map((s) => (
          <Link key={s.to} to={s.to} className={css.link} activeOptions={{ exact: s.exact, includeSearch: false }}>
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

/** The settings of an organisation. */
export function SettingsLayout() {
  const may = useMay();
  return <Frame label="Settings" list={sections.filter((s) => may.some(s.permission))} />;
}

/** The installation, for those who run it. */
export function SuperLayout() {
  const { data: me } = useMe();
  if (me && !me.superAdmin) {
    return <Failed error={new ApiError(403, "forbidden", "Only those who run the installation see this.")} />;
  }
  return <Frame label="Installation" list={superSections} />;
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
