import { beforeEach, describe, expect, it } from "vitest";
import { backoff, Feed, type RealtimeEvent } from "./client";

class FakeSocket {
  sent: { type: string; rooms?: string[]; after?: number }[] = [];
  onopen: ((e: never) => void) | null = null;
  onmessage: ((e: MessageEvent) => void) | null = null;
  onclose: ((e: never) => void) | null = null;
  closed = false;
  send(data: string) {
    this.sent.push(JSON.parse(data));
  }
  close() {
    this.closed = true;
  }
  open() {
    this.onopen?.(undefined as never);
  }
  drop(code?: number) {
    this.onclose?.((code ? { code } : undefined) as never);
  }
  tell(message: unknown) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) } as MessageEvent);
  }
}

const event = (id: number): RealtimeEvent => ({ id, type: "call:status", room: "org", at: "", data: {} });

describe("Feed", () => {
  let sockets: FakeSocket[];
  let timers: { fn: () => void; ms: number }[];
  let resets: number;
  let seen: number[];
  let feed: Feed;
  const newest = () => sockets.at(-1) as FakeSocket;

  beforeEach(() => {
    sockets = [];
    timers = [];
    resets = 0;
    seen = [];
    feed = new Feed({
      open: () => {
        const s = new FakeSocket();
        sockets.push(s);
        return s;
      },
      setTimer: (fn, ms) => timers.push({ fn, ms }),
      clearTimer: () => {
        timers = [];
      },
      random: () => 1,
      onReset: () => {
        resets++;
      },
    });
    feed.listen((e) => seen.push(e.id));
  });

  it("joins rooms when it is open, and later ones at once", () => {
    feed.join("org");
    feed.start();
    newest().open();
    const leave = feed.join("call:1");
    feed.join("call:1");
    leave();
    expect(newest().sent).toEqual([
      { type: "subscribe", rooms: ["org"] },
      { type: "subscribe", rooms: ["call:1"] },
    ]);
  });

  it("comes back soon and by chance from a planned restart, and slower when that goes on", () => {
    feed.start();
    newest().open();
    newest().tell({ type: "subscribed", id: 4 });
    newest().tell(event(5));
    newest().drop(1012);
    expect(timers.at(-1)?.ms).toBe(1000);
    timers.at(-1)?.fn();
    newest().drop(1012);
    expect(timers.at(-1)?.ms).toBe(backoff(1, 1));
    timers.at(-1)?.fn();
    newest().open();
    expect(newest().sent).toEqual([{ type: "subscribe", rooms: [], after: 5 }]);
    expect(resets).toBe(0);
  });

  it("takes batches and drops what it has seen", () => {
    feed.start();
    newest().open();
    newest().tell({ type: "subscribed", id: 4 });
    newest().tell({ batch: [event(5), event(6)] });
    newest().tell(event(6));
    newest().tell(event(7));
    newest().tell("no json");
    expect(seen).toEqual([5, 6, 7]);
  });

  it("resumes after the last id with growing pauses", () => {
    feed.join("org");
    feed.start();
    newest().open();
    newest().tell(event(9));
    newest().drop();
    expect(feed.state).toBe("waiting");
    timers[0]?.fn();
    newest().drop();
    expect((timers[1]?.ms ?? 0) > (timers[0]?.ms ?? 0)).toBe(true);
    timers[1]?.fn();
    newest().open();
    expect(newest().sent).toEqual([{ type: "subscribe", rooms: ["org"], after: 9 }]);
    expect(resets).toBe(0);
  });

  it("has everything read again when events were lost", () => {
    feed.start();
    newest().open();
    newest().tell(event(9));
    newest().tell({ type: "reset", id: 50 });
    newest().tell(event(51));
    expect(resets).toBe(1);
    expect(seen).toEqual([9, 51]);
  });

  it("stays away once it is stopped", () => {
    feed.start();
    const s = newest();
    s.open();
    feed.stop();
    s.drop();
    expect(s.closed).toBe(true);
    expect(timers).toEqual([]);
    expect(feed.state).toBe("closed");
  });
});

describe("backoff", () => {
  it("doubles, has jitter and an end", () => {
    expect(backoff(0, 1)).toBe(500);
    expect(backoff(1, 1)).toBe(1000);
    expect(backoff(1, 0)).toBe(500);
    expect(backoff(99, 1)).toBe(15_000);
  });
});
