import { ActionIcon, Alert, Anchor, Button, Group, Menu, Paper, SimpleGrid, Stack, Text } from "@mantine/core";
import { IconDots, IconGauge, IconPlayerPause } from "@tabler/icons-react";
import { Link, useParams } from "@tanstack/react-router";
import type { Campaign, CampaignProgress } from "../../api/types";
import { clock, count, since, words } from "../../ui/format";
import { Page } from "../../ui/Page";
import { Section } from "../../ui/Section";
import { Empty, Loaded, Rows } from "../../ui/states";
import { ActionItems, useActions } from "./Actions";
import { useCampaign, useProgress } from "./api";
import css from "./campaign.module.css";
import { Figure, Share } from "./Figure";
import { HeatMap } from "./HeatMap";
import { type LiveState, useLive } from "./live";
import { NoticeLine } from "./Notice";
import { ReportMenu } from "./ReportMenu";
import { StateBadge } from "./StateBadge";
import { Tallies } from "./Tallies";
import {
  leadStateName,
  leadStates,
  money,
  outcomeName,
  outcomes,
  over,
  percent,
  ruleName,
  timesInWords,
  unbegun,
} from "./words";

/** One campaign as it runs. */
export function CockpitPage() {
  const { campaignId } = useParams({ from: "/app/campaigns/$campaignId" });
  const campaign = useCampaign(campaignId);
  return (
    <Loaded query={campaign} skeleton={<Rows n={4} height={110} />}>
      {({ value }) => <Cockpit key={value.id} campaign={value} />}
    </Loaded>
  );
}

function Cockpit({ campaign: c }: { campaign: Campaign }) {
  const live = useLive(c.id);
  const progress = useProgress(c.id, live === "off" ? 10_000 : false);
  const { actions, windows } = useActions(c);
  const main = actions.filter((a) => a.main);
  const others = actions.filter((a) => !a.main);
  return (
    <Page
      title={c.name}
      wide
      above={
        <Anchor renderRoot={(p) => <Link {...p} to="/campaigns" />} size="sm">
          ← Campaigns
        </Anchor>
      }
      lead={
        <Group gap="sm">
          <StateBadge state={progress.data?.state ?? c.state} />
          <LiveLine state={live} />
          {c.startedAt && <span>Started {since(c.startedAt)}</span>}
          {c.endedAt && <span>Ended {since(c.endedAt)}</span>}
        </Group>
      }
      actions={
        <>
          <Button
            variant="default"
            renderRoot={(p) => <Link {...p} to="/campaigns/$campaignId/people" params={{ campaignId: c.id }} />}
          >
            People
          </Button>
          {!unbegun(c.state) && <ReportMenu campaign={c} />}
          {main.map((a) => (
            <Button key={a.key} leftSection={a.icon} onClick={a.run}>
              {a.label}
            </Button>
          ))}
          {others.length > 0 && (
            <Menu position="bottom-end">
              <Menu.Target>
                <ActionIcon variant="default" size={36} radius="xl" aria-label={`Actions for ${c.name}`}>
                  <IconDots size={18} />
                </ActionIcon>
              </Menu.Target>
              <Menu.Dropdown>
                <ActionItems actions={others} />
              </Menu.Dropdown>
            </Menu>
          )}
        </>
      }
    >
      {windows}
      <Loaded query={progress} skeleton={<Rows n={3} height={120} />}>
        {(p) => (unbegun(c.state) && p.attempts === 0 ? <NotYet campaign={c} /> : <Running campaign={c} p={p} />)}
      </Loaded>
    </Page>
  );
}

function NotYet({ campaign }: { campaign: Campaign }) {
  return (
    <Paper>
      <Empty
        icon={<IconGauge size={22} />}
        title="It has not begun"
        text="Figures are shown here from the first call on. Go through the steps, check, and start it."
        action={
          <Button
            renderRoot={(p) => <Link {...p} to="/campaigns/$campaignId/edit" params={{ campaignId: campaign.id }} />}
          >
            Go through the steps
          </Button>
        }
      />
    </Paper>
  );
}

const liveWords: Record<LiveState, string> = {
  connecting: "Connecting…",
  live: "Live",
  waiting: "Connecting again…",
  off: "Read every 10 seconds",
};

function LiveLine({ state }: { state: LiveState }) {
  return (
    <Group gap={6} role="status">
      <span className={css.pulse} data-off={state !== "live" || undefined} aria-hidden />
      <span>{liveWords[state]}</span>
    </Group>
  );
}

