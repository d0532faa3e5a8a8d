import { Alert, Button, Checkbox, Group, MultiSelect, Select, Stack, Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useState } from "react";
import type { Campaign, DoneLeads } from "../../api/types";
import { count, words } from "../../ui/format";
import { done, failed } from "../../ui/notify";
import { Loaded } from "../../ui/states";
import { useImports } from "./importApi";
import { useDoneLeads, useRecycle } from "./leadsApi";
import { outcomeName } from "./words";

const sum = (of: DoneLeads[], key: "leads" | "spent" = "leads") => of.reduce((n, d) => n + d[key], 0);

/** Whom to call again, of those who are done: chosen by how their last call ended. */
export function Recycle({ campaign, close }: { campaign: Campaign; close: () => void }) {
  const [importId, setImport] = useState("");
  const [outcomes, choose] = useState<string[]>([]);
  const [results, setResults] = useState<string[]>([]);
  const groups = useDoneLeads(campaign.id, importId);
  const files = useImports(campaign.id).data?.items.filter((i) => i.added > 0) ?? [];
  return (
    <Stack>
      <Text size="sm">
        People who are done are called again, by the campaign's rules and hours. Who asked not to be called never is.
      </Text>
      {files.length > 1 && (
        <Select
          label="Of which file"
          data={[{ value: "", label: "All of them" }, ...files.map((f) => ({ value: f.id, label: f.name }))]}
          allowDeselect={false}
          value={importId}
          onChange={(v) => setImport(v ?? "")}
        />
      )}
      <Loaded query={groups} rows={3}>
        {(all) => (
          <Choice
            campaign={campaign}
            all={all}
            importId={importId}
            outcomes={outcomes}
            choose={choose}
            results={results}
            setResults={setResults}
            close={close}
          />
        )}
      </Loaded>
    </Stack>
  );
}

type ChoiceProps = {
  campaign: Campaign;
  all: DoneLeads[];
  importId: string;
  outcomes: string[];
  choose: (o: string[]) => void;
  results: string[];
  setResults: (r: string[]) => void;
  close: () => void;
};

function Choice({ campaign, all, importId, outcomes, choose, results, setResults, close }: ChoiceProps) {
  const recycle = useRecycle();
  if (all.length === 0) return <Text size="sm">Nobody is done yet.</Text>;
  const names = [...new Set(all.map((d) => d.outcome))];
  const of = all.filter((d) => outcomes.includes(d.outcome));
  const dispositions = [...new Set(of.map((d) => d.disposition))].filter(Boolean);
  const chosen = results.filter((r) => dispositions.includes(r));
  const touched = chosen.length > 0 ? of.filter((d) => chosen.includes(d.disposition)) : of;
  const n = sum(touched);
  const spent = sum(touched, "spent");
  const people = count(n, "person", "people");
  const run = () =>
    recycle.mutate(
      { id: campaign.id, outcomes, dispositions: chosen, importId, most: n },
      {
        onSuccess: (r) => {
          done(`${count(r, "person is", "people are")} called again.`);
          close();
        },
        onError: failed,
      },
    );
  const ask = () =>
    modals.openConfirmModal({
      title: `Call ${people} again?`,
      children: (
        <Text size="sm">
          {campaign.state === "running" ? "It begins at once." : "It begins when the campaign runs."}
        </Text>
      ),
      labels: { confirm: "Call them again", cancel: "Not now" },
      onConfirm: run,
    });
  return (
    <>
      <Checkbox.Group label="Whose last call ended with" value={outcomes} onChange={choose}>
        <Stack gap={8} mt="xs">
          {names.map((o) => (
            <Checkbox
              key={o}
              value={o}
              label={`${o ? outcomeName(o) : "No call: a rule was in the way"} (${sum(all.filter((d) => d.outcome === o)).toLocaleString("en-GB")})`}
            />
          ))}
        </Stack>
      </Checkbox.Group>
      {dispositions.length > 0 && (
        <MultiSelect
          label="Only with these results"
          placeholder={chosen.length === 0 ? "With any" : undefined}
          data={dispositions.map((d) => ({
            value: d,
            label: `${words(d)} (${sum(of.filter((x) => x.disposition === d)).toLocaleString("en-GB")})`,
          }))}
          value={chosen}
          onChange={setResults}
        />
      )}
      {spent > 0 && (
        <Alert color="clay" variant="light">
          {spent === n && n > 1 ? "All" : spent.toLocaleString("en-GB")} of them had as many attempts as the campaign
          allows ({campaign.settings.retry.total}), and would be done again without a call. Allow more attempts first,
          at the step “Again”.
        </Alert>
      )}
      <Group justify="space-between">
        <Text size="sm" role="status">
          <b>{people}</b> chosen
        </Text>
        <Group gap="sm">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button onClick={ask} disabled={n === 0} loading={recycle.isPending}>
            Call them again
          </Button>
        </Group>
      </Group>
    </>
  );
}
