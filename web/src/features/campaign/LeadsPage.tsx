import { Anchor, Button, Group, Modal, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconPlus, IconRepeat, IconSearch } from "@tabler/icons-react";
import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import type { Campaign } from "../../api/types";
import { Page } from "../../ui/Page";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { useCampaign } from "./api";
import { LeadForm } from "./LeadForm";
import { LeadGrid } from "./LeadGrid";
import type { LeadFilters } from "./leadsApi";
import { Recycle } from "./Recycle";
import { ReportMenu } from "./ReportMenu";
import { leadStates, outcomes, over, unbegun } from "./words";

/** Everybody on a campaign's list. */
export function LeadsPage() {
  const { campaignId } = useParams({ from: "/app/campaigns/$campaignId/people" });
  const campaign = useCampaign(campaignId);
  return <Loaded query={campaign}>{({ value }) => <People campaign={value} />}</Loaded>;
}

function People({ campaign: c }: { campaign: Campaign }) {
  const [filters, setFilters] = useState<LeadFilters>({});
  const [q, setQ] = useState("");
  const search = useDebouncedCallback(
    (text: string) => setFilters((f) => ({ ...f, q: text.trim() || undefined })),
    350,
  );
  const choice = (key: "state" | "outcome", label: string, names: Record<string, { label: string }>) => (
    <Select
      aria-label={label}
      placeholder={label}
      clearable
      data={Object.entries(names).map(([value, n]) => ({ value, label: n.label }))}
      value={filters[key] ?? null}
      onChange={(v) => setFilters((f) => ({ ...f, [key]: v ?? undefined }))}
      w={{ base: "calc(50% - 6px)", sm: 200 }}
    />
  );
  return (
    <Page
      title="People"
      wide
      lead={`On the list of ${c.name}, in its order.`}
      above={
        <Anchor renderRoot={(p) => <Link {...p} to="/campaigns/$campaignId" params={{ campaignId: c.id }} />} size="sm">
          ← {c.name}
        </Anchor>
      }
      actions={<Actions campaign={c} />}
    >
      <Group gap={12}>
        <TextInput
          data-search
          aria-label="Search people"
          placeholder="A name, or digits of a number"
          leftSection={<IconSearch size={16} />}
          value={q}
          onChange={(e) => {
            setQ(e.currentTarget.value);
            search(e.currentTarget.value);
          }}
          w={{ base: "100%", sm: 280 }}
        />
        {choice("state", "Any state", leadStates)}
        {choice("outcome", "Any last call", outcomes)}
      </Group>
      <LeadGrid campaign={c} filters={filters} />
    </Page>
  );
}

function Actions({ campaign: c }: { campaign: Campaign }) {
  const may = useMay()("campaign:update") && !over(c.state);
  const [asking, ask] = useState<"add" | "again" | null>(null);
  const close = () => ask(null);
  return (
    <>
      <ReportMenu campaign={c} />
      {may && (
        <>
          {!unbegun(c.state) && (
            <Button variant="default" leftSection={<IconRepeat size={16} />} onClick={() => ask("again")}>
              Call again
            </Button>
          )}
          <Button leftSection={<IconPlus size={16} />} onClick={() => ask("add")}>
            Add a person
          </Button>
        </>
      )}
      <Modal opened={asking === "add"} onClose={close} title="Add a person">
        {asking === "add" && <LeadForm campaign={c} close={close} />}
      </Modal>
      <Modal opened={asking === "again"} onClose={close} title="Call people again" size="lg">
        {asking === "again" && <Recycle campaign={c} close={close} />}
      </Modal>
    </>
  );
}
