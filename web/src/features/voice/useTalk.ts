import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Talk } from "./talk";

/** A call that ends when its panel is closed. */
export function useTalk(agentId: string, version?: number) {
  const [talk] = useState(() => new Talk(agentId, version));
  const state = useSyncExternalStore(talk.watch, talk.snapshot);
  useEffect(() => {
    const leave = () => talk.hangup();
    window.addEventListener("pagehide", leave);
    return () => {
      window.removeEventListener("pagehide", leave);
      if (talk.state.status === "live" || talk.state.status === "connecting" || talk.state.status === "asking")
        talk.hangup();
    };
  }, [talk]);
  return { talk, state };
}

/** Draws the loudness of both sides straight to CSS, without rendering again. */
export function useMeters(talk: Talk, live: boolean) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!live) return;
    const samples = new Uint8Array(512);
    let frame = 0;
    const draw = () => {
      for (const who of ["caller", "agent"] as const) {
        const m = talk.meters[who];
        let level = 0;
        if (m) {
          m.getByteTimeDomainData(samples);
          let sum = 0;
          for (const s of samples) sum += ((s - 128) / 128) ** 2;
          level = Math.min(1, Math.sqrt(sum / samples.length) * 4);
        }
        box.current?.style.setProperty(`--${who}-level`, level.toFixed(3));
      }
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [talk, live]);
  return box;
}
