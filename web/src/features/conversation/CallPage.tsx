import { Alert, Anchor, Button, Group, Menu, Paper, Skeleton, Stack, Tabs, Text, Title } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconAlertTriangle, IconArrowLeft, IconDownload, IconPhoneOff } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { CallDetail, Page as PageOf, TranscriptItem } from "../../api/types";
import { useRooms } from "../../realtime/hooks";
import { bytes, clock, latency, when, words } from "../../ui/format";
import { done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Loaded, Rows } from "../../ui/states";
import { useMay } from "../identity/api";
import { callerName, files, useCall, useHangup, useTranscript } from "./api";
import { CallStatus, channelNames } from "./CallStatus";
import css from "./conversation.module.css";
import { Events } from "./Events";
import { Ladder } from "./Ladder";
import { mergeItem, toItem } from "./live";
import { Player } from "./Player";
import { Waterfall } from "./Waterfall";

export function CallPage() {
  const { callId } = useParams({ from: "/app/calls/$callId" });
  const call = useCall(callId);
  useLive(callId);
  return (
    <Loaded
      query={call}
      skeleton={
        <Stack maw={1180} mx="auto" w="100%">
          <Skeleton height={44} width={320} />
          <Skeleton height={200} radius="lg" />
          <Rows n={4} />
        </Stack>
      }
    >
      {(data) => <Shown call={data} />}
    </Loaded>
  );
}

/** Follows the call while it goes on: the transcript item by item, the rest by reading again. */
function useLive(id: string) {
  const queries = useQueryClient();
  const again = useDebouncedCallback(() => queries.invalidateQueries({ queryKey: ["calls", id] }), 500);
  useRooms([`call:${id}`], (e) => {
    if (e.data.callId !== id) return;
    const item = toItem(e);
    if (item) {
      queries.setQueryData<PageOf<TranscriptItem>>(["calls", id, "transcript"], (old) =>
        old ? { ...old, items: mergeItem(old.items, item) } : old,
      );
    } else if (e.type === "call:status") {
      queries.setQueryData<CallDetail>(["calls", id], (old) =>
        old && old.status !== "ended"
          ? { ...old, status: e.data.status as CallDetail["status"], activity: String(e.data.activity ?? "") }
          : old,
      );
    } else {
      again();
    }
  });
}

function Shown({ call }: { call: CallDetail }) {
  const { tab = "play" } = useSearch({ from: "/app/calls/$callId" });
  const navigate = useNavigate({ from: "/calls/$callId" });
  const transcript = useTranscript(call.id);
  const live = call.status !== "ended";
  return (
    <Page
      title={callerName(call)}
      wide
      above={
        <Anchor renderRoot={(p) => <Link {...p} to="/calls" />} size="sm">
          <Group gap={4}>
            <IconArrowLeft size={15} /> Calls
          </Group>
        </Anchor>
      }
      lead={
        <>
          {call.direction === "outbound" ? "Called by" : "Talked with"} {call.agentName || call.agentSlug || "no agent"}{" "}
          · {when(call.startedAt)} · {clock(call.durationMs)} <CallStatus call={call} />
        </>
      }
      actions={
        <>
          {live && <Hangup id={call.id} />}
          <Downloads call={call} />
        </>
      }
    >
      {call.alerts.map((a) => (
        <Alert
          key={`${a.atMs}-${a.code}`}
          color="clay"
          variant="light"
          icon={<IconAlertTriangle size={18} />}
          title={words(a.code)}
        >
          {a.text}{" "}
          <Text span size="sm" c="dimmed">
            at {clock(a.atMs)}
          </Text>
        </Alert>
      ))}
      <div className={css.split}>
        <Tabs
          value={tab}
          onChange={(t) => navigate({ search: t && t !== "play" ? { tab: t } : {}, replace: true })}
          keepMounted={false}
          variant="default"
        >
          <Tabs.List mb="md" style={{ flexWrap: "nowrap", overflowX: "auto" }}>
            <Tabs.Tab value="play">Conversation</Tabs.Tab>
            <Tabs.Tab value="latency">Latency</Tabs.Tab>
            <Tabs.Tab value="events">Events</Tabs.Tab>
            <Tabs.Tab value="signals">Signalling</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="play">
            <Loaded query={transcript}>{(t) => <Player call={call} items={inTime(t.items)} />}</Loaded>
          </Tabs.Panel>
          <Tabs.Panel value="latency">
            <Waterfall id={call.id} />
          </Tabs.Panel>
          <Tabs.Panel value="events">
            <Events id={call.id} />
          </Tabs.Panel>
          <Tabs.Panel value="signals">
            <Ladder id={call.id} />
          </Tabs.Panel>
        </Tabs>
        <Facts call={call} />
      </div>
    </Page>
  );
}

