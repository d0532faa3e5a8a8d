import { Badge, Text } from "@mantine/core";
import { useEffect, useRef } from "react";
import type { TranscriptItem } from "../../api/types";
import { clock } from "../../ui/format";
import css from "./conversation.module.css";

export const speakerNames = { caller: "Caller", agent: "Agent", operator: "Operator" } as const;

/** What was said, line by line. With a place in the recording, the line being said is marked. */
export function TranscriptLines(props: {
  items: TranscriptItem[];
  atMs?: number;
  seek?: (ms: number) => void;
  live?: boolean;
}) {
  const { items, atMs, seek, live } = props;
  const box = useRef<HTMLDivElement>(null);
  const current = atMs === undefined ? undefined : items.findLast((i) => i.startMs <= atMs)?.seq;

  useEffect(() => {
    if (current === undefined || !box.current) return;
    const line = box.current.querySelector<HTMLElement>(`[data-seq="${current}"]`);
    if (line) box.current.scrollTo({ top: line.offsetTop - box.current.clientHeight / 2, behavior: "smooth" });
  }, [current]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a live transcript keeps its newest line in sight
  useEffect(() => {
    if (live && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [live, items]);

  if (items.length === 0) {
    return (
      <Text c="dimmed" size="sm" p="md">
        {live ? "Nothing has been said yet." : "Nothing was said in this call."}
      </Text>
    );
  }
  return (
    <div ref={box} className={css.lines} style={{ position: "relative" }} data-transcript>
      {items.map((item) => (
        <button
          type="button"
          key={item.seq}
          data-seq={item.seq}
          data-who={item.speaker}
          data-now={item.seq === current}
          className={css.line}
          onClick={() => seek?.(item.startMs)}
          disabled={!seek}
          style={seek ? undefined : { cursor: "default" }}
        >
          <Text span size="xs" c="dimmed" className="num" pt={3}>
            {clock(item.startMs)}
          </Text>
          <span>
            <span className={css.who}>{speakerNames[item.speaker] ?? item.speaker}</span>{" "}
            {item.interrupted && (
              <Badge size="xs" color="clay" title="Only what was heard before the interruption">
                interrupted
              </Badge>
            )}
            <br />
            <span className={item.final ? undefined : css.partial}>{item.text}</span>
          </span>
        </button>
      ))}
    </div>
  );
}
