import { Alert, Anchor, Button, Group, List, Stack, Text } from "@mantine/core";
import {
  IconAlertTriangle,
  IconCheck,
  IconCircleCheck,
  IconInfoCircle,
  IconPlayerPlay,
  IconRefresh,
} from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import type { Campaign, Obstacle, Preflight } from "../../api/types";
import { count } from "../../ui/format";
import { done, failed } from "../../ui/notify";
import { Section } from "../../ui/Section";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { askToStart } from "./Actions";
import { useMarkChecked, usePreflight, useStart } from "./api";
import { stepOfObstacle, steps } from "./draft";
import { Prediction } from "./Prediction";
import { weekInWords } from "./week";
import { modes, purposes, unbegun } from "./words";

/** What is in the way of a start, what to expect, and the start itself. */
export function StepCheck({ campaign, saved }: { campaign: Campaign; saved: boolean }) {
  const may = useMay();
  const check = usePreflight(campaign.id, saved);
  const startable = unbegun(campaign.state) && may("campaign:run");
  const markable = campaign.state === "draft" && may("campaign:update");
  return (
    <Stack>
      <Section
        title="What you have set"
        actions={
          <Button
            variant="default"
            size="xs"
            leftSection={<IconRefresh size={14} />}
            onClick={() => check.refetch()}
            loading={check.isFetching}
          >
            Check again
          </Button>
        }
      >
        <Summary campaign={campaign} />
      </Section>
      <Loaded query={check} rows={3}>
        {(p) => (
          <>
            <Obstacles preflight={p} campaign={campaign} />
            {p.prediction?.attempts.high === 0 && (p.leads.new ?? 0) + (p.leads.waiting ?? 0) > 0 && (
              <Alert
                color="clay"
                variant="light"
                icon={<IconAlertTriangle size={20} />}
                title="As it is, nobody would be called"
              >
                <Text size="sm">
                  In no run was a single call allowed. Look at why people are called, at consent, and at the hours.
                </Text>
              </Alert>
            )}
            {p.prediction && <Prediction of={p.prediction} currency={campaign.settings.budget.currency} />}
            {startable && <Start campaign={campaign} preflight={p} busy={check.isFetching} />}
            {markable && p.ready && <Mark campaign={campaign} busy={check.isFetching} />}
          </>
        )}
      </Loaded>
    </Stack>
  );
}

function Summary({ campaign: { settings: s } }: { campaign: Campaign }) {
  const hours = weekInWords(s.schedule.hours);
  const lines = [
    purposes.find((p) => p.value === s.purpose)?.label,
    modes[s.dialler.mode].label,
    `${count(s.dialler.lines, "call", "calls")} at once${s.dialler.perSecond > 0 ? `, at most ${s.dialler.perSecond} begun in a second` : ""}`,
    hours || "Whenever the rules of the place allow",
    `At most ${count(s.retry.total, "attempt", "attempts")}, ${s.retry.perDay} on one day`,
  ].filter(Boolean);
  return (
    <List size="sm" spacing={4}>
      {lines.map((l) => (
        <List.Item key={l}>{l}</List.Item>
      ))}
    </List>
  );
}

function Obstacles({ preflight, campaign }: { preflight: Preflight; campaign: Campaign }) {
  const blocking = preflight.problems.filter((o) => o.blocking);
  const hints = preflight.problems.filter((o) => !o.blocking);
  if (preflight.problems.length === 0) {
    return (
      <Alert color="pine" variant="light" icon={<IconCircleCheck size={20} />} title="Nothing is in the way">
        <Text size="sm">
          {unbegun(campaign.state) ? "The campaign can start." : "The campaign could start as it is."}
        </Text>
      </Alert>
    );
  }
  return (
    <>
      {blocking.length > 0 && (
        <Alert
          color="red"
          variant="light"
          icon={<IconAlertTriangle size={20} />}
          title={`${count(blocking.length, "thing is", "things are")} in the way`}
        >
          <Problems of={blocking} campaign={campaign} />
        </Alert>
      )}
      {hints.length > 0 && (
        <Alert color="clay" variant="light" icon={<IconInfoCircle size={20} />} title="You should know">
          <Problems of={hints} campaign={campaign} />
        </Alert>
      )}
    </>
  );
}

function Problems({ of, campaign }: { of: Obstacle[]; campaign: Campaign }) {
  return (
    <List size="sm" spacing="xs">
      {of.map((o) => {
        const step = stepOfObstacle(o);
        return (
          <List.Item key={o.code + o.field + o.message}>
            {o.message}{" "}
            {step && (
              <Anchor
                renderRoot={(p) => (
                  <Link
                    {...p}
                    to="/campaigns/$campaignId/edit"
                    params={{ campaignId: campaign.id }}
                    search={{ step }}
                  />
                )}
                size="sm"
                c="inherit"
                underline="always"
              >
                Go to “{steps.find((s) => s.id === step)?.title}”
              </Anchor>
            )}
          </List.Item>
        );
      })}
    </List>
  );
}

/** For whoever prepares a campaign that somebody else starts. */
function Mark({ campaign, busy }: { campaign: Campaign; busy: boolean }) {
  const mark = useMarkChecked();
  return (
    <Group justify="space-between">
      <Text size="sm" c="dimmed" maw={480}>
        Does somebody else start it? Mark it as checked, and the list says that it is ready. A change makes it a draft
        again.
      </Text>
      <Button
        variant="default"
        leftSection={<IconCheck size={16} />}
        disabled={busy}
        loading={mark.isPending}
        onClick={() => mark.mutate(campaign.id, { onSuccess: () => done("It is marked as checked."), onError: failed })}
      >
        Mark as checked
      </Button>
    </Group>
  );
}

function Start({ campaign, preflight, busy }: { campaign: Campaign; preflight: Preflight; busy: boolean }) {
  const start = useStart();
  const navigate = useNavigate();
  const people = (preflight.leads.new ?? 0) + (preflight.leads.waiting ?? 0);
  const begins = campaign.settings.schedule.starts;
  const later = begins && new Date(begins).getTime() > Date.now() ? new Date(begins) : null;
  // Not in the mutation's own callbacks: this part of the page is gone as soon as the campaign is no draft any more.
  const begin = async () => {
    try {
      await start.mutateAsync(campaign.id);
      done(later ? "It begins when its time has come." : "The campaign runs.");
      await navigate({ to: "/campaigns/$campaignId", params: { campaignId: campaign.id } });
    } catch (e) {
      failed(e);
    }
  };
  return (
    <Group justify="space-between">
      <Text size="sm" c="dimmed" maw={480}>
        {preflight.ready
          ? "You can pause at any time; calls that are running then end by themselves."
          : "It can start when what is in the way is put right."}
      </Text>
      <Button
        size="md"
        leftSection={<IconPlayerPlay size={18} />}
        disabled={!preflight.ready || busy}
        loading={start.isPending}
        onClick={() =>
          askToStart({
            text: `${preflight.agent || "The agent"} calls ${count(people, "person", "people")}, ${
              later ? `from ${later.toLocaleString()} on` : "from now on"
            }, at the hours that are allowed where they are.`,
            onConfirm: () => void begin(),
          })
        }
      >
        Start calling
      </Button>
    </Group>
  );
}
