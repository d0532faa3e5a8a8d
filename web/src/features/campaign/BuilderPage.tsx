import { Alert, Anchor, Button, Group, Paper, Select, Stack, Text } from "@mantine/core";
import { IconArrowLeft, IconArrowRight } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { Tagged } from "../../api/client";
import type { Campaign } from "../../api/types";
import { useLeaving } from "../../ui/leaving";
import { Page } from "../../ui/Page";
import { Loaded, Rows } from "../../ui/states";
import { useMay } from "../identity/api";
import { readCampaign, useCampaign } from "./api";
import css from "./campaign.module.css";
import { type StepId, stepOf, steps } from "./draft";
import { StateBadge } from "./StateBadge";
import { StepAgain } from "./StepAgain";
import { StepCheck } from "./StepCheck";
import { StepMachine, StepResults } from "./StepResults";
import { StepSpeed } from "./StepSpeed";
import { StepWhen } from "./StepWhen";
import { StepWhere } from "./StepWhere";
import { type StepProps, StepWho } from "./StepWho";
import { StepWhom } from "./StepWhom";
import { type Saving, useDraft } from "./useDraft";
import { over, unbegun } from "./words";

/** A campaign is made and changed here, step by step. */
export function BuilderPage() {
  const { campaignId } = useParams({ from: "/app/campaigns/$campaignId/edit" });
  const begun = useQuery({
    queryKey: ["begun", "campaign", campaignId],
    queryFn: ({ signal }) => readCampaign(campaignId)(signal),
    // What is being edited must not change below the person who types.
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  return (
    <Loaded query={begun} skeleton={<Rows n={6} height={60} />}>
      {(c) => <Builder key={c.value.id} begun={c} />}
    </Loaded>
  );
}

const bodies: Record<Exclude<StepId, "check">, (p: StepProps) => React.ReactNode> = {
  who: StepWho,
  whom: StepWhom,
  where: StepWhere,
  when: StepWhen,
  speed: StepSpeed,
  again: StepAgain,
  machine: StepMachine,
  results: StepResults,
};

function Builder({ begun }: { begun: Tagged<Campaign> }) {
  const may = useMay();
  const navigate = useNavigate({ from: "/campaigns/$campaignId/edit" });
  const { step = "who" } = useSearch({ from: "/app/campaigns/$campaignId/edit" });
  const now = useCampaign(begun.value.id).data?.value ?? begun.value;
  const isDraft = unbegun(now.state);
  const editable = may("campaign:update") && !over(now.state);
  const { form, saving, save, discard } = useDraft(begun, isDraft && editable);
  useLeaving({
    dirty: editable && saving.state !== "saved",
    text: isDraft
      ? "What you typed last cannot be saved as it is."
      : "What you changed is not saved, and the campaign goes on as before.",
    save: isDraft ? save : undefined,
  });
  const wrong = new Set(Object.keys(form.errors).map(stepOf));
  const at = steps.findIndex((s) => s.id === step);
  const go = async (to: StepId) => {
    if (isDraft && editable) await save();
    await navigate({ search: { step: to } });
    window.scrollTo({ top: 0 });
  };
  const before = steps[at - 1];
  const after = steps[at + 1];
  const Body = step === "check" ? null : bodies[step];
  return (
    <Page
      title={form.values.name || "Campaign"}
      wide
      lead={
        <Group gap="xs">
          <StateBadge state={now.state} />
          {isDraft ? "Nobody is called before you start it." : "What you change counts from the next call on."}
        </Group>
      }
      above={
        <Anchor
          renderRoot={(p) =>
            isDraft ? (
              <Link {...p} to="/campaigns" />
            ) : (
              <Link {...p} to="/campaigns/$campaignId" params={{ campaignId: now.id }} />
            )
          }
          size="sm"
        >
          ← {isDraft ? "Campaigns" : "Back to the campaign"}
        </Anchor>
      }
      actions={<SaveLine saving={saving} auto={isDraft} save={save} discard={discard} />}
    >
      {!editable && (
        <Alert color="clay" variant="light">
          {over(now.state)
            ? "The campaign is over. Duplicate it to call again with these settings."
            : "Your role shows this campaign and does not change it."}
        </Alert>
      )}
      <div className={css.builder}>
        <nav aria-label="Steps">
          <ol className={css.steps}>
            {steps.map((s, i) => (
              <li key={s.id}>
                <Link
                  to="/campaigns/$campaignId/edit"
                  params={{ campaignId: now.id }}
                  search={{ step: s.id }}
                  className={css.step}
                  data-here={s.id === step || undefined}
                  data-wrong={wrong.has(s.id) || undefined}
                  onClick={(e) => {
                    e.preventDefault();
                    void go(s.id);
                  }}
                >
                  <span className={css.number}>{wrong.has(s.id) ? "!" : i + 1}</span>
                  {s.title}
                  {wrong.has(s.id) && <span className="mantine-visually-hidden">: something is wrong here</span>}
                </Link>
              </li>
            ))}
          </ol>
          <div className={css.phoneSteps}>
            <Select
              aria-label="Step"
              data={steps.map((s, i) => ({ value: s.id, label: `${i + 1} of ${steps.length}: ${s.title}` }))}
              value={step}
              allowDeselect={false}
              onChange={(v) => void go(v as StepId)}
            />
          </div>
        </nav>
        <Stack>
          {Body ? (
            <fieldset disabled={!editable} style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
              <Body form={form} campaign={now} />
            </fieldset>
          ) : (
            <StepCheck campaign={now} saved={saving.state === "saved"} />
          )}
          <Paper p="sm" component="footer">
            <Group justify="space-between">
              {before ? (
                <Button variant="default" leftSection={<IconArrowLeft size={16} />} onClick={() => void go(before.id)}>
                  {before.title}
                </Button>
              ) : (
                <span />
              )}
              {after && (
                <Button
                  variant={step === "results" ? "filled" : "light"}
                  rightSection={<IconArrowRight size={16} />}
                  onClick={() => void go(after.id)}
                >
                  {after.title}
                </Button>
              )}
            </Group>
          </Paper>
        </Stack>
      </div>
    </Page>
  );
}

type SaveProps = { saving: Saving; auto: boolean; save: () => Promise<boolean>; discard: () => void };

function SaveLine({ saving, auto, save, discard }: SaveProps) {
  const bad = saving.state === "wrong" || saving.state === "failed";
  const open = saving.state !== "saved" && saving.state !== "saving";
  return (
    <Group gap="sm">
      <Text size="sm" c={bad ? "red" : "dimmed"} role="status" maw={360}>
        {bad && saving.says}
        {saving.state === "saving" && "Saving…"}
        {saving.state === "saved" && auto && "Saved"}
        {saving.state === "dirty" && (auto ? "Not saved yet" : "Changes that are not saved")}
      </Text>
      {auto && saving.state === "failed" && (
        <Button size="xs" variant="default" onClick={() => void save()}>
          Try again
        </Button>
      )}
      {!auto && (open || saving.state === "saving") && (
        <>
          <Button variant="default" onClick={discard}>
            Discard
          </Button>
          <Button onClick={() => void save()} loading={saving.state === "saving"}>
            Save the changes
          </Button>
        </>
      )}
    </Group>
  );
}
