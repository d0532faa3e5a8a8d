import { Paper, Stack, Text, Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";
import { Logo } from "../../shell/Logo";
import css from "./door.module.css";

/** The frame of the pages in front of the door: setting up and signing in. */
export function Door({ title, lead, children }: { title: string; lead: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Parley`;
  }, [title]);
  return (
    <div className={css.door}>
      <aside className={css.aside} aria-hidden="true">
        <div className={css.wave}>
          {waves.map((h, i) => (
            <i key={`bar-${i.toString()}`} style={{ height: `${h}%` }} data-who={i % 13 < 6 ? "caller" : "agent"} />
          ))}
        </div>
        <p>Somebody always answers.</p>
      </aside>
      <main className={css.main}>
        <Stack gap="lg" w="100%" maw={420}>
          <Stack gap={6}>
            <Logo size={40} />
            <Title order={1} mt="sm">
              {title}
            </Title>
            <Text c="dimmed">{lead}</Text>
          </Stack>
          <Paper p="lg">{children}</Paper>
        </Stack>
      </main>
    </div>
  );
}

const waves = Array.from({ length: 39 }, (_, i) => 12 + 70 * Math.abs(Math.sin(i * 1.7) * Math.cos(i * 0.45)));
