import { ActionIcon, Alert, Group, Paper, SegmentedControl, Skeleton, Stack, Text } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { IconPlayerPauseFilled, IconPlayerPlayFilled } from "@tabler/icons-react";
import { useCallback, useEffect, useRef, useState } from "react";
import type { CallDetail, TranscriptItem } from "../../api/types";
import { clock } from "../../ui/format";
import { Failed } from "../../ui/states";
import { files, usePeaks } from "./api";
import { TranscriptLines } from "./Transcript";
import { Waveform } from "./Waveform";

/** The recording and the transcript, which run along with each other. */
export function Player({ call, items }: { call: CallDetail; items: TranscriptItem[] }) {
  const audio = useRef<HTMLAudioElement>(null);
  const [playing, setPlaying] = useState(false);
  const [atMs, setAt] = useState(0);
  const [rate, setRate] = useState("1");
  const [broken, setBroken] = useState(false);
  const there = call.recording.state === "available";
  const peaks = usePeaks(call.id, there);
  const durationMs = peaks.data?.durationMs || call.recording.durationMs || call.durationMs;

  const seek = useCallback((ms: number) => {
    if (audio.current) audio.current.currentTime = ms / 1000;
    setAt(ms);
  }, []);
  const toggle = useCallback(() => {
    const a = audio.current;
    if (!a) return;
    if (a.paused) a.play().catch(() => setBroken(true));
    else a.pause();
  }, []);
  useHotkeys([["space", toggle]], ["INPUT", "TEXTAREA", "SELECT", "BUTTON"]);

  useEffect(() => {
    if (!playing) return;
    let frame = 0;
    const follow = () => {
      if (audio.current) setAt(audio.current.currentTime * 1000);
      frame = requestAnimationFrame(follow);
    };
    frame = requestAnimationFrame(follow);
    return () => cancelAnimationFrame(frame);
  }, [playing]);

  useEffect(() => {
    if (audio.current) audio.current.playbackRate = Number(rate);
  }, [rate]);

  return (
    <Stack gap="md">
      {there ? (
        <Paper p="md">
          {/* biome-ignore lint/a11y/useMediaCaption: the transcript stands below and runs along */}
          <audio
            ref={audio}
            src={files(call.id).recording}
            preload="metadata"
            onPlay={() => setPlaying(true)}
            onPause={() => setPlaying(false)}
            onEnded={() => setPlaying(false)}
            onError={() => setBroken(true)}
          />
          {peaks.isError ? (
            <Failed error={peaks.error} retry={() => peaks.refetch()} />
          ) : peaks.data ? (
            <Waveform peaks={peaks.data} atMs={atMs} durationMs={durationMs} seek={seek} />
          ) : (
            <Skeleton height={148} radius="md" />
          )}
          {broken && (
            <Alert color="red" variant="light" mt="sm" role="alert">
              The recording cannot be played in this browser. Its WAV file can be downloaded.
            </Alert>
          )}
          <Group mt="sm" justify="space-between">
            <Group gap="sm">
              <ActionIcon size={44} radius="xl" onClick={toggle} aria-label={playing ? "Pause" : "Play"}>
                {playing ? <IconPlayerPauseFilled size={20} /> : <IconPlayerPlayFilled size={20} />}
              </ActionIcon>
              <Text className="num" size="sm">
                {clock(atMs)}{" "}
                <Text span c="dimmed">
                  / {clock(durationMs)}
                </Text>
              </Text>
            </Group>
            <SegmentedControl
              size="xs"
              radius="xl"
              aria-label="Speed"
              value={rate}
              onChange={setRate}
              data={["1", "1.5", "2"].map((v) => ({ value: v, label: `${v}×` }))}
            />
          </Group>
        </Paper>
      ) : (
        <NoRecording call={call} />
      )}
      <Paper p="xs">
        <TranscriptLines
          items={items}
          atMs={there && (playing || atMs > 0) ? atMs : undefined}
          seek={there ? seek : undefined}
          live={call.status !== "ended"}
        />
      </Paper>
    </Stack>
  );
}

function NoRecording({ call }: { call: CallDetail }) {
  const text = {
    none: "This call was not recorded.",
    recording:
      call.status === "ended"
        ? "The recording is being put away; it can be heard in a moment."
        : "Recording. It can be heard when the call has ended.",
    failed: "The recording could not be kept. The alerts say why.",
    available: "",
  }[call.recording.state];
  return (
    <Paper p="md">
      <Text size="sm" c="dimmed">
        {text}
      </Text>
    </Paper>
  );
}
