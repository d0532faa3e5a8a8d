import { Anchor, Group, Stack, Text, Timeline } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { LeadDetail, LeadEvent } from "../../api/types";
import { clock, when, words } from "../../ui/format";
import { leadStateName, outcomeName, ruleName, timesInWords } from "./words";
import { placeOf } from "./zone";

/** What is known of a person of a list, and all that happened. */
export function LeadTimeline({ lead: d }: { lead: LeadDetail }) {
  const timeline = d.timeline ?? [];
  return (
    <Stack gap="lg">
      <Facts lead={d} />
      <Timeline bulletSize={14} lineWidth={2} active={timeline.length - 1}>
        {timeline.map((e) => (
          <Timeline.Item key={e.kind + e.at + e.attempt} title={titleOf(e)}>
            <Text size="xs" c="dimmed">
              {when(e.at)}
            </Text>
            <More of={e} />
          </Timeline.Item>
        ))}
      </Timeline>
    </Stack>
  );
}

function Facts({ lead: l }: { lead: LeadDetail }) {
  const facts = [
    ["Number", l.number],
    ["Now", [leadStateName(l.state), l.why && timesInWords(l.why)].filter(Boolean).join(": ")],
    ["Called next", l.dueAt && when(l.dueAt)],
    ["Address", [l.region, l.country].filter(Boolean).join(", ")],
    ["Time zone", placeOf(l.zone) || zoneWords(l.zones ?? [])],
    ...Object.entries(l.variables ?? {}),
  ].filter(([, v]) => v);
  return (
    <Stack gap={4}>
      {facts.map(([k, v]) => (
        <Group key={k} gap="xs" wrap="nowrap" align="flex-start">
          <Text size="sm" c="dimmed" w={110} style={{ flex: "none", overflowWrap: "anywhere" }}>
            {k}
          </Text>
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>
            {v}
          </Text>
        </Group>
      ))}
    </Stack>
  );
}

/** Zones that a number may be in, as far as they help. */
const zoneWords = (zones: string[]) =>
  zones.length > 2
    ? `One of ${zones.length}, by the number`
    : zones.length > 0
      ? `${zones.map(placeOf).join(" or ")}, by the number`
      : "";

function titleOf(e: LeadEvent): string {
  switch (e.kind) {
    case "added":
      return "Put on the list";
    case "decision":
      return e.allowed ? "May be called" : "Not called";
    case "attempt":
      return `Attempt ${e.attempt}`;
    case "answered":
      return "Answered";
    case "ended":
      return outcomeName(e.outcome) || "Ended";
    case "callback":
      return "Asked for another time";
  }
}

function More({ of: e }: { of: LeadEvent }) {
  return (
    <Text size="sm" component="div">
      {e.rule && <div>{ruleName(e.rule)}</div>}
      {e.for && <div>To be called {when(e.for)}</div>}
      {e.disposition && <div>{words(e.disposition)}</div>}
      {e.caller && <div>Showed {e.caller}</div>}
      {e.talkMs > 0 && <div>Talked {clock(e.talkMs)}</div>}
      {e.callId && e.kind === "ended" && (
        <Anchor renderRoot={(p) => <Link {...p} to="/calls/$callId" params={{ callId: e.callId }} />} size="sm">
          Open the call
        </Anchor>
      )}
    </Text>
  );
}
