import { Anchor, Badge, Drawer, Group, Paper, Select, Text, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { IconSearch, IconUsers } from "@tabler/icons-react";
import { Link, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import type { Lead } from "../../api/types";
import { count, when } from "../../ui/format";
import { Page } from "../../ui/Page";
import { Empty, Failed, Loaded, Rows } from "../../ui/states";
import { useCampaign } from "./api";
import css from "./campaign.module.css";
import { LeadTimeline } from "./LeadTimeline";
import { type LeadFilters, useLeads } from "./leadsApi";
import { leadStateName, leadStates, outcomeName, outcomes } from "./words";

/** Everybody on a campaign's list. */
export function LeadsPage() {
  const { campaignId } = useParams({ from: "/app/campaigns/$campaignId/people" });
  const campaign = useCampaign(campaignId);
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
    <Loaded query={campaign}>
      {({ value: c }) => (
        <Page
          title="People"
          wide
          lead={`On the list of ${c.name}, in its order.`}
          above={
            <Anchor renderRoot={(p) => <Link {...p} to="/campaigns/$campaignId" params={{ campaignId }} />} size="sm">
              ← {c.name}
            </Anchor>
          }
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
          <Grid campaignId={campaignId} filters={filters} />
        </Page>
      )}
    </Loaded>
  );
}

const ROW = 52; // pixels: what is drawn is reckoned from it
const OVERSCAN = 10;

/** The rows that can be seen, of any number: pages are read as one scrolls down. */
function Grid({ campaignId, filters }: { campaignId: string; filters: LeadFilters }) {
  const leads = useLeads(campaignId, filters);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [shown, show] = useState<Lead | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const items = leads.data?.items ?? [];
  const first = Math.max(0, Math.floor(top / ROW) - OVERSCAN);
  const last = Math.min(items.length, Math.ceil((top + height) / ROW) + OVERSCAN);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = leads;
  useEffect(() => {
    if (last > items.length - 50 && hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [last, items.length, hasNextPage, isFetchingNextPage, fetchNextPage]);
  if (leads.isError && !leads.data) return <Failed error={leads.error} retry={() => leads.refetch()} />;
  if (!leads.data) return <Rows n={8} />;
  if (items.length === 0) {
    const narrowed = Object.values(filters).some(Boolean);
    return (
      <Paper>
        <Empty
          icon={<IconUsers size={22} />}
          title={narrowed ? "Nobody like that" : "Nobody is on the list yet"}
          text={narrowed ? "Change or clear what you look for." : "Bring a file with numbers."}
          action={
            !narrowed && (
              <Anchor
                renderRoot={(p) => (
                  <Link {...p} to="/campaigns/$campaignId/edit" params={{ campaignId }} search={{ step: "whom" }} />
                )}
                size="sm"
              >
                Bring a list
              </Anchor>
            )
          }
        />
      </Paper>
    );
  }
  const total = leads.data.pages[0]?.total;
  return (
    <Paper p={0} style={{ overflow: "hidden" }}>
      <Text size="xs" c="dimmed" px="md" py={8} role="status">
        {typeof total === "number"
          ? count(total, "person", "people")
          : `${items.length.toLocaleString("en-GB")}${hasNextPage ? " and more" : ""}`}
      </Text>
      {/* biome-ignore lint/a11y/useSemanticElements: a table cannot leave out rows that are not drawn */}
      <div
        ref={box}
        className={css.grid}
        role="table"
        aria-label="People"
        aria-rowcount={hasNextPage ? -1 : items.length}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
        tabIndex={0}
        onScroll={(e) => {
          setTop(e.currentTarget.scrollTop);
          setHeight(e.currentTarget.clientHeight);
        }}
      >
        {/* biome-ignore lint/a11y/useSemanticElements: see above */}
        <div role="rowgroup" style={{ height: items.length * ROW, position: "relative" }}>
          {items.slice(first, last).map((l, i) => (
            <LeadRow key={l.id} lead={l} at={first + i} open={() => show(l)} />
          ))}
        </div>
      </div>
      <Drawer
        opened={shown !== null}
        onClose={() => show(null)}
        position="right"
        size="lg"
        title={shown?.name || shown?.number}
        closeButtonProps={{ "aria-label": "Close" }}
      >
        {shown && <LeadTimeline campaignId={campaignId} lead={shown} />}
      </Drawer>
    </Paper>
  );
}

function LeadRow({ lead: l, at, open }: { lead: Lead; at: number; open: () => void }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: see above
    // biome-ignore lint/a11y/useFocusableInteractive: the button in it is focused
    <div role="row" aria-rowindex={at + 1} className={css.person} style={{ top: at * ROW, height: ROW }}>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      <div role="cell">
        <button type="button" className={css.open} onClick={open}>
          {l.name || l.number}
        </button>
        {l.name && (
          <Text size="xs" c="dimmed" className="num">
            {l.number}
          </Text>
        )}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      <div role="cell">
        <Badge color={l.state === "do_not_call" ? "red" : l.state === "done" ? "pine" : "gray"}>
          {leadStateName(l.state)}
        </Badge>
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      <div role="cell" className={css.wide}>
        <Text size="sm">{l.outcome ? outcomeName(l.outcome) : "–"}</Text>
        {l.attempts > 0 && (
          <Text size="xs" c="dimmed">
            {count(l.attempts, "attempt", "attempts")}
          </Text>
        )}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      <div role="cell" className={css.wide}>
        <Text size="sm">{l.dueAt ? `Next: ${when(l.dueAt)}` : ""}</Text>
      </div>
    </div>
  );
}
