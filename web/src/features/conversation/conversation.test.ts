import { describe, expect, it } from "vitest";
import type { TranscriptItem, Turn } from "../../api/types";
import { callerName } from "./api";
import { readFilters, toQuery } from "./filters";
import { mergeItem, toItem } from "./live";
import { axisEnd, segments } from "./waterfall";

const turn = (marks: Partial<Turn>): Turn => ({
  turn: 1,
  callerText: "",
  agentText: "",
  endOfSpeechMs: 0,
  sttFinalMs: null,
  firstTokenMs: null,
  firstAudioMs: null,
  firstFrameMs: null,
  interrupted: false,
  ...marks,
});

describe("segments", () => {
  it("cuts a turn at its marks", () => {
    expect(segments(turn({ sttFinalMs: 50, firstTokenMs: 80, firstAudioMs: 120, firstFrameMs: 130 }))).toEqual([
      { step: "stt", from: 0, to: 50 },
      { step: "think", from: 50, to: 80 },
      { step: "synthesise", from: 80, to: 120 },
      { step: "send", from: 120, to: 130 },
    ]);
  });
  it("steps over a missing mark", () => {
    expect(segments(turn({ sttFinalMs: 50, firstFrameMs: 130 }))).toEqual([
      { step: "stt", from: 0, to: 50 },
      { step: "send", from: 50, to: 130 },
    ]);
  });
  it("lets a mark before the end of speech, or out of order, take no time", () => {
    expect(segments(turn({ sttFinalMs: -20, firstTokenMs: 30, firstAudioMs: 25 }))).toEqual([
      { step: "stt", from: 0, to: 0 },
      { step: "think", from: 0, to: 30 },
      { step: "synthesise", from: 30, to: 30 },
    ]);
  });
});

describe("axisEnd", () => {
  it("is round and not below the longest turn", () => {
    expect(axisEnd([turn({ firstFrameMs: 328 })])).toBe(500);
    expect(axisEnd([turn({ firstFrameMs: 2100 })])).toBe(2500);
    expect(axisEnd([])).toBe(100);
  });
});

describe("a live transcript", () => {
  const item = (seq: number, text: string, final = true): TranscriptItem => ({
    seq,
    turn: 1,
    speaker: "caller",
    text,
    startMs: 0,
    endMs: 0,
    confidence: 0,
    final,
    interrupted: false,
  });
  it("replaces a partial item, keeps the order and takes an empty one away", () => {
    let items = mergeItem([item(1, "Hello"), item(3, "Yes")], item(2, "ope", false));
    items = mergeItem(items, item(2, "opening hours"));
    expect(items.map((i) => i.text)).toEqual(["Hello", "opening hours", "Yes"]);
    expect(mergeItem(items, item(2, "late", false))).toBe(items);
    expect(mergeItem(items, item(2, "")).map((i) => i.seq)).toEqual([1, 3]);
  });
  it("reads items from events and nothing else", () => {
    expect(toItem({ type: "call:transcript", data: { seq: 4, speaker: "agent", text: "Hi", final: true } })?.seq).toBe(
      4,
    );
    expect(toItem({ type: "call:status", data: { seq: 4, text: "Hi" } })).toBeNull();
    expect(toItem({ type: "call:transcript", data: {} })).toBeNull();
  });
});

describe("filters", () => {
  it("keeps what is known and not empty", () => {
    expect(readFilters({ status: "ended", q: "", other: "x", agentId: 7 })).toEqual({ status: "ended", agentId: "7" });
  });
  it("covers whole days", () => {
    const q = toQuery({ from: "2026-03-01", to: "2026-03-01", q: "x" });
    expect(new Date(q.to ?? "").getTime() - new Date(q.from ?? "").getTime()).toBe(86_400_000);
    expect(q.q).toBe("x");
  });
});

describe("callerName", () => {
  it("says who is on the other side", () => {
    const c = { from: "+1", fromName: "Nora", to: "bob", direction: "inbound", channel: "sip" } as const;
    expect(callerName(c)).toBe("Nora");
    expect(callerName({ ...c, direction: "outbound" })).toBe("bob");
    expect(callerName({ ...c, from: "", fromName: "", channel: "webrtc" })).toBe("Browser");
    expect(callerName({ ...c, from: "", fromName: "" })).toBe("Withheld");
  });
});
