import { Anchor, Group, Stack, Text, Timeline } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { Lead, LeadEvent } from "../../api/types";
import { clock, when, words } from "../../ui/format";
import { Loaded } from "../../ui/states";
import { useLead } from "./leadsApi";
import { leadStateName, outcomeName, ruleName, timesInWords } from "./words";

/** What is known of a person of a list, and all that happened. */
export function LeadTimeline({ campaignId, lead }: { campaignId: string; lead: Lead }) {
  const detail = useLead(campaignId, lead.id);
  return (
    <Loaded query={detail} rows={4}>
      {(d) => (
        <Stack>
          <Facts lead={d} />
          <Timeline bulletSize={14} lineWidth={2} active={d.timeline.length - 1}>
            {d.timeline.map((e) => (
              <Timeline.Item key={e.kind + e.at + e.attempt} title={titleOf(e)}>
                <Text size="xs" c="dimmed">
                  {when(e.at)}
                </Text>
                <More of={e} />
              </Timeline.Item>
            ))}
          </Timeline>
        </Stack>
      )}
    </Loaded>
  );
}

function Facts({ lead: l }: { lead: Lead }) {
  const facts = [
    ["Number", l.number],
    ["Now", [leadStateName(l.state), l.why && timesInWords(l.why)].filter(Boolean).join(": ")],
    ["Where", [l.region, l.country, l.zone].filter(Boolean).join(", ")],
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
