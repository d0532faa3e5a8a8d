import type { TranscriptItem } from "../../api/types";

/** The transcript item that a realtime event carries, if it carries one. */
export function toItem(event: { type: string; data: Record<string, unknown> }): TranscriptItem | null {
  if (event.type !== "call:transcript" && event.type !== "transcript:update") return null;
  const d = event.data;
  if (typeof d.seq !== "number" || typeof d.text !== "string") return null;
  return {
    seq: d.seq,
    turn: Number(d.turn ?? 0),
    speaker: d.speaker as TranscriptItem["speaker"],
    text: d.text,
    startMs: Number(d.startMs ?? 0),
    endMs: Number(d.endMs ?? 0),
    confidence: Number(d.confidence ?? 0),
    final: d.final === true,
    interrupted: d.interrupted === true,
  };
}

/** Puts an item in its place: a later state of the same item replaces it, an empty one takes it away. */
export function mergeItem(items: TranscriptItem[], item: TranscriptItem): TranscriptItem[] {
  const rest = items.filter((i) => i.seq !== item.seq);
  const known = items.find((i) => i.seq === item.seq);
  if (known?.final && !item.final) return items;
  if (item.text === "") return rest;
  return [...rest, item].sort((a, b) => a.seq - b.seq);
}
