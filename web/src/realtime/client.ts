/**
 * The realtime feed: one WebSocket for the whole application. It resumes after the last id it saw, comes
 * back with growing pauses, and tells its listeners when events were lost and state must be read again.
 */

export type RealtimeEvent = { id: number; type: string; room: string; at: string; data: Record<string, unknown> };
export type FeedState = "connecting" | "live" | "waiting" | "closed";
type Listener = (event: RealtimeEvent) => void;

/** The part of a WebSocket that the feed needs. */
export type Socket = {
  send(data: string): void;
  close(): void;
  onopen: ((e: never) => void) | null;
  onmessage: ((e: MessageEvent) => void) | null;
  onclose: ((e: never) => void) | null;
};

export type FeedConfig = {
  open: () => Socket;
  setTimer: (fn: () => void, ms: number) => unknown;
  clearTimer: (timer: never) => void;
  random: () => number;
  /** Events were lost, or may have been: what was read before is stale. */
  onReset: () => void;
};

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** A server that restarts closes with this code (IANA's registry of RFC 6455 close codes); others are there already. */
const SERVICE_RESTART = 1012;
const RESTART_PAUSE = 1_000;

/** How long to wait before attempt n (from 0), with jitter so that browsers do not come back all at once. */
export function backoff(attempt: number, random: number): number {
  const full = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(attempt, 10));
  return Math.round(full * (0.5 + random / 2));
}

export class Feed {
  private socket: Socket | null = null;
  private lastId = 0;
  private attempt = 0;
  private timer: unknown = null;
  private wanted = false;
  private rooms = new Map<string, number>();
  private listeners = new Set<Listener>();
  private watchers = new Set<() => void>();
  state: FeedState = "closed";

  constructor(private readonly config: FeedConfig) {}

  start(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.connect();
  }

  stop(): void {
    this.wanted = false;
    if (this.timer !== null) this.config.clearTimer(this.timer as never);
    this.timer = null;
    const socket = this.socket;
    this.socket = null;
    this.lastId = 0;
    socket?.close();
    this.become("closed");
  }

  /** Adds a room for as long as the returned function is not called. */
  join(room: string): () => void {
    const n = this.rooms.get(room) ?? 0;
    this.rooms.set(room, n + 1);
    if (n === 0) this.send({ type: "subscribe", rooms: [room] });
    return () => {
      const left = (this.rooms.get(room) ?? 1) - 1;
      if (left > 0) {
        this.rooms.set(room, left);
        return;
      }
      this.rooms.delete(room);
      this.send({ type: "unsubscribe", rooms: [room] });
    };
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  watch = (fn: () => void): (() => void) => {
    this.watchers.add(fn);
    return () => this.watchers.delete(fn);
  };

  private become(state: FeedState) {
    if (this.state === state) return;
    this.state = state;
    for (const fn of this.watchers) fn();
  }

  private send(message: object) {
    if (this.socket && this.state === "live") this.socket.send(JSON.stringify(message));
  }

  private connect() {
    this.timer = null;
    this.become("connecting");
    const socket = this.config.open();
    this.socket = socket;
    socket.onopen = () => {
      if (this.socket !== socket) return;
      const again = this.attempt > 0;
      this.become("live");
      this.send({ type: "subscribe", rooms: [...this.rooms.keys()], ...(this.lastId ? { after: this.lastId } : {}) });
      // Without an id to resume from, whatever happened while we were away is unknown.
      if (again && !this.lastId) this.config.onReset();
    };
    socket.onmessage = (e) => {
      if (this.socket === socket && typeof e.data === "string") this.receive(e.data);
    };
    socket.onclose = (e: { code?: number } | undefined) => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (!this.wanted) return;
      this.become("waiting");
      const random = this.config.random();
      // A planned restart is no failure: soon, at any time of a second. One that goes on is treated as one.
      const restart = e?.code === SERVICE_RESTART && this.attempt === 0;
      this.timer = this.config.setTimer(
        () => this.connect(),
        restart ? Math.round(RESTART_PAUSE * random) : backoff(this.attempt, random),
      );
      this.attempt++;
    };
  }

  private receive(text: string) {
    let message: { type?: string; id?: number; batch?: RealtimeEvent[] };
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "subscribed") {
      this.attempt = 0;
      if (message.id && !this.lastId) this.lastId = message.id;
      return;
    }
    if (message.type === "reset") {
      this.lastId = message.id ?? 0;
      this.config.onReset();
      return;
    }
    if (message.type === "pong" || message.type === "error") return;
    for (const event of message.batch ?? [message as RealtimeEvent]) {
      // A resumed feed may repeat an event; ids rise.
      if (typeof event.id !== "number" || event.id <= this.lastId) continue;
      this.lastId = event.id;
      for (const listener of this.listeners) listener(event);
    }
  }
}
