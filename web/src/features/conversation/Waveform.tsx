import { useMantineColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import type { Peaks } from "../../api/types";
import { clock } from "../../ui/format";
import css from "./conversation.module.css";

/** Two lanes of a call's sound, the caller above and the agent below; what was played is in full colour. */
export function Waveform(props: { peaks: Peaks; atMs: number; durationMs: number; seek: (ms: number) => void }) {
  const { peaks, atMs, durationMs, seek } = props;
  const { ref, width, height } = useElementSize();
  const canvas = useRef<HTMLCanvasElement>(null);
  const { colorScheme } = useMantineColorScheme();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours come from CSS, which the scheme changes
  useEffect(() => {
    const c = canvas.current;
    const g = c?.getContext("2d");
    if (!c || !g || width === 0) return;
    const ratio = window.devicePixelRatio || 1;
    c.width = width * ratio;
    c.height = height * ratio;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const style = getComputedStyle(c);
    const played = durationMs > 0 ? (atMs / durationMs) * width : 0;
    drawLane(g, peaks.caller, {
      colour: style.getPropertyValue("--caller"),
      top: 0,
      height: height / 2,
      width,
      played,
    });
    drawLane(g, peaks.agent, {
      colour: style.getPropertyValue("--agent"),
      top: height / 2,
      height: height / 2,
      width,
      played,
    });
    g.globalAlpha = 1;
    g.fillStyle = style.color;
    g.fillRect(Math.min(width - 2, played), 0, 2, height);
  }, [peaks, atMs, durationMs, width, height, colorScheme]);

  return (
    <div
      ref={ref}
      className={css.wave}
      role="slider"
      tabIndex={0}
      aria-label="Place in the recording"
      aria-valuemin={0}
      aria-valuemax={Math.round(durationMs / 1000)}
      aria-valuenow={Math.round(atMs / 1000)}
      aria-valuetext={`${clock(atMs)} of ${clock(durationMs)}`}
      onPointerDown={(e) => {
        const box = e.currentTarget.getBoundingClientRect();
        seek(((e.clientX - box.left) / box.width) * durationMs);
      }}
      onKeyDown={(e) => {
        const step = { ArrowLeft: -5000, ArrowRight: 5000, Home: -durationMs, End: durationMs }[e.key];
        if (step === undefined) return;
        e.preventDefault();
        seek(Math.min(durationMs, Math.max(0, atMs + step)));
      }}
    >
      <canvas ref={canvas} />
      <span className={css.lane} style={{ top: 6, color: "var(--caller)" }}>
        Caller
      </span>
      <span className={css.lane} style={{ bottom: 6, color: "var(--agent)" }}>
        Agent
      </span>
    </div>
  );
}

type Lane = { colour: string; top: number; height: number; width: number; played: number };

function drawLane(g: CanvasRenderingContext2D, peaks: number[], lane: Lane) {
  const step = 4;
  const bars = Math.floor(lane.width / step);
  const middle = lane.top + lane.height / 2;
  g.fillStyle = lane.colour;
  for (let i = 0; i < bars; i++) {
    const from = Math.floor((i / bars) * peaks.length);
    const to = Math.max(from + 1, Math.floor(((i + 1) / bars) * peaks.length));
    let peak = 0;
    for (let j = from; j < to; j++) peak = Math.max(peak, peaks[j] ?? 0);
    // Speech is quiet most of the time; the root makes it visible without flattening what is loud.
    const h = Math.max(1.5, Math.sqrt(Math.min(1, peak)) * lane.height * 0.9);
    g.globalAlpha = i * step <= lane.played ? 1 : 0.42;
    g.fillRect(i * step, middle - h / 2, 2.4, h);
  }
}