/** What an interruption left of a reply is told after the words that interrupted, and was said before them. */
function inTime(items: TranscriptItem[]): TranscriptItem[] {
  return items.toSorted((a, b) => a.startMs - b.startMs || a.seq - b.seq);
}

function plain(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return Object.entries(value)
    .map(([k, v]) => `${k}: ${plain(v)}`)
    .join(", ");
}

function Hangup({ id }: { id: string }) {
  const hangup = useHangup();
  const may = useMay();
  if (!may.some("call:update")) return null;
  return (
    <Button
      color="red.8"
      leftSection={<IconPhoneOff size={16} />}
      loading={hangup.isPending}
      onClick={() => hangup.mutate(id, { onSuccess: () => done("The call is being ended."), onError: failed })}
    >
      Hang up
    </Button>
  );
}

function Downloads({ call }: { call: CallDetail }) {
  const f = files(call.id);
  const item = (href: string, name: string, label: string) => (
    <Menu.Item component="a" href={href} download={`${call.id}.${name}`}>
      {label}
    </Menu.Item>
  );
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={16} />}>
          Download
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {call.recording.state === "available" && item(f.recording, "wav", "Recording (WAV, caller left)")}
        <Menu.Label>Transcript</Menu.Label>
        {item(f.text, "txt", "Plain text")}
        {item(f.vtt, "vtt", "Subtitles (WebVTT)")}
        {item(f.json, "json", "JSON")}
        <Menu.Label>Event log</Menu.Label>
        {item(f.ndjson, "ndjson", "Every event (NDJSON)")}
      </Menu.Dropdown>
    </Menu>
  );
}

function Facts({ call }: { call: CallDetail }) {
  const leg = call.legs[0];
  const extra = [...Object.entries(call.outcome ?? {}), ...Object.entries(call.metadata ?? {})];
  const stats = leg?.stats;
  return (
    <Stack>
      <Paper p="md">
        <Title order={2} size="h3" mb="sm">
          Facts
        </Title>
        <dl className={css.facts}>
          <Row name="From" value={call.from || "Withheld"} />
          <Row name="To" value={call.to} />
          <Row name="Channel" value={channelNames[call.channel] ?? call.channel} />
          <Row
            name="Agent"
            value={
              call.agentId ? (
                <Anchor
                  renderRoot={(p) => <Link {...p} to="/agents/$agentId" params={{ agentId: call.agentId }} />}
                  size="sm"
                >
                  {call.agentName || call.agentSlug}, version {call.agentVersion}
                </Anchor>
              ) : (
                "–"
              )
            }
          />
          <Row name="Codec" value={call.codec || "–"} />
          <Row name="Answered" value={call.answeredAt ? when(call.answeredAt) : "No"} />
          <Row
            name="Ended by"
            value={call.endedBy ? `${words(call.endedBy)}${call.endText ? `: ${call.endText}` : ""}` : "–"}
          />
          <Row name="Turns" value={call.turns} />
          <Row name="Latency" value={`p50 ${latency(call.latency.p50Ms)}, p95 ${latency(call.latency.p95Ms)}`} />
          <Row
            name="Recording"
            value={
              call.recording.bytes
                ? `${clock(call.recording.durationMs)}, ${bytes(call.recording.bytes)}`
                : words(call.recording.state)
            }
          />
          <Row name="External id" value={call.externalId ? <span className="mono">{call.externalId}</span> : "–"} />
        </dl>
      </Paper>
      {extra.length > 0 && (
        <Paper p="md">
          <Title order={2} size="h3" mb="sm">
            Outcome
          </Title>
          <dl className={css.facts}>
            {extra.map(([k, v]) => (
              <Row key={k} name={words(k)} value={plain(v)} />
            ))}
          </dl>
        </Paper>
      )}
      {stats && (
        <Paper p="md">
          <Title order={2} size="h3" mb="sm">
            Network
          </Title>
          <dl className={css.facts}>
            <Row name="Packets" value={`${stats.packetsIn} in, ${stats.packetsOut} out`} />
            <Row name="Lost, late" value={`${stats.lost}, ${stats.late}`} />
            <Row name="Jitter" value={latency(Number(stats.jitterMs))} />
            <Row name="Round trip" value={latency(Number(stats.roundTripMs))} />
            <Row name="Peer" value={<span className="mono">{leg?.remote || "–"}</span>} />
          </dl>
        </Paper>
      )}
    </Stack>
  );
}

function Row({ name, value }: { name: string; value: React.ReactNode }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}