function Running({ campaign: c, p }: { campaign: Campaign; p: CampaignProgress }) {
  return (
    <Stack gap="lg">
      <Notice p={p} />
      <NoticeLine campaign={c} />
      <Figures campaign={c} p={p} />
      <Section title="The list">
        <ListBar p={p} />
      </Section>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Section title="How calls ended">
          <Tallies
            of={Object.entries(p.outcomes).map(([o, n]) => ({
              name: outcomeName(o),
              n,
              hint: outcomes[o]?.description,
            }))}
            empty="No call has ended yet."
          />
        </Section>
        <Section title="Results">
          <Tallies
            of={Object.entries(p.dispositions).map(([d, n]) => ({ name: words(d), n }))}
            empty="The agent has given no result yet."
          />
        </Section>
        <Section title="Answered, by hour" lead="When people pick up.">
          <HeatMap id={c.id} zone={c.settings.schedule.zone} />
        </Section>
        <Section title="Not called, and why" lead="Each time a rule kept a call from being made.">
          <Tallies
            of={Object.entries(p.refused).map(([rule, n]) => ({ name: ruleName(rule), n, hint: rule }))}
            empty="No rule has kept a call from being made."
          />
        </Section>
      </SimpleGrid>
    </Stack>
  );
}

function Notice({ p }: { p: CampaignProgress }) {
  if (p.state === "running" && p.now.slowed) {
    return (
      <Alert color="clay" variant="light" icon={<IconGauge size={20} />} title="It calls less than it could">
        {timesInWords(p.now.slowed)}
      </Alert>
    );
  }
  if (p.why && p.state !== "running") {
    return (
      <Alert
        color="clay"
        variant="light"
        icon={<IconPlayerPause size={20} />}
        title={over(p.state) ? "It is over" : "It waits"}
      >
        {timesInWords(p.why)}
      </Alert>
    );
  }
  return null;
}

function Figures({ campaign: { settings }, p }: { campaign: Campaign; p: CampaignProgress }) {
  const { now } = p;
  const busy = now.ringing + now.talking + now.waiting;
  const most = settings.dialler.mostDropped;
  const { budget } = settings;
  const running = p.state === "running";
  return (
    <div className={css.figures}>
      <Figure
        label="Calls now"
        value={running ? busy : 0}
        hint={running ? `${now.ringing} ringing, ${now.talking} talking, ${now.places} places` : "It does not run"}
      />
      <Figure
        label="Answered"
        value={p.attempts > 0 ? percent(p.answerRate) : "–"}
        hint={`of ${count(p.attempts, "attempt", "attempts")}`}
      />
      <Figure
        label="Answered and dropped"
        value={percent(p.dropRate, 1)}
        hint={`${percent(most, 1)} may be, in 30 days`}
        bad={p.dropRate > most}
      >
        <Share of={most > 0 ? p.dropRate / most : 0} label="Of the dropped calls that may be" />
      </Figure>
      <Figure
        label="Cost"
        value={money(p.cost, budget.currency)}
        hint={budget.most > 0 ? `of ${money(budget.most, budget.currency)}` : "No limit is set"}
        bad={budget.most > 0 && p.cost >= budget.most}
      >
        {budget.most > 0 && <Share of={p.cost / budget.most} label="Of the budget" />}
      </Figure>
      <Figure label="Talked" value={clock(p.talkMs)} hint="hours, minutes and seconds, all calls together" />
    </div>
  );
}

const colours: Record<string, string> = {
  done: "var(--agent)",
  do_not_call: "var(--caller)",
  in_call: "color-mix(in srgb, var(--agent) 75%, var(--surface))",
  dialling: "color-mix(in srgb, var(--agent) 55%, var(--surface))",
  waiting: "color-mix(in srgb, var(--agent) 35%, var(--surface))",
  new: "var(--surface-2)",
};

/** The people of the list by where they are. */
function ListBar({ p }: { p: CampaignProgress }) {
  const all = Object.values(p.leads).reduce((a, b) => a + b, 0);
  if (all === 0) return <Text size="sm">Nobody is on the list.</Text>;
  const order = ["done", "do_not_call", "in_call", "dialling", "waiting", "new"].filter((s) => (p.leads[s] ?? 0) > 0);
  return (
    <Stack gap="xs">
      <Text size="sm">
        <b>{percent(p.penetration)}</b> of {count(all, "person was", "people were")} called at least once, or are done.
      </Text>
      <div className={css.list} aria-hidden>
        {order.map((s) => (
          <span key={s} style={{ flexGrow: p.leads[s], background: colours[s] }} title={leadStateName(s)} />
        ))}
      </div>
      <Group gap="md" component="ul" m={0} p={0} style={{ listStyle: "none" }}>
        {order.map((s) => (
          <Group key={s} gap={6} component="li">
            <span className={css.dot} style={{ background: colours[s] }} aria-hidden />
            <Text size="sm" title={leadStates[s]?.description}>
              {leadStateName(s)} <b className="num">{(p.leads[s] ?? 0).toLocaleString("en-GB")}</b>
            </Text>
          </Group>
        ))}
      </Group>
    </Stack>
  );
}
