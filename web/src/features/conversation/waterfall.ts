import type { Turn } from "../../api/types";

/** One step of a reply: what the time between two marks was spent on. */
export type Segment = { step: "stt" | "think" | "synthesise" | "send"; from: number; to: number };

export const stepNames: Record<Segment["step"], string> = {
  stt: "Recognising",
  think: "First words",
  synthesise: "First audio",
  send: "First frame sent",
};

/**
 * Cuts a turn at its marks. A mark that is missing is stepped over, one before the end of speech counts from
 * zero, and one that is out of order (a token that was there before the final text) takes no time.
 */
export function segments(turn: Turn): Segment[] {
  const marks: [Segment["step"], number | null][] = [
    ["stt", turn.sttFinalMs],
    ["think", turn.firstTokenMs],
    ["synthesise", turn.firstAudioMs],
    ["send", turn.firstFrameMs],
  ];
  const out: Segment[] = [];
  let at = 0;
  for (const [step, mark] of marks) {
    if (mark === null || mark === undefined) continue;
    const to = Math.max(at, mark);
    out.push({ step, from: at, to });
    at = to;
  }
  return out;
}

/** What the caller waited: from the end of speech to the first frame sent. */
export function wait(turn: Turn): number | null {
  return turn.firstFrameMs ?? null;
}

/** A round upper end for the axis. */
export function axisEnd(turns: Turn[]): number {
  const longest = Math.max(0, ...turns.flatMap((t) => segments(t).map((s) => s.to)));
  if (longest <= 0) return 100;
  const magnitude = 10 ** Math.floor(Math.log10(longest));
  const nice = [1, 2, 2.5, 5, 10].find((n) => n * magnitude >= longest) ?? 10;
  return nice * magnitude;
}
