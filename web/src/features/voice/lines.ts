import type { Entry } from "../../api/types";

/** One line of the conversation, as the panel shows it while it goes on. */
export type Line = {
  id: number;
  who: "caller" | "agent" | "note";
  text: string;
  partial?: boolean;
  interrupted?: boolean;
  gen?: number;
};

const MAX_LINES = 500;

/** Adds what an entry of the event log says to the lines. Entries that say nothing leave them as they are. */
export function addEntry(lines: Line[], e: Entry): Line[] {
  const text = e.text ?? "";
  const open = lines.findIndex((l) => l.partial);
  switch (e.kind) {
    case "stt.partial":
      if (text === "") return lines;
      if (open >= 0) return lines.map((l, i) => (i === open ? { ...l, text } : l));
      return append(lines, { id: e.seq, who: "caller", text, partial: true });
    case "stt.final":
    case "turn.backchannel":
      if (open < 0) return text ? append(lines, { id: e.seq, who: "caller", text }) : lines;
      // Nothing was understood after all: what was guessed goes.
      if (text === "") return lines.filter((_, i) => i !== open);
      return lines.map((l, i) => (i === open ? { id: l.id, who: l.who, text } : l));
    case "caller.text":
      return append(lines, { id: e.seq, who: "caller", text });
    case "dtmf":
      return append(lines, { id: e.seq, who: "note", text: `Key ${text}` });
    case "agent.said":
      return text === "" ? lines : said(lines, e, text);
    case "tool.call":
      return append(lines, { id: e.seq, who: "note", text: `Uses ${text}` });
    case "vendor.error":
    case "alert":
      return append(lines, { id: e.seq, who: "note", text });
    default:
      return lines;
  }
}

/**
 * The agent's words come sentence by sentence; those of one reply make one line. What was heard before an
 * interruption is told after the words that interrupted, and belongs to the reply all the same.
 */
function said(lines: Line[], e: Entry, text: string): Line[] {
  const gen = e.gen ?? 0;
  const cut = e.data?.interrupted === true ? { interrupted: true } : {};
  const at = lines.findLastIndex((l) => l.who === "agent" && l.gen === gen);
  if (at >= 0 && (at === lines.length - 1 || cut.interrupted)) {
    return lines.map((l, i) => (i === at ? { ...l, text: `${l.text} ${text}`, ...cut } : l));
  }
  return append(lines, { id: e.seq, who: "agent", text, gen, ...cut });
}

function append(lines: Line[], line: Line): Line[] {
  return [...lines.slice(-(MAX_LINES - 1)), line];
}
