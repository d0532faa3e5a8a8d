import type { QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useRef, useSyncExternalStore } from "react";
import { Feed, type FeedState, type RealtimeEvent } from "./client";

export function makeFeed(queries: QueryClient): Feed {
  return new Feed({
    open: () => new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/realtime`),
    setTimer: (fn, ms) => window.setTimeout(fn, ms),
    clearTimer: (timer) => window.clearTimeout(timer),
    random: Math.random,
    // What a form began from stays: it must not change below the person who types.
    onReset: () => void queries.invalidateQueries({ predicate: (q) => q.queryKey[0] !== "begun" }),
  });
}

export const FeedContext = createContext<Feed | null>(null);

/** Calls fn for every event of the rooms, which are joined while the component is shown. */
export function useRooms(rooms: string[], fn: (event: RealtimeEvent) => void) {
  const feed = useContext(FeedContext);
  const latest = useRef(fn);
  latest.current = fn;
  const key = rooms.join(" ");
  useEffect(() => {
    if (!feed || !key) return;
    const leave = key.split(" ").map((room) => feed.join(room));
    const stop = feed.listen((event) => latest.current(event));
    return () => {
      stop();
      for (const l of leave) l();
    };
  }, [feed, key]);
}

export function useFeedState(): FeedState {
  const feed = useContext(FeedContext);
  return useSyncExternalStore(feed?.watch ?? (() => () => {}), () => feed?.state ?? "closed");
}
