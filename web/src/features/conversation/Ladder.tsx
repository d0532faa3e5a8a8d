import { Group, Paper, Text } from "@mantine/core";
import { IconArrowsExchange } from "@tabler/icons-react";
import { Fragment, useState } from "react";
import { Empty, Loaded } from "../../ui/states";
import { useSignals } from "./api";
import css from "./conversation.module.css";

/** The signalling as a ladder: the far end on the left, Parley on the right. A step opens to the whole message. */
export function Ladder({ id }: { id: string }) {
  const signals = useSignals(id);
  const [open, setOpen] = useState<number | null>(null);
  return (
    <Loaded query={signals}>
      {({ items }) => {
        if (items.length === 0) {
          return (
            <Empty
              icon={<IconArrowsExchange size={22} />}
              title="No signalling"
              text="Messages are kept for calls by SIP, by a carrier, and by the browser."
            />
          );
        }
        return (
          <Paper p="md">
            <Group justify="space-between" pl={76} mb={6}>
              <Text size="sm" fw={650} style={{ color: "var(--caller)" }}>
                {items.find((s) => s.peer)?.peer || "Far end"}
              </Text>
              <Text size="sm" fw={650} style={{ color: "var(--agent)" }}>
                Parley
              </Text>
            </Group>
            <div className={css.ladder}>
              {items.map((s, i) => (
                <Fragment key={`signal-${i.toString()}`}>
                  <Text size="xs" c="dimmed" className="num" pt={14}>
                    {(s.atMs / 1000).toFixed(3)} s
                  </Text>
                  <button
                    type="button"
                    className={css.arrow}
                    data-sent={s.sent}
                    aria-expanded={open === i}
                    aria-label={`${s.sent ? "Sent" : "Received"}: ${s.summary}`}
                    onClick={() => setOpen(open === i ? null : i)}
                    style={{ textAlign: s.sent ? "right" : "left" }}
                  >
                    <span>{s.summary}</span>
                  </button>
                  {open === i && <pre className={css.raw}>{s.raw || "The message was not kept."}</pre>}
                </Fragment>
              ))}
            </div>
          </Paper>
        );
      }}
    </Loaded>
  );
}
