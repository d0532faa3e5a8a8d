import {
  ActionIcon,
  Anchor,
  Button,
  Group,
  Menu,
  Paper,
  Progress,
  Select,
  Stack,
  Switch,
  Table,
  Text,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconDots, IconPlus, IconSpeakerphone } from "@tabler/icons-react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { Campaign, CampaignProgress } from "../../api/types";
import { count, when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { ActionItems, useActions } from "./Actions";
import { useCampaigns, useProgressOfMany } from "./api";
import { type CampaignFilters, readCampaignFilters, states } from "./filters";
import { NewCampaign } from "./NewCampaign";
import { StateBadge } from "./StateBadge";
import { percent, stateNames, unbegun } from "./words";

export function CampaignsPage() {
  const filters = useSearch({ from: "/app/campaigns" });
  const navigate = useNavigate({ from: "/campaigns" });
  const campaigns = useCampaigns(filters);
  const [open, dialog] = useDisclosure(false);
  const narrowed = Object.keys(filters).length > 0;
  const set = (change: Record<string, unknown>) =>
    navigate({ search: (old) => readCampaignFilters({ ...old, ...change }), replace: true });
  const add = useMay()("campaign:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
      New campaign
    </Button>
  );
  return (
    <Page
      title="Campaigns"
      lead="Lists of people whom an agent calls: at the right hours, as fast as you say, and never somebody who asked not to be called."
      actions={add}
    >
      {(narrowed || (campaigns.data?.items.length ?? 0) > 0) && <Filters filters={filters} set={set} />}
      <Paper p={0} style={{ overflow: "hidden" }}>
        <Loaded query={campaigns} rows={6}>
          {({ items }) => {
            if (items.length > 0) return <CampaignTable campaigns={items} />;
            return narrowed ? (
              <Empty
                icon={<IconSpeakerphone size={22} />}
                title="No campaign like that"
                text={filters.archived ? "Nothing is in the archive." : "Choose another state, or look at all of them."}
                action={
                  <Button variant="default" onClick={() => navigate({ search: {} })}>
                    Show all
                  </Button>
                }
              />
            ) : (
              <Empty
                icon={<IconSpeakerphone size={22} />}
                title="No campaigns yet"
                text="A campaign calls a list of people, one after the other. You choose an agent, bring a list as a file, and say when and how fast. Nobody is called before you start it."
                action={add}
              />
            );
          }}
        </Loaded>
      </Paper>
      <More query={campaigns} />
      <NewCampaign opened={open} close={dialog.close} />
    </Page>
  );
}

function Filters({ filters, set }: { filters: CampaignFilters; set: (f: Record<string, unknown>) => void }) {
  return (
    <Group gap="md">
      <Select
        aria-label="State"
        placeholder="Any state"
        clearable
        data={states.map((s) => ({ value: s, label: stateNames[s] }))}
        value={filters.state ?? null}
        onChange={(state) => set({ state: state ?? "" })}
        w={170}
      />
      <Switch
        label="Archive"
        checked={filters.archived ?? false}
        onChange={(e) => set({ archived: e.currentTarget.checked })}
      />
    </Group>
  );
}

function CampaignTable({ campaigns }: { campaigns: Campaign[] }) {
  const progress = useProgressOfMany(campaigns);
  return (
    <Listing flush minWidth={760} horizontalSpacing="md">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Campaign</Table.Th>
          <Table.Th>State</Table.Th>
          <Table.Th w={230}>Called so far</Table.Th>
          <Table.Th ta="right">Answered</Table.Th>
          <Table.Th>Changed</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {campaigns.map((c) => (
          <Row key={c.id} campaign={c} progress={progress.get(c.id)} />
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function Row({ campaign: c, progress }: { campaign: Campaign; progress: CampaignProgress | undefined }) {
  const { actions, windows } = useActions(c);
  return (
    <Table.Tr>
      <Table.Td>
        <Anchor
          renderRoot={(p) => (
            <Link
              {...p}
              to={unbegun(c.state) ? "/campaigns/$campaignId/edit" : "/campaigns/$campaignId"}
              params={{ campaignId: c.id }}
            />
          )}
          c="inherit"
          fw={600}
        >
          {c.name}
        </Anchor>
      </Table.Td>
      <Table.Td>
        <StateBadge state={c.state} />
        {c.why && (
          <Text size="xs" c="dimmed" maw={260} mt={4}>
            {c.why}
          </Text>
        )}
      </Table.Td>
      <Table.Td>{progress && <Penetration progress={progress} />}</Table.Td>
      <Table.Td ta="right" className="num">
        {progress && (progress.attempts > 0 ? percent(progress.answerRate) : "–")}
      </Table.Td>
      <Table.Td>{when(c.updatedAt)}</Table.Td>
      <Table.Td ta="right">
        {actions.length > 0 && (
          <Menu position="bottom-end">
            <Menu.Target>
              <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${c.name}`}>
                <IconDots size={18} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <ActionItems actions={actions} />
            </Menu.Dropdown>
          </Menu>
        )}
        {windows}
      </Table.Td>
    </Table.Tr>
  );
}

/** How much of its list a campaign has called. */
function Penetration({ progress: p }: { progress: CampaignProgress }) {
  const all = Object.values(p.leads).reduce((a, b) => a + b, 0);
  if (all === 0) return <Text size="sm">Nobody is on its list</Text>;
  const reached = all - (p.leads.new ?? 0);
  return (
    <Stack gap={4}>
      <Progress value={p.penetration * 100} aria-label="Called so far" size="sm" />
      <Text size="xs" c="dimmed" className="num">
        {reached.toLocaleString("en-GB")} of {count(all, "person", "people")}
      </Text>
    </Stack>
  );
}
