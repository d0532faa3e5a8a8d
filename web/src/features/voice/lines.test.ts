import { describe, expect, it } from "vitest";
import type { Entry } from "../../api/types";
import { addEntry, type Line } from "./lines";

const play = (...entries: [string, string, Record<string, unknown>?][]) =>
  entries.reduce<Line[]>(
    (lines, [kind, text, data], i) =>
      addEntry(lines, { seq: i + 1, atUs: 0, kind, text, ...(data ? { data } : {}) } as Entry),
    [],
  );

describe("addEntry", () => {
  it("replaces partial words by the final ones", () => {
    const lines = play(
      ["agent.said", "Hello"],
      ["stt.partial", "open"],
      ["stt.partial", "opening"],
      ["stt.final", "opening hours"],
    );
    expect(lines.map((l) => [l.who, l.text, l.partial])).toEqual([
      ["agent", "Hello", undefined],
      ["caller", "opening hours", undefined],
    ]);
  });
  it("takes back what was nothing", () => {
    expect(play(["stt.partial", "uh"], ["stt.final", ""])).toEqual([]);
  });
  it("shows typed words, keys and interruptions", () => {
    const lines = play(["caller.text", "hi"], ["dtmf", "5"], ["agent.said", "We are", { interrupted: true }]);
    expect(lines.map((l) => [l.who, l.text])).toEqual([
      ["caller", "hi"],
      ["note", "Key 5"],
      ["agent", "We are"],
    ]);
    expect(lines[2]?.interrupted).toBe(true);
  });
  it("makes one line of a reply, also when it was interrupted", () => {
    const entry = (seq: number, kind: string, text: string, gen: number, interrupted = false): Entry => ({
      seq,
      atUs: 0,
      kind,
      text,
      gen,
      data: { interrupted },
    });
    const lines = [
      entry(1, "agent.said", "Welcome.", 1),
      entry(2, "agent.said", "How can", 1),
      entry(3, "caller.text", "hours", 2),
      entry(4, "agent.said", "I", 1, true),
      entry(5, "agent.said", "We are closed.", 2),
    ].reduce<Line[]>(addEntry, []);
    expect(lines.map((l) => l.text)).toEqual(["Welcome. How can I", "hours", "We are closed."]);
    expect(lines[0]?.interrupted).toBe(true);
  });
  it("leaves the lines alone when nothing was said, and keeps them bounded", () => {
    const lines: Line[] = [];
    expect(addEntry(lines, { seq: 1, atUs: 0, kind: "vad.start" })).toBe(lines);
    const many = play(...Array.from({ length: 600 }, (): [string, string] => ["caller.text", "x"]));
    expect(many.length).toBe(500);
  });
});
